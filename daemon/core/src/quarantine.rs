//! Images that have failed in an environment, and that automation does not bring
//! back there until somebody says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::projection::key;
use crate::deployment::{DeploymentRecord, Outcome, StepKind, StepStatus};
use crate::ports::{Index, KeyRange};
use crate::{DeploymentId, EnvironmentId, FaultClass, Timestamp};

/// Images in quarantine: environment and image -> [`Quarantined`].
pub const QUARANTINE: Index = Index("quarantine");

/// The most images of an environment that are told of: what fails comes one
/// after the other, and more than this has nobody looked at.
pub const QUARANTINED_MAX: usize = 200;

/// An image that has failed in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quarantined {
    /// The image, with its digest.
    pub image: String,
    /// The deployment that has failed with it.
    pub deployment: DeploymentId,
    /// When.
    pub at: Timestamp,
    /// The code of the fault.
    pub code: String,
    /// Why, for people.
    pub message: String,
}

/// Which image may come back, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftRequest {
    /// The image, as the list has it.
    pub image: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The key of an image of an environment.
pub fn quarantine_key(environment: &EnvironmentId, image: &str) -> Vec<u8> {
    key(&environment.to_string(), image.as_bytes())
}

/// The keys of all of an environment.
pub fn quarantine_of(environment: &EnvironmentId) -> KeyRange {
    KeyRange::prefix(&key(&environment.to_string(), &[]))
}

/// Why the images that a deployment has brought go into quarantine, if they do:
/// it has failed because what it rolled out does not do well.
///
/// Not when somebody has ended it, when a cluster or a plugin failed, or when
/// checks could not tell: none of that says anything about the images.
pub fn quarantines(record: &DeploymentRecord) -> Option<(&str, &str)> {
    let failed = matches!(
        record.outcome,
        Some(Outcome::RolledBack | Outcome::Failed | Outcome::NeedsOperator)
    );
    let work = record.work.as_ref().filter(|_| failed)?;
    let fault = work.failure.as_ref().filter(|fault| fault.class == FaultClass::Permanent)?;
    let by_rollout = work.steps.iter().any(|step| {
        matches!(step.kind, StepKind::Rollout { .. } | StepKind::Job { .. })
            && step.status == StepStatus::Failed
    });
    if !by_rollout || fault.code == "checks-inconclusive" {
        return None;
    }
    Some((&fault.code, &fault.message))
}
