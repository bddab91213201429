//! How what is pulled comes to the cluster, as a plan tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::delegation::{Delegate, delegated};
use crate::config::GitSpec;
use crate::plan::{Manifests, Plan};
use crate::ports::ObjectRef;

/// How a deployment of a pulled environment comes to the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullPreview {
    /// How its steps are made.
    pub stepping: Stepping,
    /// Workloads that somebody else brings step by step, each with who does and by which
    /// object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegated: Vec<Delegate>,
    /// What deployd applies itself, since values of secrets are in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub direct: Vec<ObjectRef>,
}

/// How the steps of a rollout are made where an environment is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stepping {
    /// Each by a commit, which is pulled before the next. A rollout in place is one.
    Commits,
    /// None: a pull request brings all at once.
    AtOnce,
}

impl Stepping {
    /// For people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Commits => "each step is a commit, which is pulled before the next",
            Self::AtOnce => "all at once, when the pull request is merged",
        }
    }
}

/// How manifests come to the cluster.
pub fn preview(git: &GitSpec, plan: &Plan, manifests: &Manifests) -> PullPreview {
    let stepping = match git.pull_request {
        Some(_) => Stepping::AtOnce,
        None => Stepping::Commits,
    };
    let direct = manifests.direct().filter_map(|it| manifests.reference(&it.object)).collect();
    let workloads = plan.workloads.iter();
    let delegated = workloads.filter_map(|it| delegated(manifests, &it.name)).collect();
    PullPreview { stepping, delegated, direct }
}
