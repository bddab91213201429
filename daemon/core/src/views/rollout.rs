//! A rollout as people watch it: tracks and who gets how much, checks and what
//! they have measured, what is done or waited for, why, and for how long yet.
//!
//! All of it follows from the deployment's record, its plan and its manifests
//! ([`rollout_view`]); nothing is kept for it. Only how many pods are ready is asked
//! of the cluster ([`rollout_pods`], [`RolloutView::with_pods`]).

mod commands;
mod doing;
mod fold;
mod pods;
mod runs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::{Outcome, Phase, StepId};
use crate::ports::PluginRef;
use crate::rollout::checking::{CheckResult, Point};
use crate::rollout::{HeaderMatch, Version, Via};
use crate::{DeploymentId, EnvironmentId, Name, Timestamp};

pub use fold::{Recorded, rollout_view};
pub use pods::{PodCount, PodsCounted, RolloutPods, rollout_pods};

/// Runs of checks in one view, the newest. Each has up to
/// [`TAIL_MAX`](crate::rollout::checking::TAIL_MAX) points for each of its checks,
/// and all of it goes to whoever watches with each change.
pub const RUNS_SHOWN_MAX: usize = 6;

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Where.
    pub environment: EnvironmentId,
    /// Its number there.
    pub number: u64,
    /// Where the deployment stands.
    pub phase: Phase,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it stood so: times that are left count from here.
    pub at: Timestamp,
    /// The plugin that decides; none until it is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<PluginRef>,
    /// 0 to 100, as the strategy says.
    pub progress: u8,
    /// What the strategy has said last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// That somebody wants nothing more to be rolled out for now, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What it does now, or waits for; none before it begins and once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<RolloutDoing>,
    /// Workloads, in the order in which they need each other; none until their
    /// manifests are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<RolloutWorkload>,
    /// When the cluster was asked how many pods are ready; none where that is not
    /// known, and once the deployment has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods_counted: Option<Timestamp>,
    /// Why it is not known how many pods are ready: the cluster is away, or does not
    /// answer in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods_unknown: Option<String>,
    /// Runs of checks, oldest first; the newest [`RUNS_SHOWN_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRun>,
    /// What a person can do about it now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<NextCommand>,
    /// Parts that are recorded and can't be read any more, and why: they are
    /// missing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

impl RolloutView {
    /// Whether there is no rollout yet.
    pub fn is_empty(&self) -> bool {
        self.doing.is_none() && self.workloads.is_empty()
    }

    /// The run of checks that goes on, if one does.
    pub fn running(&self) -> Option<&CheckRun> {
        self.checks.iter().rev().find(|run| run.ended.is_none())
    }
}

/// What a rollout does, or waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutDoing {
    /// The step; none where nothing is begun because somebody has paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// For people: `shift to canary 10 %, stable 90 %`.
    pub what: String,
    /// Why: what the strategy said, what has failed, or who wanted it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When that ends: see [`WaitsFor`]. None where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Milliseconds until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// What a rollout waits for, and what the time is that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsFor {
    /// The strategy, which decides.
    Decision,
    /// The cluster, which is changed.
    Cluster,
    /// Pods; they have to be ready when the time is over.
    Pods,
    /// Nothing but the time.
    Time,
    /// Checks; they pass no earlier than the time says.
    Checks,
    /// A person.
    Person,
    /// The next attempt, after the last one has failed.
    Retry,
}

/// A workload in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutWorkload {
    /// Its name.
    pub name: String,
    /// By what its traffic is divided.
    pub via: Via,
    /// The same for people, with the steps in which it can be.
    pub divided: String,
    /// The percents that a track can get; none for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<Vec<u8>>,
    /// Its tracks, `stable` first.
    pub tracks: Vec<RolloutTrack>,
    /// Requests that go to a track by a header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// The track that gets a copy of each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
}

/// A track of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutTrack {
    /// `stable`, `canary`.
    pub name: String,
    /// What runs in it.
    pub version: Version,
    /// How many pods it is to have; where the cluster decides that, as with an
    /// autoscaler, what the cluster said when pods were counted last.
    pub replicas: u32,
    /// How many pods of this version were ready when pods were counted last
    /// (`podsCounted`); none where that is not known (`podsUnknown`), and where nothing
    /// of it runs pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<u32>,
    /// The percent of the requests that it gets.
    pub weight: u8,
    /// The percent that the strategy wants it to get, where that can't be
    /// reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u8>,
}

/// One run of several checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckRun {
    /// The step.
    pub step: StepId,
    /// The track that they are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// The track that it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Whether it has ended because somebody did not want to wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// What it has come to.
    pub verdict: CheckResult,
    /// Each check.
    pub checks: Vec<RolloutCheck>,
}

/// How far a check has got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutCheck {
    /// Its name.
    pub name: Name,
    /// What it has come to so far.
    pub verdict: CheckResult,
    /// For a person: its newest measurement.
    pub message: String,
    /// Measurements that have passed since the last one that failed.
    pub passes: u32,
    /// Passes that are needed.
    pub needed: u32,
    /// Measurements that have failed.
    pub failures: u32,
    /// Failures that are borne.
    pub failure_limit: u32,
    /// Measurements that were inconclusive.
    pub inconclusives: u32,
    /// Inconclusive ones that are borne.
    pub inconclusive_limit: u32,
    /// Errors since something was measured last.
    pub errors: u32,
    /// Errors in a row that are borne.
    pub error_limit: u32,
    /// When it is measured next; none if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// Milliseconds until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_in_ms: Option<u64>,
    /// What was measured, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
}

impl RolloutCheck {
    /// Each value that it measures, by its name and unit, with all of its points
    /// that have a number; in the order of the newest measurement.
    pub fn series(&self) -> Vec<Series<'_>> {
        let newest = self.points.iter().rev().find(|point| !point.values.is_empty());
        let names = newest.into_iter().flat_map(|point| &point.values);
        let of = |name: &str| {
            let values = self.points.iter().flat_map(|point| {
                point.values.iter().filter(|it| it.name == name).map(|it| (point.at, it.value))
            });
            values.filter(|(_, value)| value.is_finite()).collect()
        };
        names
            .map(|it| Series {
                name: &it.name,
                unit: &it.unit,
                points: of(&it.name),
                last: it.value,
            })
            .collect()
    }
}

/// One value over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<'a> {
    /// What was measured.
    pub name: &'a str,
    /// `s`, `%`; empty for none.
    pub unit: &'a str,
    /// Its numbers, oldest first.
    pub points: Vec<(Timestamp, f64)>,
    /// The newest value, which may be no number.
    pub last: f64,
}

/// Something that a person can do about a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextCommand {
    /// `deployd promote shop/production`.
    pub command: String,
    /// What comes of it.
    pub does: String,
}

#[cfg(test)]
mod tests;
