//! List and watch: what is there, and then every change, through dropped
//! connections, expired versions and servers that are away for a while.

use std::time::Duration;

use deployd_core::Fault;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Session;
use crate::discovery::Resource;
use crate::failure::{ApiStatus, Failure};
use crate::faults::{self, Doing};
use crate::fields::{text, text_or_empty};
use crate::request::{Ask, with_query};
use crate::retry;

/// Objects per page of a list.
const PAGE: &str = "500";

/// How long the server keeps a watch open: as long as its own clients ask for.
const SERVER_SECONDS: &str = "290";

/// A watch from which nothing came for so long may hang on a dead connection.
/// Bookmarks come about once a minute; reopening costs one request.
const SILENCE: Duration = Duration::from_secs(100);

/// No event is longer: twice what etcd stores, in its largest JSON form.
const LINE_BYTES: usize = 16 << 20;

/// Changes that nobody has looked at yet. The watch waits beyond.
pub(crate) const PENDING: usize = 256;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    /// `metadata.name=frontend`, or empty for all.
    pub(crate) field_selector: String,
}

impl Scope {
    pub(crate) fn one(resource: &Resource, namespace: Option<&str>, name: &str) -> Self {
        Self::all(resource, namespace).with_fields(format!("metadata.name={name}"))
    }

    pub(crate) fn all(resource: &Resource, namespace: Option<&str>) -> Self {
        let namespace = namespace.filter(|_| resource.namespaced).map(str::to_owned);
        Self { resource: resource.clone(), namespace, field_selector: String::new() }
    }

    pub(crate) fn with_fields(self, field_selector: String) -> Self {
        Self { field_selector, ..self }
    }

    fn path(&self, more: &[(&str, &str)]) -> String {
        let mut query = more.to_vec();
        if !self.field_selector.is_empty() {
            query.push(("fieldSelector", &self.field_selector));
        }
        with_query(&self.resource.path(self.namespace.as_deref()), &query)
    }
}

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Change {
    /// These are there, and no others.
    Listed(Vec<Value>),
    /// This is there, new or changed.
    Set(Value),
    /// This is gone.
    Gone(Value),
    /// The server can't be reached for now.
    Interrupted(Fault),
    /// It can again.
    Resumed,
    /// The watch is over: it may not be, or the server stayed away for longer
    /// than the budget.
    Ended(Fault),
}

/// Where a watch tells its changes, under a number of its own.
pub(crate) struct Outlet {
    pub(crate) changes: mpsc::Sender<(usize, Change)>,
    pub(crate) number: usize,
}

impl Outlet {
    /// False when nobody listens any more.
    async fn send(&self, change: Change) -> bool {
        self.changes.send((self.number, change)).await.is_ok()
    }
}

/// Watches until the receiver is dropped or there is no sense in going on.
pub(crate) async fn run(session: Session, scope: Scope, outlet: Outlet) {
    let mut watch = Watch { session, scope, outlet, trouble: None };
    while watch.round().await {}
}

struct Watch {
    session: Session,
    scope: Scope,
    outlet: Outlet,
    /// Since when and how often in a row it failed.
    trouble: Option<(Instant, u32)>,
}

/// Why a watch has to be opened again.
enum Stop {
    /// From the version given.
    Resume(String),
    /// From a new list.
    Relist,
    /// After a failure, from the version given.
    Failed(String, Failure),
    /// Nobody listens any more.
    Deaf,
}

impl Watch {
    /// Lists, then watches until a new list is needed. False at the end.
    async fn round(&mut self) -> bool {
        let (items, mut version) = match self.list().await {
            Ok(listed) => listed,
            Err(failure) => return self.failed(&failure).await,
        };
        if !self.recovered().await || !self.outlet.send(Change::Listed(items)).await {
            return false;
        }
        loop {
            match self.follow(version).await {
                Stop::Resume(from) => version = from,
                Stop::Relist => return true,
                Stop::Deaf => return false,
                Stop::Failed(from, failure) => {
                    if !self.failed(&failure).await {
                        return false;
                    }
                    version = from;
                }
            }
        }
    }

    /// Everything there is, and the version it was read at.
    async fn list(&self) -> Result<(Vec<Value>, String), Failure> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let mut query = vec![("limit", PAGE)];
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            // Failures are counted here, not by the request.
            let ask = Ask::get(self.scope.path(&query));
            let mut page = self.session.ask_within(&ask, Duration::ZERO).await?.body;
            let version = text_or_empty(&page, "/metadata/resourceVersion").to_owned();
            next = text_or_empty(&page, "/metadata/continue").to_owned();
            if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
                items.extend(found.into_iter().map(|item| self.complete(item)));
            }
            if next.is_empty() {
                return Ok((items, version));
            }
        }
    }

    /// Items of lists of built-in kinds don't say what they are. What nobody
    /// here reads is dropped.
    fn complete(&self, mut item: Value) -> Value {
        if let Some(fields) = item.as_object_mut() {
            let resource = &self.scope.resource;
            fields.entry("apiVersion").or_insert_with(|| resource.api_version.as_str().into());
            fields.entry("kind").or_insert_with(|| resource.kind.as_str().into());
            if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
        }
        item
    }

    async fn follow(&mut self, mut version: String) -> Stop {
        let path = self.scope.path(&[
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", SERVER_SECONDS),
            ("resourceVersion", &version),
        ]);
        let opened = Instant::now();
        let mut lines = match self.session.stream(&path).await {
            Ok(body) => Lines { body, read: Vec::new() },
            Err(failure) if failure.is_expired() => return Stop::Relist,
            Err(failure) => return Stop::Failed(version, failure),
        };
        if !self.recovered().await {
            return Stop::Deaf;
        }
        let mut heard = false;
        loop {
            let line = match tokio::time::timeout(SILENCE, lines.next()).await {
                Err(_) => return Stop::Resume(version),
                Ok(Ok(Some(line))) => line,
                // Servers end watches in their own time. One that ends them at
                // once is ill, and must not be asked in a circle.
                Ok(Ok(None)) if heard || opened.elapsed() > Duration::from_secs(1) => {
                    return Stop::Resume(version);
                }
                Ok(Ok(None)) => {
                    let why = "the watch was closed at once".to_owned();
                    return Stop::Failed(version, Failure::Unreachable(why));
                }
                Ok(Err(failure)) => return Stop::Failed(version, failure),
            };
            let Ok(mut event) = serde_json::from_slice::<Value>(&line) else {
                // Cut off in the middle: the rest comes again.
                return Stop::Resume(version);
            };
            heard = true;
            let object = event.get_mut("object").map(Value::take).unwrap_or_default();
            if text(&event, "/type") == Some("ERROR") {
                let status = ApiStatus::read(500, None, object.to_string().as_bytes());
                let failure = Failure::Status(Box::new(status));
                return if failure.is_expired() {
                    Stop::Relist
                } else {
                    Stop::Failed(version, failure)
                };
            }
            if let Some(newer) = text(&object, "/metadata/resourceVersion") {
                version = newer.to_owned();
            }
            let change = match text_or_empty(&event, "/type") {
                "ADDED" | "MODIFIED" => Change::Set(self.complete(object)),
                "DELETED" => Change::Gone(self.complete(object)),
                _ => continue,
            };
            if !self.outlet.send(change).await {
                return Stop::Deaf;
            }
        }
    }

    /// Waits after a failure. False when there is no sense in going on.
    async fn failed(&mut self, failure: &Failure) -> bool {
        if failure.is_expired() {
            return true;
        }
        let doing = Doing { cluster: &self.session.cluster, verb: "watch", object: None };
        let mut fault = faults::fault(failure, doing);
        fault.message =
            format!("{} (while watching {})", fault.message, self.scope.resource.plural);
        let (since, times) = self.trouble.unwrap_or((Instant::now(), 0));
        self.trouble = Some((since, times + 1));
        let budget = self.session.options.retry_budget;
        let verdict = retry::verdict(failure, times + 1, since.elapsed(), budget, retry::random());
        match verdict {
            retry::Verdict::GiveUp => {
                self.outlet.send(Change::Ended(fault)).await;
                false
            }
            retry::Verdict::Again(pause) => {
                if times == 0 && !self.outlet.send(Change::Interrupted(fault)).await {
                    return false;
                }
                tokio::time::sleep(pause).await;
                true
            }
        }
    }

    async fn recovered(&mut self) -> bool {
        match self.trouble.take() {
            Some(_) => self.outlet.send(Change::Resumed).await,
            None => true,
        }
    }
}

/// The lines of a body.
struct Lines {
    body: Body,
    read: Vec<u8>,
}

impl Lines {
    /// The next line, or none at the end. May be cancelled: what was read stays.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        // Where the search goes on: what was searched has no line's end.
        let mut searched = 0;
        loop {
            let unsearched = self.read.get(searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                line.pop();
                if line.iter().all(u8::is_ascii_whitespace) {
                    searched = 0;
                    continue;
                }
                return Ok(Some(line));
            }
            searched = self.read.len();
            if searched > LINE_BYTES {
                return Err(Failure::Unreadable("an event without an end".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                // A connection that breaks in the middle of a watch is as good
                // as one that ends: the next request finds out what it is.
                Some(Err(_)) => return Ok(None),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn lines_are_split_wherever_frames_end() {
        let body = Body::from(Bytes::from_static(b"{\"a\":1}\n\n{\"b\"\n:2"));
        let mut lines = Lines { body, read: Vec::new() };
        assert_eq!(lines.next().await.unwrap().as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(lines.next().await.unwrap().as_deref(), Some(&b"{\"b\""[..]));
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[test]
    fn selectors_are_part_of_the_path() {
        let scope = Scope::one(&Resource::core("Pod", "pods"), Some("shop"), "a");
        assert_eq!(
            scope.path(&[("limit", "500")]),
            "/api/v1/namespaces/shop/pods?limit=500&fieldSelector=metadata.name%3Da"
        );
    }
}
