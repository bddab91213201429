//! What has been done to each workload by a part of a program.

use crate::Step;
use deployd_plugin_sdk::strategy::{Action, STABLE, Way, Workload};
use std::collections::{BTreeMap, BTreeSet};

/// What has been done to one workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its stable track is of the new version, or was about to be.
    pub promoted: bool,
    /// The stable track has fewer ready replicas than are wanted, or may have.
    pub reduced: bool,
    /// It is to have all of them again.
    restored: bool,
    /// Not all its traffic goes to the stable track.
    pub shifted: bool,
    /// Its other tracks.
    pub tracks: BTreeSet<String>,
}

/// What has been done to each workload, and what may have been, when the last of
/// these steps was begun.
pub(crate) fn begun(workloads: &[Workload], steps: &[Step]) -> BTreeMap<String, Standing> {
    let before = steps.split_last().map_or(steps, |(_, before)| before);
    let mut before = done(workloads, before);
    let mut all = done(workloads, steps);
    for (name, standing) in &mut all {
        let before = before.remove(name).unwrap_or_default();
        *standing = std::mem::take(standing).or(before);
    }
    all
}

fn done(workloads: &[Workload], steps: &[Step]) -> BTreeMap<String, Standing> {
    let mut all: BTreeMap<String, Standing> =
        workloads.iter().map(|one| (one.name.clone(), Standing::default())).collect();
    let by_ratio: BTreeSet<&str> = workloads
        .iter()
        .filter(|one| one.traffic.way == Way::Service)
        .map(|one| one.name.as_str())
        .collect();
    for step in steps {
        for (name, standing) in &mut all {
            standing.take(&step.action, name, by_ratio.contains(name.as_str()));
        }
    }
    all
}

impl Standing {
    /// What is true of one of both: whether the last step was done is not known.
    fn or(mut self, other: Self) -> Self {
        self.promoted |= other.promoted;
        self.reduced |= other.reduced;
        self.shifted |= other.shifted;
        self.tracks.extend(other.tracks);
        self
    }

    fn take(&mut self, action: &Action, name: &str, by_ratio: bool) {
        let among = |names: &[String]| names.iter().any(|one| one == name);
        let among_some = |names: &Option<Vec<String>>| names.as_deref().is_none_or(among);
        match action {
            Action::Apply { track, workloads, .. } if among(workloads) && track == STABLE => {
                self.promoted = true;
                self.reduced = false;
            }
            Action::Apply { track, workloads, .. } if among(workloads) => {
                self.tracks.insert(track.clone());
            }
            Action::Scale { track, workloads, percent } if among(workloads) && track == STABLE => {
                self.restored = *percent == 100;
                self.reduced |= !self.restored;
            }
            Action::AwaitReady { track, workloads, .. } if among(workloads) && track == STABLE => {
                self.reduced &= !self.restored;
            }
            Action::Shift { weights, workloads, headers, mirror } if among_some(workloads) => {
                let stable = weights.get(STABLE).copied().unwrap_or(0);
                self.shifted = stable != 100 || !headers.is_empty() || mirror.is_some();
                // The engine sets the number of replicas.
                if by_ratio && (1..100).contains(&stable) {
                    (self.reduced, self.restored) = (true, false);
                }
            }
            Action::Retire { track, workloads } if among_some(workloads) => {
                self.tracks.remove(track);
            }
            _ => {}
        }
    }
}
