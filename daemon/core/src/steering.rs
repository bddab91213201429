//! What people ask of a rollout that is under way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DeploymentId;
use crate::deployment::{Event, Skip};

/// What somebody wants of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// Nothing more is rolled out until somebody says so.
    Pause,
    /// It goes on.
    Resume,
    /// It does not wait any longer.
    Promote(Skip),
    /// What has failed, and what it has stopped upon, is tried again.
    Retry,
}

impl Steering {
    /// The event that says so.
    pub fn event(self, deployment: DeploymentId, reason: Option<String>) -> Event {
        match self {
            Self::Pause => Event::PauseRequested { deployment, reason },
            Self::Resume => Event::ResumeRequested { deployment, reason },
            Self::Promote(skip) => Event::PromoteRequested { deployment, skip, reason },
            Self::Retry => Event::RetryRequested { deployment, reason },
        }
    }
}

/// Why a rollout is paused, goes on, or is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SteerRequest {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a rollout is to go on without waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// Over what it waits for now, or over all that is left of its waiting.
    #[serde(default)]
    pub skip: Skip,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
