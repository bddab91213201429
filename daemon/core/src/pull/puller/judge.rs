//! Whether what was committed runs, as far as the one says who has brought it.

use serde_json::json;

use super::{About, Health, PullerState, Trouble, short};
use crate::config::PullerKind;
use crate::ports::ObjectRef;
use crate::{Fault, FaultClass, Timestamp};

/// How long what was brought may be degraded before that is a failure: objects of other
/// controllers often are for a moment, until these have seen them.
pub const DEGRADED_GRACE_MS: u64 = 60_000;

/// What has become of what was committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is waited for; on what, for a person.
    Waiting(String),
    /// It was brought, and is healthy as far as the one can tell who has brought it
    /// ([`PullerState::awaits_health`]).
    There,
    /// It will not come by itself; why.
    Failed(Fault),
}

/// What has become of what was committed. `ours` says of a commit that the state names
/// ([`PullerState::revisions`]) whether it has what was committed; none where nobody
/// knows.
pub fn judge(state: &PullerState, ours: impl Fn(&str) -> Option<bool>, now: Timestamp) -> Verdict {
    let has = |commit: &Option<String>| commit.as_deref().and_then(&ours) == Some(true);
    let is_synced = has(&state.synced);
    let is_newest = state.attempted.is_none() || state.attempted == state.synced;
    if is_synced && !is_newest && state.kind != PullerKind::ArgoCd {
        // It was seen healthy before anything newer was tried.
        return Verdict::There;
    }
    // What is newer than ours and fails is others' trouble.
    let is_about_ours = has(&state.attempted) && (!is_synced || is_newest);
    match &state.trouble {
        Some(trouble) if trouble.about == About::Attempt && is_about_ours => {
            return Verdict::Failed(not_brought(state, trouble));
        }
        Some(trouble) if trouble.about == About::Settings && !is_synced => {
            return Verdict::Failed(invalid(state, trouble));
        }
        _ => {}
    }
    if is_synced {
        return brought(state, now);
    }
    Verdict::Waiting(waits(state, has(&state.attempted), &ours))
}

/// What is to be said where there is no object of the one who is to bring it.
pub fn absent(object: &ObjectRef) -> Verdict {
    Verdict::Waiting(format!(
        "{object} is not there, which is to bring it to the cluster: create it, or correct \
         git.puller of the environment's type"
    ))
}

/// What becomes of what was brought.
fn brought(state: &PullerState, now: Timestamp) -> Verdict {
    let object = &state.object;
    if let Some(busy) = &state.busy {
        return Verdict::Waiting(format!("{object} {busy}"));
    }
    match state.health {
        Health::Healthy => Verdict::There,
        Health::Degraded => {
            let is_new =
                state.degraded_since.is_some_and(|since| now < since.plus_ms(DEGRADED_GRACE_MS));
            match is_new {
                true => Verdict::Waiting(format!("{}; it may recover", unwell(state))),
                false => Verdict::Failed(fault(
                    state,
                    FaultClass::Permanent,
                    "puller-degraded",
                    unwell(state),
                )),
            }
        }
        Health::Suspended => Verdict::Waiting(format!(
            "{}: it goes on once somebody has promoted or resumed it",
            unwell(state)
        )),
        Health::Progressing | Health::Missing | Health::Unknown => Verdict::Waiting(unwell(state)),
    }
}

/// `Application argocd/shop has brought 3f2a1b4c5d6e, which is degraded: Deployment …`.
fn unwell(state: &PullerState) -> String {
    let said = state.sentence();
    match state.in_trouble() {
        resources if resources.is_empty() => said,
        resources => format!("{said}: {resources}"),
    }
}

/// What is waited for while it was not brought.
fn waits(state: &PullerState, is_attempted: bool, ours: &impl Fn(&str) -> Option<bool>) -> String {
    let object = &state.object;
    let trouble = state.trouble.as_ref().map(Trouble::sentence);
    let tried = state.attempted.as_deref().map(short);
    if let (true, Some(busy), Some(tried)) = (is_attempted, &state.busy, tried) {
        return format!("{object} brings {tried}, and {busy}");
    }
    let has = match &state.synced {
        Some(commit) if ours(commit).is_none() => {
            let commit = short(commit);
            format!("{object} has brought {commit}, of which nobody knows whether it is ours")
        }
        Some(commit) => {
            let commit = short(commit);
            format!("{object} has brought {commit}, which does not have what was committed")
        }
        None => format!("{object} has brought nothing that names a commit"),
    };
    let why = match (state.command(), trouble, &state.busy) {
        (Some(command), ..) if state.busy.is_none() => {
            let stopped = match (&state.source_suspended, state.kind) {
                (Some(source), _) if !state.suspended => format!("{source} is suspended"),
                (_, PullerKind::ArgoCd) => "it does not sync by itself".to_owned(),
                _ => "it is suspended".to_owned(),
            };
            format!("{stopped}; somebody has to run: {command}")
        }
        (_, Some(trouble), _) => match tried {
            Some(tried) => format!("it is kept from bringing {tried} by {trouble}"),
            None => format!("it is kept from more by {trouble}"),
        },
        (_, None, Some(busy)) => format!("it {busy}"),
        (_, None, None) => "it has not looked at the repository since".to_owned(),
    };
    format!("{has}: {why}")
}

fn not_brought(state: &PullerState, trouble: &Trouble) -> Fault {
    let commit = state.attempted.as_deref().map_or("", short);
    let mut message = format!("{} could not bring {commit}: {}", state.object, trouble.sentence());
    let resources = state.in_trouble();
    if !resources.is_empty() {
        message = format!("{message}; {resources}");
    }
    fault(state, FaultClass::Permanent, "puller-sync-failed", message)
}

fn invalid(state: &PullerState, trouble: &Trouble) -> Fault {
    let message = format!(
        "{} brings nothing until somebody has changed it: {}",
        state.object,
        trouble.sentence()
    );
    fault(state, FaultClass::Invalid, "puller-invalid", message)
}

fn fault(state: &PullerState, class: FaultClass, code: &str, message: String) -> Fault {
    let resources: Vec<_> = state
        .resources
        .iter()
        .map(|it| json!({"object": it.object, "reason": it.reason, "message": it.message}))
        .collect();
    let mut detail = json!({"puller": state.object, "synced": state.synced,
        "attempted": state.attempted, "resources": resources});
    if let (Some(trouble), Some(fields)) = (&state.trouble, detail.as_object_mut()) {
        fields.insert("reason".to_owned(), trouble.reason.clone().into());
    }
    Fault::new(class, code, message).with_detail(detail)
}
