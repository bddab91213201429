//! Watches: a stream of changes, one JSON object a line.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{Body, Dropped};
use super::listing;
use super::negotiation::{self, Form};
use super::path::Target;
use super::serve::{Api, Call};
use super::table;
use crate::cluster::Cluster;
use crate::faults::WatchOrders;
use crate::json;
use crate::resources::Resource;
use crate::selectors::{Fields, Labels};
use crate::status::{ApiError, ApiResult};
use crate::storage::{Change, ChangeKind};

/// How long a watch lasts that does not say.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The annotation of the bookmark that ends the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

struct Watch {
    cluster: Arc<Cluster>,
    resource: Arc<Resource>,
    namespace: String,
    name: String,
    labels: Labels,
    fields: Fields,
    form: Form,
    bookmarks: bool,
    bookmark_every: Duration,
    /// Everything up to this version was sent.
    version: u64,
    queue: VecDeque<Value>,
    versions: watch::Receiver<u64>,
    orders: watch::Receiver<WatchOrders>,
    served: WatchOrders,
    end: Instant,
    next_bookmark: Instant,
    is_over: bool,
}

/// Answers a watch request.
pub(crate) fn answer(api: &Arc<Api>, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let query = &call.query;
    let (labels, fields) = listing::selectors(call, target)?;
    let initial = query.flag("sendInitialEvents");
    if initial && query.get("resourceVersionMatch") != "NotOlderThan" {
        return Err(forbidden_option(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if !initial && !query.get("resourceVersionMatch").is_empty() {
        return Err(forbidden_option(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
    }
    let from = match query.get("resourceVersion") {
        "" | "0" => None,
        text => Some(text.parse::<u64>().map_err(|_| {
            ApiError::bad_request(format!(
                "invalid resource version: strconv.ParseUint: parsing \"{text}\": invalid syntax"
            ))
        })?),
    };
    let cluster = api.cluster.clone();
    let orders = cluster.faults.watch_orders();
    let served = *orders.borrow();
    let now = Instant::now();
    let bookmark_every = cluster.options.bookmark_every;
    let lasts = query.number("timeoutSeconds").filter(|seconds| *seconds > 0);
    let mut watch = Watch {
        versions: cluster.versions(),
        resource: target.resource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        labels,
        fields,
        form: call.form()?,
        bookmarks: query.flag("allowWatchBookmarks"),
        bookmark_every,
        version: 0,
        queue: VecDeque::new(),
        orders,
        served,
        end: now + lasts.map_or(LONGEST, Duration::from_secs).min(LONGEST),
        next_bookmark: now + bookmark_every,
        is_over: false,
        cluster,
    };
    match from {
        Some(version) if !initial => watch.version = version,
        _ => watch.begin_with_everything(initial && watch.bookmarks),
    }
    let stream = StreamBody::new(stream(watch));
    let mut response = Response::new(stream.boxed_unsync());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn forbidden_option(field: &str, detail: &str) -> ApiError {
    let named =
        crate::status::Named { group: "meta.k8s.io", resource: "listoptions", kind: "ListOptions" };
    ApiError::invalid(named, "", &[crate::status::Cause::forbidden(field, detail)])
}

fn stream(watch: Watch) -> impl Stream<Item = Result<Frame<Bytes>, Dropped>> + Send {
    futures::stream::unfold(watch, |mut watch| async move {
        match watch.next().await {
            Some(Ok(event)) => {
                let mut line = event.to_string();
                line.push('\n');
                Some((Ok(Frame::data(Bytes::from(line))), watch))
            }
            Some(Err(dropped)) => {
                watch.is_over = true;
                Some((Err(dropped), watch))
            }
            None => None,
        }
    })
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Value, Dropped>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(Ok(event));
            }
            if self.is_over {
                return None;
            }
            let orders = *self.orders.borrow_and_update();
            if orders.drops != self.served.drops {
                return Some(Err(Dropped));
            }
            if orders.expiries != self.served.expiries {
                self.served = orders;
                self.expire(self.version, self.cluster.read(crate::storage::Store::version));
                continue;
            }
            self.versions.borrow_and_update();
            self.catch_up();
            if !self.queue.is_empty() {
                continue;
            }
            let until = if self.bookmarks { self.end.min(self.next_bookmark) } else { self.end };
            tokio::select! {
                changed = self.versions.changed() => if changed.is_err() { return None },
                changed = self.orders.changed() => if changed.is_err() { return None },
                () = tokio::time::sleep_until(until) => {
                    let now = Instant::now();
                    if self.bookmarks {
                        self.next_bookmark = now + self.bookmark_every;
                        let bookmark = self.bookmark(false);
                        self.queue.push_back(bookmark);
                    }
                    if now >= self.end {
                        self.is_over = true;
                    }
                }
            }
        }
    }

    /// Queues what happened since the version that was sent last.
    fn catch_up(&mut self) {
        let (changes, newest) = self.cluster.read(|store| {
            (store.changes_after(&self.resource.storage, self.version), store.version())
        });
        match changes {
            Ok(changes) => {
                for change in &changes {
                    if let Some(event) = self.event(change) {
                        self.queue.push_back(event);
                    }
                }
                self.version = self.version.max(newest);
            }
            Err(oldest) => self.expire(self.version, oldest),
        }
    }

    fn expire(&mut self, version: u64, oldest: u64) {
        let error = ApiError::expired(format!("too old resource version: {version} ({oldest})"));
        self.queue.push_back(json!({"type": "ERROR", "object": error.to_json()}));
        self.is_over = true;
    }

    /// Sends the present state as additions, for watches without a version.
    fn begin_with_everything(&mut self, ends_with_bookmark: bool) {
        let (objects, version) = self.cluster.read(|store| {
            let objects: Vec<_> = store
                .list(&self.resource.storage, &self.namespace)
                .filter(|object| self.fits(object))
                .cloned()
                .collect();
            (objects, store.version())
        });
        self.version = version;
        for object in objects {
            let event = json!({"type": "ADDED", "object": self.shown(&object)});
            self.queue.push_back(event);
        }
        if ends_with_bookmark {
            let bookmark = self.bookmark(true);
            self.queue.push_back(bookmark);
        }
    }

    fn fits(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || json::namespace(object) == self.namespace)
            && (self.name.is_empty() || json::name(object) == self.name)
            && self.labels.fits(object)
            && self.fields.fits(object)
    }

    /// What a change looks like to this watch: an object that begins to fit
    /// the selectors is added, one that ceases to is deleted.
    fn event(&self, change: &Change) -> Option<Value> {
        let fits = self.fits(&change.object);
        let fitted = change.previous.as_ref().is_some_and(|old| self.fits(old));
        let kind = match (change.kind, fitted, fits) {
            (ChangeKind::Deleted, true, _) | (ChangeKind::Modified, true, false) => "DELETED",
            (ChangeKind::Modified, true, true) => "MODIFIED",
            (ChangeKind::Added, _, true) | (ChangeKind::Modified, false, true) => "ADDED",
            _ => return None,
        };
        let object = match &change.previous {
            // The last state that fitted, at the version of the change.
            Some(old) if kind == "DELETED" && !fits => {
                let mut last = (**old).clone();
                let version = change.version.to_string();
                json::put(&mut last, &["metadata", "resourceVersion"], version);
                self.shown(&last)
            }
            _ => self.shown(&change.object),
        };
        Some(json!({"type": kind, "object": object}))
    }

    fn shown(&self, object: &Value) -> Value {
        match self.form {
            Form::Metadata => negotiation::metadata_of(object),
            Form::Table => table::of_object(object, &self.resource, ""),
            Form::Whole | Form::Discovery => {
                super::verbs::in_version(object, &self.resource).into_owned()
            }
        }
    }

    fn bookmark(&self, ends_initial: bool) -> Value {
        let (kind, api_version) = match self.form {
            Form::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            _ => (self.resource.kind.clone(), self.resource.api_version()),
        };
        let mut metadata = json!({
            "resourceVersion": self.version.to_string(),
            "creationTimestamp": null,
        });
        if ends_initial {
            json::put(&mut metadata, &["annotations", INITIAL_EVENTS_END], "true");
        }
        json!({"type": "BOOKMARK", "object": {
            "kind": kind, "apiVersion": api_version, "metadata": metadata}})
    }
}
