//! What is asked for: a set in an environment, why, and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::Errand;
use crate::{DeploymentId, Digest, EnvironmentId, SlotId, Timestamp};

/// Whether a newer request may take the place of this one in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// By the flow's rules: superseded by a newer automatic one while queued.
    Automatic,
    /// By the flow's rules, each of them in its turn: superseded by none.
    Each,
    /// By a person: never dropped.
    Manual,
}

/// How much of a rollout's waiting somebody wants to skip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// What it waits for now.
    #[default]
    Step,
    /// All that is left.
    All,
}

/// What a field that is not there stands for: events of before had no window.
fn yes() -> bool {
    true
}

/// Why there is a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Origin {
    /// An image became available.
    Artifact {
        /// The artifact, as it was announced.
        image: String,
        /// The Git ref it was built from.
        #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
        git_ref: Option<String>,
        /// The commit it was built from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
    },
    /// Somebody asked for a set, or for a delta to what runs.
    Request,
    /// What is there differs from what was deployed, and what was deployed is
    /// deployed again, taking fields over from others.
    Drift {
        /// The deployment that brought it.
        of: DeploymentId,
    },
    /// Somebody asked for the set of an earlier deployment.
    Redeploy {
        /// That deployment.
        of: DeploymentId,
        /// And for the very manifests of it, nothing resolved anew.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exact: bool,
    },
    /// Somebody wanted to have back what ran before.
    Rollback {
        /// The deployment that is gone back to.
        to: DeploymentId,
        /// The one that ran.
        from: DeploymentId,
        /// Whether to its very manifests.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exact: bool,
        /// Whether that ran here so recently that strategies may skip steps; not
        /// written where it is so.
        #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
        recent: bool,
    },
    /// It runs in a stage before, and was brought here from there.
    Promotion {
        /// The environment there.
        from: EnvironmentId,
        /// The deployment that runs there.
        deployment: DeploymentId,
    },
    /// The environment was made as another one is, with the set that runs there.
    Clone {
        /// The other environment.
        of: EnvironmentId,
        /// The deployment that runs there.
        deployment: DeploymentId,
    },
    /// The environment's time to live was over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
}

impl Origin {
    /// Whether what is deployed ran here so recently that strategies may skip steps.
    pub fn is_recent(&self) -> bool {
        matches!(self, Self::Rollback { recent: true, .. })
    }

    /// What calendars take it for: those who go back, and who mend what others have
    /// changed, are mostly exempt.
    pub fn errand(&self) -> Errand {
        match self {
            Self::Rollback { .. } | Self::Drift { .. } => Errand::Rollback,
            _ => Errand::Deployment,
        }
    }
}

/// When somebody wants it to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "DeploymentSchedule")]
pub struct Schedule {
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// No more from this time on: what has not begun by then does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// In this slot, and no more when that is over: whatever calendars say, once it has
    /// begun and was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotId>,
}

impl Schedule {
    /// Whether it may begin at any time.
    pub fn is_any_time(&self) -> bool {
        *self == Self::default()
    }
}

/// That an environment is taken away: its objects, its resources, and at last
/// its document. What happened in it stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Teardown {
    /// Resources that stay, with what they need: types (`postgres`), or names
    /// (`postgres#backend.db`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What to deploy.
    pub set: Digest,
    /// Whether a newer one may take its place.
    pub mode: Mode,
    /// Why.
    pub origin: Origin,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Execute nothing but the plan with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_plan: Option<Digest>,
    /// That resources may be replaced: made anew by another driver, and the old
    /// ones destroyed with what is in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm_replace: bool,
    /// Take the environment away; the set is an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<Teardown>,
    /// When it is to begin; at once, when it can, when not given.
    #[serde(default, skip_serializing_if = "Schedule::is_any_time")]
    pub schedule: Schedule,
}
