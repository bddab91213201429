//! How a rollout that has failed goes back.

use crate::standing::{self, Standing};
use crate::{Program, order};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::strategy::{Action, STABLE, Workload};
use std::collections::{BTreeMap, BTreeSet};

impl Program<'_> {
    /// What is done before the engine is asked to bring back the rest, when the
    /// step with this number is the last that was begun.
    ///
    /// Workloads of which the old version still is the stable one go back to it at
    /// once, what others need last. Those whose stable track is of the new version
    /// keep their traffic where it is: only the engine can bring back the old.
    pub(crate) fn back_from(&self, last: usize) -> Result<Self, Fault> {
        let begun = self.steps().get(..=last).unwrap_or(self.steps());
        let standing = standing::begun(self.workloads(), begun);
        let mut order: Vec<&Workload> = order::batches(self.workloads())?.concat();
        order.reverse();
        let such = |wanted: &dyn Fn(&Standing) -> bool| -> Vec<String> {
            let stands = |name: &str| standing.get(name).filter(|one| !one.promoted);
            let names = order.iter().map(|one| &one.name);
            names.filter(|name| stands(name).is_some_and(wanted)).cloned().collect()
        };
        let mut back = self.emptied();
        let reduced = such(&|one| one.reduced);
        back.scale(STABLE, &reduced, 100);
        back.await_ready(STABLE, &reduced);
        let shifted = such(&|one| one.shifted);
        if !shifted.is_empty() {
            let message = format!("all traffic of {} to {STABLE}", shifted.join(", "));
            let weights = BTreeMap::from([(STABLE.to_owned(), 100)]);
            let (headers, mirror) = (Vec::new(), None);
            back.act(Action::Shift { weights, workloads: Some(shifted), headers, mirror }, message);
        }
        let tracks: BTreeSet<&String> = standing.values().flat_map(|one| &one.tracks).collect();
        for track in tracks {
            back.retire(track, &such(&|one| one.tracks.contains(track)));
        }
        Ok(back)
    }
}
