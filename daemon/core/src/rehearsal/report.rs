//! What came of a rehearsal.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Fault;
use crate::rollout::Version;

/// What came of a rehearsal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended.
    pub ended: Ending,
    /// From the first decision until all is as it stays, in simulated
    /// milliseconds.
    pub duration_ms: u64,
    /// What users saw.
    pub requests: Figures,
    /// Of that, what the new version answered.
    pub of_new: Figures,
    /// The most that the new version ever got of a workload's requests, in
    /// percent.
    pub weight_max: u8,
    /// How much it got before each check had passed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, CheckFigures>,
    /// What happened, in order.
    pub timeline: Vec<Moment>,
}

/// How a rehearsal ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Ending {
    /// The new version runs everywhere.
    Completed,
    /// What ran before runs everywhere.
    RolledBack {
        /// Why.
        reason: String,
        /// When that was decided, in simulated milliseconds.
        decided_ms: u64,
    },
    /// It was given up, and nothing ran before that could be brought back.
    Failed {
        /// Why.
        reason: String,
    },
    /// The strategy asks for what can't be, fails itself, or comes to no end.
    /// What ran before is brought back.
    Stuck {
        /// As it would be recorded.
        fault: Fault,
    },
}

/// Requests, counted in expectation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// All.
    pub total: f64,
    /// Those that failed, also since nobody was there to answer.
    pub failed: f64,
    /// Those that were answered well, and slowly.
    pub slow: f64,
}

impl Figures {
    /// The part that failed, in percent.
    pub fn failed_percent(&self) -> f64 {
        of_all(self.failed, self.total)
    }

    /// The part that was slow, in percent.
    pub fn slow_percent(&self) -> f64 {
        of_all(self.slow, self.total)
    }

    /// Counts more.
    pub fn add(&mut self, more: Self) {
        self.total += more.total;
        self.failed += more.failed;
        self.slow += more.slow;
    }
}

fn of_all(part: f64, of: f64) -> f64 {
    if of > 0.0 { part / of * 100.0 } else { 0.0 }
}

/// 0 to 1 as a whole number of percent.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
pub fn percent(part: f64) -> u8 {
    (part * 100.0).round().clamp(0.0, 100.0) as u8
}

/// What the new version got without a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckFigures {
    /// The most percent of a workload's requests before it passed first.
    pub weight_before: u8,
    /// Whether it ever did.
    pub passed: bool,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When it began, in simulated milliseconds.
    pub at_ms: u64,
    /// How long it took.
    pub lasted_ms: u64,
    /// What was done.
    pub what: String,
    /// What came of it.
    pub outcome: String,
    /// The strategy's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How much of a workload's requests the new version gets afterwards, in
    /// percent; the most of all workloads.
    pub weight: u8,
    /// The tracks afterwards, of all workloads together.
    pub tracks: BTreeMap<String, TrackFigures>,
}

/// A track of all workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackFigures {
    /// What runs there, or is about to.
    pub version: Version,
    /// Percent of a workload's requests that it gets; the most of all workloads.
    pub weight: u8,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods that are wanted.
    pub wanted: u32,
}
