//! Argo CD's Application.
//!
//! It has no observed generation: what it says of a sync names the revision that it is
//! about, and what it says of the state which source was compared.

use serde_json::Value;

use super::revision::{commit, is_same_repository};
use super::status::{list, number, reference_of, text, text_or_empty, time};
use super::{About, Health, PullerState, RESOURCES_MAX, ResourceTrouble, Trouble, cut};
use crate::config::PullerKind;
use crate::ports::ObjectRef;

pub(super) fn state(object: &Value, repository: &str) -> PullerState {
    let place = source_place(object, repository);
    let revision = |at: &str| revision(object, at, place);
    let compared = revision("/status/sync").filter(|_| is_compared(object));
    let last = Operation::of(object, place);
    let synced = match text(object, "/status/sync/status") {
        Some("Synced") if compared.is_some() => compared.clone(),
        // What differs from it now was still brought: something else changes it, or what
        // is new was not brought yet.
        _ => last_brought(object, place),
    };
    let busy = last.busy(object);
    // What can't be read is told without its revision, and came after the last sync.
    let is_unread = compared.is_none() && has_condition(object, "ComparisonError");
    let is_of_now =
        !is_unread && (compared.is_none() || last.revision.is_none() || last.revision == compared);
    let attempted = match &busy {
        Some(_) => revision("/operation/sync").or(last.revision.clone()).or(compared),
        None if last.has_failed() && is_of_now => last.revision.clone().or(compared),
        None => compared,
    };
    let has_failed = busy.is_none() && last.has_failed() && is_of_now;
    let health = health(text_or_empty(object, "/status/health/status"));
    let since = time(object, "/status/health/lastTransitionTime");
    PullerState {
        kind: PullerKind::ArgoCd,
        object: reference_of(object, "argoproj.io/v1alpha1", "Application"),
        synced,
        attempted,
        trouble: trouble(object, has_failed),
        busy,
        health,
        health_message: cut(text_or_empty(object, "/status/health/message")),
        degraded_since: since.max(time(object, "/status/operationState/finishedAt")),
        resources: resources(object, has_failed),
        automated: object.pointer("/spec/syncPolicy/automated").is_some_and(|automated| {
            automated.is_object() && automated.get("enabled") != Some(&Value::Bool(false))
        }),
        suspended: false,
        source_suspended: None,
        awaits_health: true,
    }
}

/// The place of our source among several; none where there is only one.
fn source_place(object: &Value, repository: &str) -> Option<usize> {
    let sources = list(object, "/spec/sources");
    let is_ours =
        |source: &Value| is_same_repository(text_or_empty(source, "/repoURL"), repository);
    match sources {
        [] => None,
        several => Some(several.iter().position(is_ours).unwrap_or(0)),
    }
}

/// The commit of what is at `at`: `revision`, or of several sources `revisions`.
fn revision(object: &Value, at: &str, place: Option<usize>) -> Option<String> {
    let found = match place {
        Some(place) => text(object, &format!("{at}/revisions/{place}")),
        None => text(object, &format!("{at}/revision")),
    };
    found.and_then(commit)
}

/// Whether what is said of the state is about the sources as they are now.
fn is_compared(object: &Value) -> bool {
    let is_same = |one: &Value, other: &Value| {
        ["/repoURL", "/path", "/targetRevision"]
            .iter()
            .all(|part| text_or_empty(one, part) == text_or_empty(other, part))
    };
    let is_source = match object.pointer("/status/sync/comparedTo/source") {
        Some(compared) => is_same(compared, object.pointer("/spec/source").unwrap_or(compared)),
        None => true,
    };
    let now = list(object, "/spec/sources");
    let then = list(object, "/status/sync/comparedTo/sources");
    let are_sources = then.is_empty()
        || (now.len() == then.len() && now.iter().zip(then).all(|(now, then)| is_same(now, then)));
    is_source && are_sources
}

/// The commit of the last sync that was whole and successful.
fn last_brought(object: &Value, place: Option<usize>) -> Option<String> {
    let history = list(object, "/status/history");
    let (at, _) = history
        .iter()
        .enumerate()
        .max_by_key(|(at, entry)| (number(entry, "/id").unwrap_or(0), *at))?;
    revision(object, &format!("/status/history/{at}"), place)
}

/// The last sync.
struct Operation<'a> {
    phase: &'a str,
    message: &'a str,
    revision: Option<String>,
    /// How often it was tried again.
    retries: i64,
}

impl<'a> Operation<'a> {
    fn of(object: &'a Value, place: Option<usize>) -> Self {
        let at = "/status/operationState";
        let result = revision(object, &format!("{at}/syncResult"), place);
        Self {
            phase: text_or_empty(object, "/status/operationState/phase"),
            message: text_or_empty(object, "/status/operationState/message"),
            revision: result.or_else(|| revision(object, &format!("{at}/operation/sync"), place)),
            retries: number(object, "/status/operationState/retryCount").unwrap_or(0),
        }
    }

    /// What it does just now; it stays `Running` while it waits to try again.
    fn busy(&self, object: &Value) -> Option<String> {
        let doing = match self.phase {
            "Running" if self.retries > 0 => format!("syncs, attempt {}", self.retries + 1),
            "Running" => "syncs".to_owned(),
            "Terminating" => "ends a sync that somebody has stopped".to_owned(),
            _ if object.get("operation").is_some_and(Value::is_object) => {
                return Some("is about to sync".to_owned());
            }
            _ => return None,
        };
        Some(match self.message {
            "" => doing,
            message => format!("{doing}: {}", cut(message)),
        })
    }

    /// Whether it has failed and is not tried again.
    fn has_failed(&self) -> bool {
        matches!(self.phase, "Failed" | "Error")
    }
}

fn health(status: &str) -> Health {
    match status {
        "Healthy" => Health::Healthy,
        "Progressing" => Health::Progressing,
        "Degraded" => Health::Degraded,
        "Suspended" => Health::Suspended,
        "Missing" => Health::Missing,
        _ => Health::Unknown,
    }
}

fn has_condition(object: &Value, wanted: &str) -> bool {
    list(object, "/status/conditions").iter().any(|it| text(it, "/type") == Some(wanted))
}

fn trouble(object: &Value, has_failed: bool) -> Option<Trouble> {
    let conditions = list(object, "/status/conditions");
    let said = |wanted: &str, about| {
        let found = conditions.iter().find(|it| text(it, "/type") == Some(wanted))?;
        Some(Trouble::new(about, wanted, text_or_empty(found, "/message")))
    };
    let failed = || {
        has_failed.then(|| {
            let text = |pointer| text_or_empty(object, pointer);
            let phase = format!("sync {}", text("/status/operationState/phase"));
            Trouble::new(About::Attempt, &phase, text("/status/operationState/message"))
        })
    };
    said("InvalidSpecError", About::Settings)
        .or_else(failed)
        .or_else(|| said("SyncError", About::Attempt))
        // Of which revision is not told, and it is tried again with every look.
        .or_else(|| said("ComparisonError", About::Passing))
        .or_else(|| said("UnknownError", About::Passing))
        .or_else(|| {
            text(object, "/metadata/deletionTimestamp")
                .map(|_| Trouble::new(About::Passing, "Deleting", "it is being deleted"))
        })
}

/// What could not be brought, then what was and is not well.
fn resources(object: &Value, has_failed: bool) -> Vec<ResourceTrouble> {
    let results = list(object, "/status/operationState/syncResult/resources").iter();
    let failed = results.filter(|_| has_failed).filter_map(|it| {
        let reason = match (text(it, "/status"), text(it, "/hookPhase")) {
            (Some("SyncFailed"), _) => "SyncFailed",
            (_, Some("Failed" | "Error")) => "HookFailed",
            _ => return None,
        };
        Some((it, reason, text_or_empty(it, "/message")))
    });
    let unwell = list(object, "/status/resources").iter().filter_map(|it| {
        let status = text(it, "/health/status")?;
        let is_unwell = matches!(status, "Degraded" | "Missing" | "Suspended");
        is_unwell.then(|| (it, status, text_or_empty(it, "/health/message")))
    });
    let mut found: Vec<ResourceTrouble> = Vec::new();
    for (it, reason, message) in failed.chain(unwell) {
        let object = resource(it);
        if found.len() < RESOURCES_MAX && !found.iter().any(|known| known.object == object) {
            let (reason, message) = (reason.to_owned(), cut(message));
            found.push(ResourceTrouble { object, reason, message });
        }
    }
    found
}

fn resource(it: &Value) -> ObjectRef {
    let version = text_or_empty(it, "/version");
    ObjectRef {
        api_version: match text(it, "/group") {
            Some(group) => format!("{group}/{version}"),
            None => version.to_owned(),
        },
        kind: text_or_empty(it, "/kind").to_owned(),
        namespace: text(it, "/namespace").map(str::to_owned),
        name: text_or_empty(it, "/name").to_owned(),
    }
}
