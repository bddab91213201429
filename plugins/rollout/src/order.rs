//! Which workloads go together.

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::strategy::Workload;

/// Batches: a workload is in the first batch after all its predecessors.
pub fn batches(workloads: &[Workload]) -> Result<Vec<Vec<&Workload>>, Fault> {
    let mut batches = Vec::new();
    let mut waiting: Vec<&Workload> = workloads.iter().collect();
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
        batches.push(free);
        waiting = blocked;
    }
    Ok(batches)
}
