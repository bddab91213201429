//! Applications and their flow.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Every, StartRule};
use crate::Name;
use crate::deployment::Mode;
use crate::score::Resource;

/// A set of workloads that belong together, and the environments they move
/// through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplicationSpec {
    /// Names of its Score documents. None for what only has resources that are
    /// lent to others.
    pub workloads: Vec<Name>,
    /// Resources that belong to no workload alone, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Resource>,
    /// Which images are for which containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactRule>,
    /// The environments, in the order in which a version moves through them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flow: Vec<Stage>,
}

/// Images of a repository are for a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArtifactRule {
    /// `registry.example.com/shop/frontend`, without tag and digest.
    #[schemars(length(min = 1))]
    pub repository: String,
    /// The workload.
    pub workload: Name,
    /// The container in it; all whose image is `.` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// A stage of the flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// The environment's name.
    pub environment: Name,
    /// Which artifacts are deployed here by themselves; none when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<StartRule>,
    /// Environments in which a set has to run before it comes here: stages before this
    /// one. Nothing else is deployed here, but what ran here before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StageBefore>,
    /// Who brings here what they all run.
    #[serde(default, skip_serializing_if = "is_manual")]
    pub promotion: Promotion,
    /// What becomes of what comes here by itself, and has not begun, when something
    /// newer comes by itself.
    #[serde(default, skip_serializing_if = "Batching::is_newest")]
    pub batching: Batching,
}

/// What becomes of what waits when something newer comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Batching {
    /// The newest takes its place.
    #[default]
    Newest,
    /// Each has its turn, in the order of coming: as many as an environment's queue
    /// takes.
    Each,
}

impl Batching {
    /// Whether the newest takes the place of others.
    pub fn is_newest(&self) -> bool {
        *self == Self::Newest
    }

    /// How what comes by itself is asked for.
    pub fn mode(self) -> Mode {
        match self {
            Self::Newest => Mode::Automatic,
            Self::Each => Mode::Each,
        }
    }
}

/// A stage that another comes after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StageBefore {
    /// The environment's name.
    pub environment: Name,
    /// How long it has to run there: `10m`, `1h`, `2d`. As soon as its deployment has
    /// succeeded when not given.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub runs_for: Option<Every>,
}

/// Who brings what is verified in the stages before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Promotion {
    /// A person.
    #[default]
    Manual,
    /// The flow itself, as soon as it is verified.
    Automatic,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_manual(promotion: &Promotion) -> bool {
    *promotion == Promotion::Manual
}
