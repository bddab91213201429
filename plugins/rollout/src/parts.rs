//! What happens to which workload.

use crate::order;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::strategy::{Way, Workload};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to a workload in a rollout with tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It changed, runs already, and its traffic can be divided: it has tracks.
    Tracked,
    /// It is applied in place while tracks are prepared, since one needs it.
    Early,
    /// It is applied in place with the promotion.
    Late,
    /// It did not change: it is applied at the end, which does nothing.
    Unchanged,
}

/// The workloads of a rollout, in dependency order, with their roles.
#[derive(Debug)]
pub struct Parts<'c> {
    batches: Vec<Vec<(&'c Workload, Role)>>,
}

impl<'c> Parts<'c> {
    /// Fails if workloads wait for each other.
    pub fn of(workloads: &'c [Workload]) -> Result<Self, Fault> {
        Self::with(workloads, is_tracked)
    }

    /// The same without tracks: all that changed is applied in place.
    pub fn in_place(workloads: &'c [Workload]) -> Result<Self, Fault> {
        Self::with(workloads, |_| false)
    }

    fn with(workloads: &'c [Workload], is_tracked: fn(&Workload) -> bool) -> Result<Self, Fault> {
        let batches = order::batches(workloads)?;
        let needed = needed(workloads, is_tracked);
        let role = |one: &Workload| match one {
            _ if !one.changed => Role::Unchanged,
            _ if is_tracked(one) => Role::Tracked,
            _ if needed.contains(one.name.as_str()) => Role::Early,
            _ => Role::Late,
        };
        let with_role = |batch: Vec<&'c Workload>| batch.into_iter().map(|one| (one, role(one)));
        Ok(Self { batches: batches.into_iter().map(|batch| with_role(batch).collect()).collect() })
    }

    /// The batches of names of workloads with these roles; none is empty.
    pub fn batches(&self, roles: &[Role]) -> Vec<Vec<String>> {
        let names = |batch: &Vec<(&Workload, Role)>| -> Vec<String> {
            let wanted = batch.iter().filter(|(_, role)| roles.contains(role));
            wanted.map(|(one, _)| one.name.clone()).collect()
        };
        self.batches.iter().map(names).filter(|names| !names.is_empty()).collect()
    }

    /// The workloads with tracks.
    pub fn tracked(&self) -> Vec<&'c Workload> {
        let all = self.batches.iter().flatten();
        all.filter(|(_, role)| *role == Role::Tracked).map(|(one, _)| *one).collect()
    }
}

/// A workload that nothing can be kept away from is not tried beside the old
/// one: a copy of it would have its full part of the work at once.
fn is_tracked(one: &Workload) -> bool {
    one.changed && one.current.is_some() && one.tracks && one.traffic.way != Way::None
}

/// The names of the workloads that those need, directly or through others.
fn needed(workloads: &[Workload], by: impl Fn(&Workload) -> bool) -> BTreeSet<&str> {
    let known: BTreeMap<&str, &Workload> =
        workloads.iter().map(|one| (one.name.as_str(), one)).collect();
    let mut needed = BTreeSet::new();
    let mut open: Vec<&str> = workloads
        .iter()
        .filter(|one| by(one))
        .flat_map(|one| &one.after)
        .map(String::as_str)
        .collect();
    while let Some(name) = open.pop() {
        if needed.insert(name) {
            open.extend(known.get(name).into_iter().flat_map(|one| &one.after).map(String::as_str));
        }
    }
    needed
}
