//! What a rollout has done so far, and whether what comes next can be done.

use std::collections::BTreeMap;

use super::error::TrackError;
use super::overlay::{NameTaken, names_free};
use super::tracks::{Shift, Tracks};
use super::traffic::{Impossible, Way, allowed};
use crate::deployment::Action;
use crate::plan::Manifests;
use crate::{Fault, FaultClass};

/// An action that a strategy asks for can't be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The tracks are not such that it could be.
    #[error("{0}")]
    Tracks(#[from] TrackError),
    /// Nothing can divide the traffic like that.
    #[error("{0}")]
    Traffic(#[from] Impossible),
    /// A copy can't be named.
    #[error("{0}")]
    Name(#[from] NameTaken),
    /// It calls itself done, and is not.
    #[error("the strategy calls the rollout done, but {0}")]
    Unfinished(String),
}

impl Refused {
    /// As it is recorded: the strategy's mistake, but for what the manifests
    /// don't allow.
    pub fn fault(&self) -> Fault {
        let (code, class) = match self {
            Self::Tracks(error) => (error.code(), FaultClass::Bug),
            Self::Traffic(error) => (error.code(), FaultClass::Invalid),
            Self::Name(_) => ("track-name-taken", FaultClass::Invalid),
            Self::Unfinished(_) => ("rollout-unfinished", FaultClass::Bug),
        };
        Fault::new(class, code, self.to_string())
    }
}

/// What has become of an action that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It was done.
    Done,
    /// It was not, or nobody knows how much of it was.
    Failed,
}

/// What all workloads' tracks are after these actions, each begun at least.
///
/// Each was found to be possible before it was begun; one that is not, of an
/// earlier version of the rules, changes nothing.
pub fn after<'a>(
    workloads: impl IntoIterator<Item = &'a str>,
    actions: impl IntoIterator<Item = (&'a Action, Came)>,
) -> Tracks {
    let mut tracks = Tracks::stable(workloads);
    for (action, came) in actions {
        let changed = match came {
            Came::Done => then(&tracks, action),
            Came::Failed => failed(&tracks, action),
        };
        if let Ok(changed) = changed {
            tracks = changed;
        }
    }
    tracks
}

/// The tracks after an action that has failed. A track may be there although it
/// was not applied to its end. Traffic that was not led elsewhere, and tracks that
/// did not go, are as they were, so that the same can be wanted again.
pub fn failed(tracks: &Tracks, action: &Action) -> Result<Tracks, TrackError> {
    match action {
        Action::Apply { track, workloads, .. } | Action::Scale { track, workloads, .. } => {
            Ok(then(tracks, action)?.failed(track, workloads))
        }
        _ => Ok(tracks.clone()),
    }
}

/// The tracks after one more action; the same for those that change none.
pub fn then(tracks: &Tracks, action: &Action) -> Result<Tracks, TrackError> {
    match action {
        Action::Apply { track, workloads, version, percent } => {
            tracks.applied(track, workloads, *version, *percent)
        }
        Action::Scale { track, workloads, percent } => tracks.scaled(track, workloads, *percent),
        Action::Shift { weights, workloads, headers, mirror } => {
            let shift = Shift {
                weights: weights.clone(),
                headers: headers.clone(),
                mirror: mirror.clone(),
            };
            tracks.shifted(&shift, workloads.as_deref())
        }
        Action::Retire { track, workloads } => tracks.retired(track, workloads.as_deref()),
        Action::AwaitReady { .. }
        | Action::RunChecks { .. }
        | Action::Sleep { .. }
        | Action::Pause { .. }
        | Action::Complete {}
        | Action::RollBack { .. } => Ok(tracks.clone()),
    }
}

/// Whether an action can be done; the tracks after it.
pub fn possible(
    tracks: &Tracks,
    action: &Action,
    new: &Manifests,
    current: Option<&Manifests>,
    ways: &BTreeMap<String, Way>,
) -> Result<Tracks, Refused> {
    let changed = then(tracks, action)?;
    if *action == (Action::Complete {}) && !changed.is_canonical() {
        let missing: Vec<String> = changed
            .missing()
            .iter()
            .map(|one| format!("of workload {}, {}", one.workload, one.what))
            .collect();
        return Err(Refused::Unfinished(missing.join("; ")));
    }
    // Where nothing changes, what is wrong was said before.
    if changed != *tracks {
        allowed(ways, &changed)?;
        names_free(new, current, &changed)?;
    }
    Ok(changed)
}
