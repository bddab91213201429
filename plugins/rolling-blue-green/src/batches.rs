//! What is switched at once.

use crate::{By, Config};
use deployd_plugin_sdk::Fault;
use rollout::{Batch, Parts, Role, unreachable};

/// Percent of the traffic, if nothing is said; less of them where not all can be
/// reached.
const WEIGHTS: [u32; 3] = [25, 50, 100];

/// The batches that a configuration asks for.
pub(crate) fn of(config: &Config, parts: &Parts<'_>) -> Result<Vec<Batch>, Fault> {
    let percents = config.batches.as_deref();
    rise(percents.unwrap_or(&WEIGHTS))?;
    match (config.by, percents) {
        (By::Weight, None) => {
            let tracked = parts.tracked();
            let reached = WEIGHTS.into_iter().filter(|one| unreachable(&tracked, *one).is_none());
            Ok(reached.map(Batch::Weight).collect())
        }
        (By::Weight, Some(percents)) => by_weight(percents, parts),
        (By::Workloads, None) => {
            Ok(parts.batches(&[Role::Tracked]).into_iter().map(Batch::Workloads).collect())
        }
        (By::Workloads, Some(percents)) => Ok(by_workloads(percents, parts)),
    }
}

/// Each is more than the one before, and the last is all.
fn rise(percents: &[u32]) -> Result<(), Fault> {
    let mut last = 0;
    for (at, percent) in percents.iter().enumerate() {
        if *percent <= last || *percent > 100 {
            let expected = format!("{percent} %; expected more than {last} % and at most 100 %");
            return Err(Fault::invalid(format!("/config/batches/{at}"), expected));
        }
        last = *percent;
    }
    match last {
        100 => Ok(()),
        _ => Err(Fault::invalid("/config/batches", "the last batch has to be 100 %")),
    }
}

fn by_weight(percents: &[u32], parts: &Parts<'_>) -> Result<Vec<Batch>, Fault> {
    let tracked = parts.tracked();
    for (at, percent) in percents.iter().enumerate() {
        if let Some(why) = unreachable(&tracked, *percent) {
            return Err(Fault::invalid(format!("/config/batches/{at}"), why));
        }
    }
    Ok(percents.iter().copied().map(Batch::Weight).collect())
}

/// So many percent of the workloads, rounded up, in dependency order.
fn by_workloads(percents: &[u32], parts: &Parts<'_>) -> Vec<Batch> {
    let names = parts.batches(&[Role::Tracked]).concat();
    let mut rest = names.as_slice();
    let mut batches = Vec::new();
    for percent in percents {
        let percent = usize::try_from(*percent).unwrap_or(100);
        let until = names.len().saturating_mul(percent).div_ceil(100);
        let switched = names.len() - rest.len();
        let (batch, after) =
            rest.split_at_checked(until.saturating_sub(switched)).unwrap_or((rest, &[]));
        if !batch.is_empty() {
            batches.push(Batch::Workloads(batch.to_vec()));
        }
        rest = after;
    }
    batches
}
