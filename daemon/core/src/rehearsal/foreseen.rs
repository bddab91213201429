//! What a plan shows of the rollout that would execute it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{Ending, Report};
use crate::Fault;
use crate::rollout::{STABLE, Way};

/// The most steps that are listed: more than anybody reads.
pub const STEPS_LISTED_MAX: usize = 60;

/// The rollout of a plan, as it is foreseen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutPreview {
    /// By what each workload's traffic can be divided.
    pub traffic: BTreeMap<String, String>,
    /// What is done when all goes well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Foreseen>,
    /// How many more steps there are than those listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// How long that takes with pods that are ready after ten seconds and people
    /// who answer after a minute, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What comes out otherwise than the strategy wants it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why nothing could be foreseen, such as a configuration that the strategy
    /// refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Fault>,
}

/// A step that is foreseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Foreseen {
    /// What is done.
    pub what: String,
    /// How much of a workload's requests the new version gets afterwards, in
    /// percent; the most of all workloads.
    pub weight: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl RolloutPreview {
    /// Of these ways alone.
    pub fn of(ways: &BTreeMap<String, Way>) -> Self {
        let traffic = ways.iter().map(|(name, way)| (name.clone(), way.sentence.clone()));
        Self { traffic: traffic.collect(), ..Self::default() }
    }

    /// With what a rehearsal in which all goes well came to.
    #[must_use]
    pub fn with(mut self, report: &Report, notes: Vec<String>) -> Self {
        let steps = report.timeline.iter();
        self.steps = steps
            .take(STEPS_LISTED_MAX)
            .map(|moment| Foreseen { what: moment.what.clone(), weight: moment.weight })
            .collect();
        self.more = report.timeline.len().saturating_sub(STEPS_LISTED_MAX);
        self.duration_ms = Some(report.duration_ms);
        self.problem = match &report.ended {
            Ending::Completed => None,
            Ending::Stuck { fault } => Some(fault.clone()),
            Ending::RolledBack { reason, .. } | Ending::Failed { reason } => {
                Some(Fault::permanent("rolled-back", reason.clone()))
            }
        };
        self.notes = notes.into_iter().take(STEPS_LISTED_MAX).collect();
        self
    }
}

/// What will come of the weights that a shift asks for, where it is something
/// else.
pub fn shortfalls(
    ways: &BTreeMap<String, Way>,
    weights: &BTreeMap<String, u32>,
    workloads: &[String],
) -> Vec<String> {
    let others = weights.iter().filter(|(track, _)| *track != STABLE);
    let asked = others.filter_map(|(_, weight)| u8::try_from(*weight).ok());
    asked
        .flat_map(|weight| {
            workloads.iter().filter_map(move |name| ways.get(name)?.shortfall(name, weight))
        })
        .collect()
}
