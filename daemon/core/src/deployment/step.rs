//! A step of a deployment: what it does, and where it stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Action;
use crate::graph::Uid;
use crate::pull::Published;
use crate::rollout::jobs::RolloutJob;
use crate::seeded::{Bug, seeded};
use crate::{DeploymentId, Digest, Fault, Timestamp};

/// Names a step within its deployment: `plan`, `provision:<uid>`, `render`,
/// `policies`, `propose`, `apply-resources`, `job:<name>`, `decide:1`, `rollout:1`, `undo:<name>`,
/// `withdraw`, `restore`, `prune`, `destroy:<uid>`.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct StepId(pub String);

impl std::borrow::Borrow<str> for StepId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum StepKind {
    /// Makes the plan.
    Plan,
    /// Has a driver provision a resource.
    Provision {
        /// Which.
        uid: Uid,
        /// For a person.
        name: String,
    },
    /// Has the templater make manifests.
    Render,
    /// Has policies judge them, before anything is applied.
    Policies,
    /// Proposes to a branch what is rendered, and waits until somebody has merged it.
    Propose,
    /// Applies resources' objects and waits until they are ready.
    ApplyResources,
    /// Asks the strategy what to do.
    Decide {
        /// What came of the last action; none to begin with.
        observation: Option<Value>,
    },
    /// Does what the strategy said.
    Rollout {
        /// What.
        action: Action,
    },
    /// Runs a Job to its end.
    Job {
        /// Which.
        job: RolloutJob,
    },
    /// Runs what undoes a Job, after that has ended.
    Undo {
        /// Which was begun.
        job: RolloutJob,
        /// The step that has begun it.
        of: StepId,
    },
    /// Closes the pull request that was opened.
    Withdraw,
    /// Brings back what ran before.
    Restore,
    /// Removes objects that were applied and are not wanted any more.
    Prune,
    /// Has a driver take a resource away.
    Destroy {
        /// Which.
        uid: Uid,
    },
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum StepStatus {
    /// For what comes before it.
    Waiting,
    /// It is being done.
    Running,
    /// The driver wants to be asked again.
    Pending {
        /// To be handed back.
        token: String,
        /// When.
        poll_at: Timestamp,
    },
    /// It failed and is tried again.
    Retrying {
        /// When.
        at: Timestamp,
    },
    /// Done.
    Succeeded,
    /// Failed for good.
    Failed,
}

impl StepStatus {
    /// As records have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Pending { .. } => "pending",
            Self::Retrying { .. } => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A recorded unit of a deployment's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// What it does.
    #[serde(flatten)]
    pub kind: StepKind,
    /// Steps that must have succeeded before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepId>,
    /// Whether an unknown outcome needs an operator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsafe_to_repeat: bool,
    /// Of a provision: what tells this making of the resource from another. Of
    /// a destroy: the making that was begun and goes; none for what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// Where it stands.
    #[serde(flatten)]
    pub status: StepStatus,
    /// How often it was begun.
    #[serde(default)]
    pub attempts: u32,
    /// What it can be recognised by, the same in every attempt.
    pub key: String,
    /// The token of the driver's operation, once it was pending: handed back in
    /// every attempt from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// When it was first begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it succeeded or failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What came of it, by content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Digest>,
    /// What it has brought to the branch that the environment is pulled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Box<Published>>,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// What it waits for or has come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Step {
    /// A step that waits.
    pub fn new(
        deployment: &DeploymentId,
        id: impl Into<String>,
        kind: StepKind,
        after: Vec<StepId>,
    ) -> Self {
        let id = StepId(id.into());
        let step = if seeded(Bug::KeyWithoutTheStep) { "" } else { id.0.as_str() };
        let key = Digest::of_parts(&[deployment.0.as_bytes(), step.as_bytes()]).hex();
        Self {
            id,
            kind,
            after,
            unsafe_to_repeat: false,
            inputs: None,
            status: StepStatus::Waiting,
            attempts: 0,
            key,
            operation: None,
            started: None,
            ended: None,
            result: None,
            published: None,
            fault: None,
            message: None,
        }
    }

    /// Whether it has begun and not ended.
    pub fn is_open(&self) -> bool {
        matches!(
            self.status,
            StepStatus::Running | StepStatus::Pending { .. } | StepStatus::Retrying { .. }
        )
    }
}
