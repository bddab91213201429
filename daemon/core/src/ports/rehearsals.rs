//! Where rollouts are rehearsed.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::plan::{Manifests, PlannedStrategy, PlannedWorkload};
use crate::rehearsal::{Report, Scenario};
use crate::rollout::checking::PlannedCheck;
use crate::{EnvironmentId, Fault, Name};

/// What is rehearsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Staged {
    /// Where it would be.
    pub environment: EnvironmentId,
    /// The environment's type.
    pub environment_type: Name,
    /// The strategy, pinned; it is loaded.
    pub strategy: PlannedStrategy,
    /// The checks that it can ask for. What they find, the scenario says.
    pub checks: BTreeMap<Name, PlannedCheck>,
    /// What is rolled out, in dependency order.
    pub workloads: Vec<PlannedWorkload>,
    /// Its objects, with a text where an output is not known yet.
    pub new: Manifests,
    /// What runs; none before the first deployment.
    pub current: Option<Manifests>,
    /// The world that it is rehearsed in.
    pub scenario: Scenario,
}

/// What came of a rehearsal.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// What came of it.
    pub report: Report,
    /// What was otherwise than it would be in earnest, and weights that can't be
    /// reached.
    pub notes: Vec<String>,
}

/// Rehearses rollouts: the engine and the strategy do what they would do in
/// earnest, in a cluster that is none and in simulated time. Nothing is changed.
#[async_trait]
pub trait Rehearsals: Send + Sync + 'static {
    /// Plays a rollout to its end. Whoever goes away ends it. A fault says that
    /// nothing could be rehearsed; how a rollout ends is in the report.
    async fn rehearse(&self, staged: Staged) -> Result<Rehearsed, Fault>;
}
