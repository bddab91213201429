//! What happens to deployments, as the journal keeps it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::{Request, Skip};
use super::state::{Deferral, Outcome};
use super::step::StepId;
use crate::attestation::Evidence;
use crate::drift::DriftSummary;
use crate::graph::Uid;
use crate::journal::Version;
use crate::plan::Gate;
use crate::pull::Published;
use crate::{Actor, DeploymentId, Digest, Fault, Name, Timestamp};

/// An event of an environment's stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// A request was accepted.
    DeploymentQueued {
        /// Its name from now on.
        deployment: DeploymentId,
        /// What is asked for.
        request: Request,
    },
    /// A newer request took the place of a queued one, or of one that waited at its
    /// gates.
    DeploymentSuperseded {
        /// The one that won't run.
        deployment: DeploymentId,
        /// The one that will.
        by: DeploymentId,
    },
    /// It does not begin yet, by its schedule or by a calendar. Others may come before
    /// it meanwhile.
    DeploymentDeferred {
        /// Which.
        deployment: DeploymentId,
        /// Until when, and why.
        #[serde(flatten)]
        deferral: Deferral,
    },
    /// It waited at its gates, before anything of it was applied, and makes way for one
    /// that goes back: it waits in the queue behind that, and is planned again after it.
    DeploymentYielded {
        /// Which.
        deployment: DeploymentId,
        /// The one that goes back.
        to: DeploymentId,
    },
    /// It is the environment's active deployment now.
    DeploymentStarted {
        /// Which.
        deployment: DeploymentId,
    },
    /// Its plan is made.
    DeploymentPlanned {
        /// Which.
        deployment: DeploymentId,
        /// The plan, by content.
        plan: Digest,
        /// What it waits for.
        gates: Vec<Gate>,
        /// Resources to provision, and what each comes after.
        resources: Vec<ResourceStep>,
        /// Resources to destroy at the end.
        destroy: Vec<DestroyStep>,
        /// What the plan was made from ([`PlanBasis`](crate::replay::PlanBasis)),
        /// by content, so that its making can be repeated; none where an
        /// environment is taken away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        basis: Option<Digest>,
        /// Whether policies judge what is rendered.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        policies: bool,
        /// Whether what is rendered comes to its branch by a pull request.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        proposes: bool,
    },
    /// The documents that its plan was made from have changed while it waits at its
    /// gates: it is planned once more.
    PlanOutdated {
        /// Which.
        deployment: DeploymentId,
        /// The version of the stream of configuration that is later than the plan's.
        configuration: Version,
    },
    /// People are asked to agree to its plan.
    ApprovalRequested {
        /// Which.
        deployment: DeploymentId,
        /// The plan.
        plan: Digest,
        /// The plan that they were asked for before, if it was another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Digest>,
    },
    /// Somebody agrees to its plan.
    ApprovalGiven {
        /// Which.
        deployment: DeploymentId,
        /// The plan.
        plan: Digest,
        /// The rules that they may agree for.
        rules: BTreeSet<Name>,
        /// In whose place, where that was delegated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<Actor>,
        /// For people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether it was by the link of a message.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_link: bool,
    },
    /// Somebody who has agreed does not any more.
    ApprovalWithdrawn {
        /// Which.
        deployment: DeploymentId,
        /// For people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody who was asked does not agree: it ends.
    ApprovalRefused {
        /// Which.
        deployment: DeploymentId,
        /// Why.
        reason: String,
    },
    /// An approval was not given in time: it ends.
    ApprovalExpired {
        /// Which.
        deployment: DeploymentId,
        /// The rule.
        rule: Name,
    },
    /// Somebody goes on with its plan although not all have agreed.
    GlassBroken {
        /// Which.
        deployment: DeploymentId,
        /// The plan.
        plan: Digest,
        /// Why.
        reason: String,
    },
    /// A gate is open.
    GatePassed {
        /// Which.
        deployment: DeploymentId,
        /// The gate.
        gate: String,
        /// What was attested, where the gate waited for that.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    /// Something was not attested in time: it ends.
    AttestationExpired {
        /// Which.
        deployment: DeploymentId,
        /// The rule.
        rule: Name,
    },
    /// The intent to do something, recorded before it is done.
    StepStarted {
        /// Which.
        deployment: DeploymentId,
        /// The step.
        step: StepId,
        /// 1 for the first.
        attempt: u32,
        /// The same in every attempt.
        key: String,
    },
    /// It goes on later.
    StepPending {
        /// Which.
        deployment: DeploymentId,
        /// The step.
        step: StepId,
        /// To be handed back.
        token: String,
        /// When.
        poll_at: Timestamp,
        /// For a person.
        message: String,
    },
    /// It is done.
    StepSucceeded {
        /// Which.
        deployment: DeploymentId,
        /// The step.
        step: StepId,
        /// What came of it, by content.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Digest>,
        /// What a strategy gets to know beside that it is done: what checks have
        /// found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        observed: Option<Value>,
        /// What it has brought to the branch that the environment is pulled from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        published: Option<Box<Published>>,
    },
    /// It did not work, this time.
    StepFailed {
        /// Which.
        deployment: DeploymentId,
        /// The step.
        step: StepId,
        /// Why.
        fault: Fault,
        /// What it has brought to the branch that the environment is pulled from, before
        /// it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        published: Option<Box<Published>>,
    },
    /// deployd ended while the step ran: what came of it is not known.
    StepInterrupted {
        /// Which.
        deployment: DeploymentId,
        /// The step.
        step: StepId,
    },
    /// The strategy has decided.
    RolloutDecided {
        /// Which.
        deployment: DeploymentId,
        /// The step that asked it.
        step: StepId,
        /// The strategy's own state.
        state: Value,
        /// What to do, as the strategy said it.
        action: Value,
        /// 0 to 100.
        progress: u8,
        /// For the timeline.
        message: String,
    },
    /// Somebody wants nothing more to be rolled out until they say so.
    PauseRequested {
        /// Which.
        deployment: DeploymentId,
        /// Why, if they said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody wants a paused rollout to go on.
    ResumeRequested {
        /// Which.
        deployment: DeploymentId,
        /// Why, if they said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody wants a rollout not to wait any longer for what it waits for.
    PromoteRequested {
        /// Which.
        deployment: DeploymentId,
        /// How much of its waiting is skipped.
        skip: Skip,
        /// Why, if they said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody wants what has failed, and what a rollout has paused upon, to be
    /// tried again.
    RetryRequested {
        /// Which.
        deployment: DeploymentId,
        /// Why, if they said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody wants it to end.
    CancelRequested {
        /// Which.
        deployment: DeploymentId,
        /// Why, if they said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It is over, for ever.
    DeploymentEnded {
        /// Which.
        deployment: DeploymentId,
        /// How.
        outcome: Outcome,
        /// Why, unless it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
    },
    /// A check has found other differences between what is there and what was
    /// deployed than the one before it, or none any more.
    DriftChanged {
        /// By whose record it was compared.
        deployment: DeploymentId,
        /// The report, by content.
        report: Digest,
        /// It in numbers.
        summary: DriftSummary,
        /// How many findings are new.
        new: u32,
        /// How many findings are gone.
        gone: u32,
    },
    /// Drift was healed too often: it is left to people.
    HealingGivenUp {
        /// By whose record it was compared.
        deployment: DeploymentId,
        /// How often it was tried.
        heals: u32,
    },
    /// Somebody went back, and now a person has what comes by itself go on again.
    HoldReleased {
        /// The one that went back.
        deployment: DeploymentId,
        /// For people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// A resource to provision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStep {
    /// Which.
    pub uid: Uid,
    /// For a person: `postgres#backend.db`.
    pub name: String,
    /// What has to be provisioned before it.
    pub after: Vec<Uid>,
    /// Whether a repeat after an unknown outcome needs an operator.
    pub unsafe_to_repeat: bool,
    /// What tells one making of it from another: its driver's name and what
    /// that gets, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
}

/// A resource to destroy, or what was begun of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "StoredDestroyStep", into = "StoredDestroyStep")]
pub struct DestroyStep {
    /// Which.
    pub uid: Uid,
    /// Whether a repeat after an unknown outcome needs an operator.
    pub unsafe_to_repeat: bool,
    /// Those of the same deployment that have to be gone before it; none when
    /// the event is of a time in which one went after the other.
    pub after: Option<Vec<Uid>>,
    /// What was begun with these inputs, and never finished; none for the
    /// resource that is there.
    pub inputs: Option<Digest>,
}

/// As it is stored: the uid alone says that it is safe.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum StoredDestroyStep {
    /// Which; it is safe to repeat, and goes after the one before it.
    Uid(Uid),
    /// Which, and how safe it is to repeat.
    #[serde(rename_all = "camelCase")]
    Step {
        /// Which.
        uid: Uid,
        /// Whether a repeat after an unknown outcome needs an operator.
        unsafe_to_repeat: bool,
        /// What has to be gone before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Vec<Uid>>,
        /// What was begun with these inputs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inputs: Option<Digest>,
    },
}

impl From<StoredDestroyStep> for DestroyStep {
    fn from(stored: StoredDestroyStep) -> Self {
        match stored {
            StoredDestroyStep::Uid(uid) => {
                Self { uid, unsafe_to_repeat: false, after: None, inputs: None }
            }
            StoredDestroyStep::Step { uid, unsafe_to_repeat, after, inputs } => {
                Self { uid, unsafe_to_repeat, after, inputs }
            }
        }
    }
}

impl From<DestroyStep> for StoredDestroyStep {
    fn from(step: DestroyStep) -> Self {
        match step {
            DestroyStep { uid, unsafe_to_repeat: false, after: None, inputs: None } => {
                Self::Uid(uid)
            }
            DestroyStep { uid, unsafe_to_repeat, after, inputs } => {
                Self::Step { uid, unsafe_to_repeat, after, inputs }
            }
        }
    }
}

impl Event {
    /// The deployment that it is about.
    pub fn deployment(&self) -> &DeploymentId {
        match self {
            Self::DeploymentQueued { deployment, .. }
            | Self::DeploymentSuperseded { deployment, .. }
            | Self::DeploymentDeferred { deployment, .. }
            | Self::DeploymentYielded { deployment, .. }
            | Self::DeploymentStarted { deployment }
            | Self::DeploymentPlanned { deployment, .. }
            | Self::GatePassed { deployment, .. }
            | Self::AttestationExpired { deployment, .. }
            | Self::StepStarted { deployment, .. }
            | Self::StepPending { deployment, .. }
            | Self::StepSucceeded { deployment, .. }
            | Self::StepFailed { deployment, .. }
            | Self::StepInterrupted { deployment, .. }
            | Self::RolloutDecided { deployment, .. }
            | Self::PauseRequested { deployment, .. }
            | Self::ResumeRequested { deployment, .. }
            | Self::PromoteRequested { deployment, .. }
            | Self::RetryRequested { deployment, .. }
            | Self::CancelRequested { deployment, .. }
            | Self::PlanOutdated { deployment, .. }
            | Self::ApprovalRequested { deployment, .. }
            | Self::ApprovalGiven { deployment, .. }
            | Self::ApprovalWithdrawn { deployment, .. }
            | Self::ApprovalRefused { deployment, .. }
            | Self::ApprovalExpired { deployment, .. }
            | Self::GlassBroken { deployment, .. }
            | Self::DeploymentEnded { deployment, .. }
            | Self::DriftChanged { deployment, .. }
            | Self::HealingGivenUp { deployment, .. }
            | Self::HoldReleased { deployment, .. } => deployment,
        }
    }

    /// Its type, as the journal has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DeploymentQueued { .. } => "deployment-queued",
            Self::DeploymentSuperseded { .. } => "deployment-superseded",
            Self::DeploymentDeferred { .. } => "deployment-deferred",
            Self::DeploymentYielded { .. } => "deployment-yielded",
            Self::DeploymentStarted { .. } => "deployment-started",
            Self::DeploymentPlanned { .. } => "deployment-planned",
            Self::GatePassed { .. } => "gate-passed",
            Self::AttestationExpired { .. } => "attestation-expired",
            Self::StepStarted { .. } => "step-started",
            Self::StepPending { .. } => "step-pending",
            Self::StepSucceeded { .. } => "step-succeeded",
            Self::StepFailed { .. } => "step-failed",
            Self::StepInterrupted { .. } => "step-interrupted",
            Self::RolloutDecided { .. } => "rollout-decided",
            Self::PauseRequested { .. } => "pause-requested",
            Self::ResumeRequested { .. } => "resume-requested",
            Self::PromoteRequested { .. } => "promote-requested",
            Self::RetryRequested { .. } => "retry-requested",
            Self::CancelRequested { .. } => "cancel-requested",
            Self::PlanOutdated { .. } => "plan-outdated",
            Self::ApprovalRequested { .. } => "approval-requested",
            Self::ApprovalGiven { .. } => "approval-given",
            Self::ApprovalWithdrawn { .. } => "approval-withdrawn",
            Self::ApprovalRefused { .. } => "approval-refused",
            Self::ApprovalExpired { .. } => "approval-expired",
            Self::GlassBroken { .. } => "glass-broken",
            Self::DeploymentEnded { .. } => "deployment-ended",
            Self::DriftChanged { .. } => "drift-changed",
            Self::HealingGivenUp { .. } => "healing-given-up",
            Self::HoldReleased { .. } => "hold-released",
        }
    }
}
