//! List and watch: what is there, and then every change, through dropped
//! connections, expired versions and servers that are away for a while.

use std::collections::HashMap;
use std::time::Duration;

use deployd_core::Fault;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Session;
use crate::failure::{ApiStatus, Failure};
use crate::faults::{self, Doing};
use crate::fields::{text, text_or_empty};
use crate::listing::{Detail, Scope};
use crate::retry;

/// How long the server keeps a watch open: as long as its own clients ask for.
const SERVER_SECONDS: &str = "290";

/// No event is longer: twice what etcd stores, in its largest JSON form.
const LINE_BYTES: usize = 16 << 20;

/// Objects whose newest version is remembered, those that are gone included.
/// Beyond, what is late or doubled is believed again, until the next list.
const REMEMBERED: usize = 16 << 10;

/// Changes that nobody has looked at yet. The watch waits beyond.
pub(crate) const PENDING: usize = 256;

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
    /// How long the server may be away.
    pub(crate) budget: Duration,
}

impl Outlet {
    /// False when nobody listens any more.
    async fn send(&self, change: Change) -> bool {
        self.changes.send((self.number, change)).await.is_ok()
    }
}

/// Watches until the receiver is dropped or there is no sense in going on.
pub(crate) async fn run(session: Session, scope: Scope, outlet: Outlet) {
    let newest = Newest::default();
    let mut watch = Watch { session, scope, outlet, trouble: None, is_blind: false, newest };
    while watch.round().await {}
}

struct Watch {
    session: Session,
    scope: Scope,
    outlet: Outlet,
    /// Since when and how often in a row it failed.
    trouble: Option<(Instant, u32)>,
    /// Whether it was told that nothing can be seen.
    is_blind: bool,
    newest: Newest,
}

/// The newest version that was told of each object. A server tells changes in
/// their order and once; what is between us and it may not.
#[derive(Default)]
struct Newest(HashMap<String, u64>);

impl Newest {
    /// Whether an object is told of for the first time, or newly; remembers it.
    /// Versions that are no numbers can't be compared, and are believed.
    fn is_news(&mut self, object: &Value) -> bool {
        let version = text_or_empty(object, "/metadata/resourceVersion");
        let Ok(version) = version.parse::<u64>() else { return true };
        let namespace = text_or_empty(object, "/metadata/namespace");
        let key = format!("{namespace}/{}", text_or_empty(object, "/metadata/name"));
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let newest = self.0.entry(key).or_insert(0);
        let is_news = version > *newest;
        *newest = version.max(*newest);
        is_news
    }
}

/// What could be seen before a failure.
#[derive(PartialEq)]
enum Seen {
    Nothing,
    /// All there is, but no change of it.
    List,
}

/// Why a watch has to be opened again.
enum Stop {
    /// From the version given.
    Resume(String),
    /// From a new list.
    Relist,
    /// From a new list, after a failure.
    Failed(Failure),
    /// Nobody listens any more.
    Deaf,
}

impl Watch {
    /// Lists, then watches until a new list is needed. False at the end.
    async fn round(&mut self) -> bool {
        let (items, mut version) = match self.list().await {
            Ok(listed) => listed,
            Err(failure) => return self.failed(&failure, Seen::Nothing).await,
        };
        if !self.visible().await || !self.outlet.send(Change::Listed(items)).await {
            return false;
        }
        loop {
            match self.follow(version).await {
                Stop::Resume(from) => version = from,
                Stop::Relist => return true,
                Stop::Deaf => return false,
                Stop::Failed(failure) => return self.failed(&failure, Seen::List).await,
            }
        }
    }

    /// Everything there is, and the version it was read at. A list of which one
    /// page is missing is no list.
    async fn list(&mut self) -> Result<(Vec<Value>, String), Failure> {
        let session = self.session.clone();
        let _opening = session.opening().await?;
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            // Failures are counted here, not by the request.
            let page = session.page(&self.scope, Detail::Whole, &next, Duration::ZERO).await?;
            items.extend(page.items.into_iter().map(bare));
            next = page.next;
            if next.is_empty() {
                self.newest = Newest::default();
                for item in &items {
                    self.newest.is_news(item);
                }
                return Ok((items, page.version));
            }
        }
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
            Err(failure) => return Stop::Failed(failure),
        };
        let silence = self.session.options.watch_silence;
        let mut heard = false;
        loop {
            let line = match tokio::time::timeout(silence, lines.next()).await {
                // The watch may have been lost where nobody noticed. What was
                // missed is in a list, whatever became of the versions.
                Err(_) => return Stop::Relist,
                Ok(Ok(Some(line))) => line,
                // Servers end watches in their own time. One that ends them at
                // once is ill, and must not be asked in a circle.
                Ok(Ok(None)) if heard || opened.elapsed() > Duration::from_secs(1) => {
                    return Stop::Resume(version);
                }
                Ok(Ok(None)) => {
                    let why = "the watch was closed at once".to_owned();
                    return Stop::Failed(Failure::Unreachable(why));
                }
                Ok(Err(failure)) => return Stop::Failed(failure),
            };
            let Ok(mut event) = serde_json::from_slice::<Value>(&line) else {
                // Cut off in the middle: the rest comes again.
                return Stop::Resume(version);
            };
            heard = true;
            self.trouble = None;
            let object = event.get_mut("object").map(Value::take).unwrap_or_default();
            if text(&event, "/type") == Some("ERROR") {
                let status = ApiStatus::read(500, None, object.to_string().as_bytes());
                let failure = Failure::Status(Box::new(status));
                return if failure.is_expired() { Stop::Relist } else { Stop::Failed(failure) };
            }
            if let Some(newer) = text(&object, "/metadata/resourceVersion") {
                version = later(version, newer);
            }
            let kind = text_or_empty(&event, "/type");
            if !matches!(kind, "ADDED" | "MODIFIED" | "DELETED") || !self.newest.is_news(&object) {
                continue;
            }
            let object = bare(self.scope.named(object));
            let change = if kind == "DELETED" { Change::Gone(object) } else { Change::Set(object) };
            if !self.outlet.send(change).await {
                return Stop::Deaf;
            }
        }
    }

    /// Waits after a failure. False when there is no sense in going on.
    async fn failed(&mut self, failure: &Failure, seen: Seen) -> bool {
        if failure.is_expired() {
            return true;
        }
        let doing = Doing { cluster: &self.session.cluster, verb: "watch", object: None };
        let mut fault = faults::fault(failure, doing);
        fault.message =
            format!("{} (while watching {})", fault.message, self.scope.resource.plural);
        let (since, times) = self.trouble.unwrap_or((Instant::now(), 0));
        self.trouble = Some((since, times + 1));
        let budget = self.outlet.budget;
        let verdict = retry::verdict(failure, times + 1, since.elapsed(), budget, retry::random());
        match verdict {
            retry::Verdict::GiveUp => {
                self.outlet.send(Change::Ended(fault)).await;
                false
            }
            retry::Verdict::Again(pause) => {
                // Whether the server is away, the next list tells.
                if seen == Seen::Nothing && !self.is_blind {
                    self.is_blind = true;
                    if !self.outlet.send(Change::Interrupted(fault)).await {
                        return false;
                    }
                }
                tokio::time::sleep(pause).await;
                true
            }
        }
    }

    /// All could be listed. Pauses go on to grow until a watch says something:
    /// where no watch can be kept open, lists come every few seconds.
    async fn visible(&mut self) -> bool {
        if let Some((since, _)) = &mut self.trouble {
            *since = Instant::now();
        }
        !std::mem::take(&mut self.is_blind) || self.outlet.send(Change::Resumed).await
    }
}

/// Drops what nobody here reads, and what is large.
fn bare(mut item: Value) -> Value {
    if let Some(metadata) = item.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    item
}

/// The version to go on from: an event that comes late must not lead back.
fn later(version: String, other: &str) -> String {
    match (version.parse::<u64>(), other.parse::<u64>()) {
        (Ok(known), Ok(new)) if new < known => version,
        _ => other.to_owned(),
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
                // Whatever that is, the next connection may be better.
                return Err(Failure::Unreachable("an event without an end".to_owned()));
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
    fn what_is_late_or_doubled_is_no_news() {
        let object = |name: &str, version: &str| serde_json::json!({"metadata": {"name": name, "resourceVersion": version}});
        let mut newest = Newest::default();
        let told: Vec<bool> = [("a", "8"), ("a", "10"), ("a", "9"), ("a", "10"), ("b", "9")]
            .iter()
            .map(|(name, version)| newest.is_news(&object(name, version)))
            .collect();
        assert_eq!(told, [true, true, false, false, true]);
        assert!(newest.is_news(&object("c", "opaque")) && newest.is_news(&object("c", "opaque")));
        assert_eq!(later("10".to_owned(), "9"), "10");
        assert_eq!(later("10".to_owned(), "11"), "11");
        assert_eq!(later("x".to_owned(), "y"), "y");
    }
}
