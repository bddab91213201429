//! Which workloads go together.

use crate::{Batch, Config};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::strategy::Context;

/// How many workloads are applied before a person is waited for; none if nobody is.
pub(crate) fn held(config: &Config, all: usize) -> Option<usize> {
    let percent = usize::try_from(config.partition?.min(100)).unwrap_or(100);
    let held = all.saturating_mul(percent).div_ceil(100);
    (1..all).contains(&held).then_some(held)
}

/// Batches of names, one of which ends where a person is waited for.
pub(crate) fn of(
    context: &Context<Config>,
    held: Option<usize>,
) -> Result<Vec<Vec<String>>, Fault> {
    let workloads = &context.workloads;
    let batches = match context.config.batch {
        Batch::All => vec![workloads.iter().collect()],
        Batch::Ordered => rollout::batches(workloads)?,
    };
    let most = context.config.max_parallel.map_or(usize::MAX, |most| most.max(1) as usize);
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut applied = 0;
    for batch in batches {
        let mut part = Vec::new();
        for one in batch {
            part.push(one.name.clone());
            applied += 1;
            if part.len() >= most || Some(applied) == held {
                parts.push(std::mem::take(&mut part));
            }
        }
        parts.push(part);
    }
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}
