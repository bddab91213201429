//! What is known of an environment and its deployments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Action;
use super::event::DestroyStep;
use super::hold::Hold;
use super::request::Request;
use super::step::{Step, StepId, StepKind, StepStatus};
use super::steps::{Shared, Steps};
use crate::approval::Approvals;
use crate::calendar::Reason;
use crate::drift::DriftState;
use crate::graph::Uid;
use crate::plan::Gate;
use crate::policy::PolicyReport;
use crate::pull::Published;
use crate::rollout::jobs::{JobRun, RolloutJob};
use crate::{Actor, DeploymentId, Digest, Fault, Timestamp};

/// An environment: its active deployment, its queue, what runs, what is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentState {
    /// How many deployments were accepted here.
    pub accepted: u64,
    /// The one that runs. There is never more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Deployment>,
    /// Those that wait, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Queued>,
    /// What the last deployment brought whose rollout came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    /// Resources that are there.
    #[serde(default, skip_serializing_if = "has_none")]
    pub resources: Shared<BTreeMap<Uid, Shared<ActiveResource>>>,
    /// Manifests of which something may be in the cluster, oldest first: what
    /// was ever begun to be applied, and not pruned since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Digest>,
    /// Tracks beside what runs for everybody, of which something may be in the
    /// cluster: what was begun to be applied of them, and not pruned since.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tracks: BTreeSet<String>,
    /// Runs of Jobs of which something may be in the cluster: begun, and not taken
    /// away since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobRun>,
    /// What earlier deployments have begun to provision, and of which it is not
    /// known that it is there: they were ended in the middle, or failed. Also
    /// of a resource that is there, when it was begun with other inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub begun: BTreeMap<Uid, Vec<BegunResource>>,
    /// When a deployment was last asked for here, or ended: from then on the
    /// environment's time to live counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touched: Option<Timestamp>,
    /// What is known of differences between what is there and what was deployed;
    /// nothing, as long as there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftState>,
    /// What was brought last to the branch that it is pulled from; none where it never
    /// was pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Box<Published>>,
    /// That somebody went back here, as long as automation leaves it at that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

impl EnvironmentState {
    /// The deployment that takes the environment away, if one waits or runs.
    pub fn teardown(&self) -> Option<&DeploymentId> {
        let active = self.active.as_ref().filter(|active| active.request.teardown.is_some());
        let queued = || self.queue.iter().find(|queued| queued.request.teardown.is_some());
        active.map(|active| &active.id).or_else(|| queued().map(|queued| &queued.id))
    }

    /// Whether something does not begin by its schedule, or by a calendar.
    pub fn is_deferred(&self) -> bool {
        let active = self.active.as_ref().and_then(|active| active.deferred.as_ref());
        active.or_else(|| self.queue.iter().find_map(|one| one.deferred.as_ref())).is_some()
    }

    /// A deployment that goes on, or is about to: not one that is deferred.
    pub fn busy(&self) -> Option<&DeploymentId> {
        let active = self.active.as_ref().map(|active| &active.id);
        let next = || self.queue.iter().find(|queued| queued.deferred.is_none());
        active.or_else(|| next().map(|queued| &queued.id))
    }
}

fn has_none(resources: &BTreeMap<Uid, Shared<ActiveResource>>) -> bool {
    resources.is_empty()
}

/// A deployment that waits for its turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Queued {
    /// Its name.
    pub id: DeploymentId,
    /// 1 for the environment's first.
    pub number: u64,
    /// Who asked.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// What for.
    pub request: Request,
    /// Why it does not begin, when it is not its turn alone that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<Deferral>,
    /// That it had begun, and has made way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yielded: Option<Box<Yielded>>,
}

impl Queued {
    /// Whether it waits for more than its turn: who goes back then comes before it, and
    /// not instead of it.
    pub(super) fn is_kept(&self) -> bool {
        self.deferred.is_some() || self.yielded.is_some()
    }
}

/// That something waited at its gates, and has made way for one that goes back. It is
/// planned again when it begins again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Yielded {
    /// The one that goes back.
    pub to: DeploymentId,
    /// When.
    pub at: Timestamp,
    /// What people have said of its plan: it counts if that comes out the same.
    #[serde(default, skip_serializing_if = "Approvals::is_none")]
    pub approvals: Approvals,
}

/// That something does not begin yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deferral {
    /// Until when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why, when it was recorded. As long as `until` stays, others may have come.
    pub reasons: Vec<Reason>,
}

impl fmt::Display for Deferral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "until {until}")?,
            None => write!(f, "nobody knows until when")?,
        }
        for (place, reason) in self.reasons.iter().enumerate() {
            let before = if place == 0 { ": " } else { "; " };
            write!(f, "{before}{reason}")?;
        }
        Ok(())
    }
}

impl Deferral {
    /// Whether another one is worth recording after it.
    pub fn is_other(&self, other: &Self) -> bool {
        self.until != other.until || (self.until.is_none() && self.reasons != other.reasons)
    }
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deployed {
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// Its set.
    pub set: Digest,
    /// Its plan.
    pub plan: Digest,
    /// Its manifests.
    pub manifests: Digest,
    /// Since when.
    pub at: Timestamp,
}

impl Deployed {
    /// What a deployment has brought; none when it was never rendered.
    pub(super) fn by(deployment: &Deployment, at: Timestamp) -> Option<Self> {
        Some(Self {
            deployment: deployment.id.clone(),
            set: deployment.request.set,
            plan: deployment.plan?,
            manifests: deployment.result("render")?,
            at,
        })
    }
}

/// A resource that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveResource {
    /// `postgres#backend.db`.
    pub name: String,
    /// What its driver returned last, by content.
    pub provisioned: Digest,
    /// The plan it was provisioned by.
    pub plan: Digest,
    /// The deployment that provisioned it last.
    pub deployment: DeploymentId,
    /// When.
    pub at: Timestamp,
    /// When it was provisioned first; not known of those that are older than
    /// this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What tells it from another making of it (`ResourceStep.inputs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
}

/// The most makings of one resource that are remembered as begun, the newest:
/// each was begun with other inputs than the others, and none of them came to
/// its end, so that more than this are a search for the right ones by a program.
pub const BEGUN_MAX: usize = 16;

/// A resource that may be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BegunResource {
    /// `postgres#backend.db`.
    pub name: String,
    /// The plan by which it was to be provisioned last.
    pub plan: Digest,
    /// What tells it from another making of it (`ResourceStep.inputs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
}

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What was asked for runs.
    Succeeded,
    /// It does not, and nothing was there to go back to, or nothing had begun
    /// to change yet.
    Failed,
    /// It did not, and what ran before runs again.
    RolledBack,
    /// Somebody ended it; what ran before runs.
    Cancelled,
    /// A newer one took its place before it began.
    Superseded,
    /// Nobody but a person can tell or mend how things are.
    NeedsOperator,
}

impl Outcome {
    /// As records have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::NeedsOperator => "needs-operator",
        }
    }
}

/// Where a deployment stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Waits for its turn.
    Queued,
    /// Its plan is being made.
    Planning,
    /// Waits for gates.
    Waiting,
    /// Resources are being provisioned.
    Provisioning,
    /// Manifests are being made.
    Rendering,
    /// Workloads are being rolled out.
    RollingOut,
    /// What ran before is brought back.
    RollingBack,
    /// What is left over is removed.
    CleaningUp,
    /// It is over.
    Ended,
}

/// The most rounds of one rollout: enough to apply and await 250 workloads one
/// by one. Each round leaves two steps in the deployment's record, which has to
/// stay below what a store takes as one value.
pub const ROUNDS_MAX: u32 = 500;

/// What a strategy has said last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rollout {
    /// How often it was asked.
    pub round: u32,
    /// Its own state.
    pub state: Value,
    /// 0 to 100.
    pub progress: u8,
    /// For the timeline.
    pub message: String,
}

/// A deployment that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Its name.
    pub id: DeploymentId,
    /// 1 for the environment's first.
    pub number: u64,
    /// Who asked.
    pub actor: Actor,
    /// When.
    pub queued: Timestamp,
    /// What was asked for.
    pub request: Request,
    /// When it began.
    pub started: Timestamp,
    /// Its plan, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// Gates that are not open yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Who was asked to agree to the plan, and who has.
    #[serde(default, skip_serializing_if = "Approvals::is_none")]
    pub approvals: Approvals,
    /// What was not attested in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unattested: Option<crate::Name>,
    /// Its steps, in the order in which they came up. Lists of deployments
    /// leave them out.
    #[serde(default, skip_serializing_if = "Steps::is_empty")]
    pub steps: Steps,
    /// Why it does not go on at its gates, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<Deferral>,
    /// Resources to destroy at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destroy: Vec<DestroyStep>,
    /// Jobs to run once the rollout is complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<RolloutJob>,
    /// What policies have found in what was rendered, and let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<PolicyReport>,
    /// Where the strategy stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// That somebody wants nothing more to be rolled out for now, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// That somebody wants it to end, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<String>,
    /// The newer one that has taken its place while it waited to be merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<DeploymentId>,
    /// Why it can't succeed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Fault>,
}

impl Deployment {
    /// A step by its name.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.find(&id.0)
    }

    /// The result of a step that has succeeded.
    pub fn result(&self, id: &str) -> Option<Digest> {
        self.steps.find(id)?.result
    }

    /// Whether anything of its manifests may be in the cluster.
    pub fn has_applied(&self) -> bool {
        self.steps.iter().any(|step| match step.kind {
            StepKind::ApplyResources | StepKind::Rollout { .. } => step.started.is_some(),
            // By then others bring it there.
            StepKind::Propose | StepKind::Withdraw => {
                step.published.as_ref().is_some_and(|published| published.changed)
            }
            _ => false,
        })
    }

    /// Whether it can't succeed any more: something failed for good, or
    /// somebody cancelled it.
    pub fn is_stopping(&self) -> bool {
        self.failure.is_some() || self.cancel.is_some()
    }

    /// Whether it waits at its gates, and nothing but its plan was ever begun.
    pub fn waits_at_gates(&self) -> bool {
        let is_plan = |step: &Step| step.kind == StepKind::Plan;
        self.plan.is_some()
            && !self.gates.is_empty()
            && !self.is_stopping()
            && self.steps.iter().all(|step| is_plan(step) || step.started.is_none())
    }

    /// Whether it takes the environment away.
    pub fn is_teardown(&self) -> bool {
        self.request.teardown.is_some()
    }

    /// Whether what was asked for is what runs, and only cleaning up is left.
    pub fn is_committed(&self) -> bool {
        !self.is_restoring() && self.steps.iter().any(|step| step.kind == StepKind::Prune)
    }

    /// Whether what ran before is brought back.
    pub fn is_restoring(&self) -> bool {
        self.steps.iter().any(|step| step.kind == StepKind::Restore)
    }

    /// The step in which its rollout only waits, if it does: for a person, for a
    /// time, or for checks.
    pub fn waits(&self) -> Option<&Step> {
        self.steps.iter().find(|step| {
            matches!(&step.kind, StepKind::Rollout { action } if action.is_waiting())
                && matches!(step.status, StepStatus::Pending { .. })
        })
    }

    /// The step at which its rollout stands still: that in which it waits, or the one
    /// that a person does not want to begin.
    pub fn stands_still(&self) -> Option<&Step> {
        self.waits().or_else(|| self.steps.iter().find(|step| self.holds(&step.id)))
    }

    /// Whether a person has stopped the rollout before this step.
    pub(super) fn holds(&self, id: &StepId) -> bool {
        let Some(step) = self.step(id).filter(|_| self.held.is_some()) else { return false };
        matches!(step.kind, StepKind::Decide { .. } | StepKind::Rollout { .. })
            && matches!(step.status, StepStatus::Waiting | StepStatus::Retrying { .. })
    }

    /// What was done of its rollout, or begun, in this order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Rollout { action } if step.started.is_some() => Some(action),
            _ => None,
        })
    }

    /// The step in which its rollout waits for a person, if it does.
    pub fn paused(&self) -> Option<&Step> {
        self.steps.iter().find(|step| {
            matches!(step.kind, StepKind::Rollout { action: Action::Pause { .. } })
                && matches!(step.status, StepStatus::Pending { .. })
        })
    }

    /// Where it stands, in a word.
    pub fn phase(&self) -> Phase {
        if self.plan.is_none() {
            return Phase::Planning;
        }
        if !self.gates.is_empty() {
            return Phase::Waiting;
        }
        let done = |wanted: fn(&StepKind) -> bool| {
            self.steps
                .iter()
                .filter(|step| wanted(&step.kind))
                .all(|s| s.status == StepStatus::Succeeded)
        };
        if self.is_restoring() {
            Phase::RollingBack
        } else if !done(|kind| matches!(kind, StepKind::Provision { .. })) {
            Phase::Provisioning
        } else if !done(|kind| matches!(kind, StepKind::Render | StepKind::Policies)) {
            Phase::Rendering
        } else if self.is_committed() {
            Phase::CleaningUp
        } else {
            Phase::RollingOut
        }
    }
}
