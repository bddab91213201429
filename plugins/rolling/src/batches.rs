//! Which workloads go together.

use crate::{Batch, Config};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::strategy::Context;

/// Batches of names: a workload is in the first batch after all its predecessors.
pub(crate) fn of(context: &Context<Config>) -> Result<Vec<Vec<String>>, Fault> {
    let workloads = &context.workloads;
    if context.config.batch == Batch::All {
        let all: Vec<String> = workloads.iter().map(|one| one.name.clone()).collect();
        return Ok(if all.is_empty() { Vec::new() } else { vec![all] });
    }
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut waiting: Vec<_> = workloads.iter().collect();
    while !waiting.is_empty() {
        // A predecessor that is not part of this rollout is there already.
        let (blocked, free): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|one| {
            waiting.iter().any(|other| other.name != one.name && one.after.contains(&other.name))
        });
        if free.is_empty() {
            let names: Vec<&str> = blocked.iter().map(|one| one.name.as_str()).collect();
            return Err(Fault::invalid(
                "/workloads",
                format!("{} wait for each other", names.join(", ")),
            ));
        }
        batches.push(free.iter().map(|one| one.name.clone()).collect());
        waiting = blocked;
    }
    Ok(batches)
}
