//! All that is known of one deployment, in one document: for those who ask why
//! it went as it did, while it runs or years later.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::{DeploymentRecord, Step, StepKind};
use crate::plan::{ObjectChange, Plan};
use crate::ports::{DriverAction, ObjectRef, PluginRef, Snapshot, WorkloadFault};
use crate::set::Delta;
use crate::views::LogEntry;
use crate::{DeploymentId, Fault, Timestamp};

/// All that is known of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DebugView {
    /// Its record, with its steps.
    pub record: DeploymentRecord,
    /// What it changes; none before it is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    /// Its steps in the order in which they began.
    pub timeline: Vec<TimelineStep>,
    /// The end of its log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogEntry>,
    /// Lines of the log that are not here: see `GET .../logs`, unless they were
    /// not kept.
    #[serde(default)]
    pub lines_left_out: u64,
    /// Objects that it has applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<ObjectRef>,
    /// Workloads that did not become ready: their containers, events and logs as
    /// they were then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<WorkloadFault>,
    /// How the pods were at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Seen>,
    /// How the pods are now, while it runs and while what it brought runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Seen>,
    /// Why `now` is missing: the cluster did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_seen: Option<Fault>,
    /// What to do about its fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Whether its log and its snapshot are gone because their time was over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub details_gone: bool,
    /// Parts that are recorded and can't be read any more, and why: they are
    /// missing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// How pods were at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// How.
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

/// What a deployment changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// What ran before; none for the environment's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DeploymentId>,
    /// Of the set.
    pub set: Delta,
    /// What happens to resources, by name; those that stay as they are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, DriverAction>,
    /// Of manifests, object by object; what was to be applied before against
    /// what is now. Empty until they are rendered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectChange>,
}

/// A step on a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineStep {
    /// `provision:<uid>`.
    pub step: String,
    /// What it does it to, where its name does not say: `postgres#backend.db`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Milliseconds from when the deployment was asked for until it was begun.
    pub after_ms: u64,
    /// Milliseconds that it took, so far if it still runs.
    pub took_ms: u64,
    /// How often it was begun.
    pub attempts: u32,
    /// Where it stands: `succeeded`.
    pub status: String,
    /// The plugin that does its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRef>,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What a plan says about the change.
pub fn changed(plan: &Plan, objects: Vec<ObjectChange>) -> Changed {
    let name = |uid| plan.graph.nodes.get(uid).map(|node| node.key.to_string());
    let planned = plan.resources.iter().filter(|(_, it)| it.action != DriverAction::None);
    let resources = planned.filter_map(|(uid, it)| Some((name(uid)?, it.action))).collect();
    let (from, set) = match &plan.previous {
        Some(previous) => (Some(previous.deployment.clone()), previous.delta.clone()),
        None => (None, Delta::default()),
    };
    Changed { from, set, resources, objects }
}

/// The steps of a deployment that have begun, in the order in which they did.
pub fn timeline(
    record: &DeploymentRecord,
    plan: Option<&Plan>,
    now: Timestamp,
) -> Vec<TimelineStep> {
    let Some(work) = &record.work else { return Vec::new() };
    let mut steps: Vec<(&Step, Timestamp)> =
        work.steps.iter().filter_map(|step| Some((step, step.started?))).collect();
    // Stable: those that began in the same millisecond stay as they came up.
    steps.sort_by_key(|(_, started)| *started);
    let of = |(step, started): (&Step, Timestamp)| TimelineStep {
        step: step.id.0.clone(),
        resource: match &step.kind {
            StepKind::Provision { name, .. } => Some(name.clone()),
            _ => None,
        },
        after_ms: started.ms_since(record.queued),
        took_ms: step.ended.unwrap_or(now).ms_since(started),
        attempts: step.attempts,
        status: step.status.as_str().to_owned(),
        plugin: plan.and_then(|plan| plugin_of(&step.kind, plan)).cloned(),
        fault: step.fault.clone(),
    };
    steps.into_iter().map(of).collect()
}

/// The plugin that does a step's work, by the plan; none for what deployd does
/// itself, and for what another plan's driver takes away.
fn plugin_of<'p>(kind: &StepKind, plan: &'p Plan) -> Option<&'p PluginRef> {
    match kind {
        StepKind::Provision { uid, .. } => Some(&plan.resources.get(uid)?.driver),
        StepKind::Render => Some(&plan.templater.as_ref()?.plugin),
        StepKind::Decide { .. } => Some(&plan.strategy.as_ref()?.plugin),
        _ => None,
    }
}

/// Workloads that did not become ready, as the faults of its steps tell it; each
/// object once, as it was last.
pub fn failures(record: &DeploymentRecord) -> Vec<WorkloadFault> {
    let of_steps = record.work.iter().flat_map(|work| work.steps.iter());
    let of_steps = of_steps.filter_map(|step| step.fault.as_ref());
    let mut seen = BTreeSet::new();
    let mut found: Vec<WorkloadFault> = of_steps
        .chain(&record.fault)
        .filter_map(|fault| serde_json::from_value(fault.detail.clone()).ok())
        .flat_map(|faults: Vec<WorkloadFault>| faults)
        .collect();
    found.reverse();
    found.retain(|fault| seen.insert(fault.object.clone()));
    found.reverse();
    found
}
