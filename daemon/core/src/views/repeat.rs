//! What is asked, and answered, about doing something again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PlanView;
use crate::subject::Subject;
use crate::{DeploymentId, Digest, Name};

/// How an environment is to go back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackRequest {
    /// To which deployment; the last that succeeded before what runs when not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Subject>,
    /// Where it can't be repeated exactly, deploy its set resolved anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resolve: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Refuse to execute any plan but the one with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_plan: Option<Digest>,
    /// Let resources be replaced, where it is resolved anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm_replace: bool,
    /// Go back although changes of resources can't be undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm_forward_only: bool,
}

/// What going back would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackView {
    /// What runs.
    pub from: DeploymentId,
    /// Its number.
    pub from_number: u64,
    /// What would run again.
    pub to: DeploymentId,
    /// Its number.
    pub to_number: u64,
    /// Whether it is repeated exactly: its recorded manifests, and nothing else.
    pub exact: bool,
    /// Why it is not, if it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<String>,
    /// Whether it ran so recently that strategies may skip steps.
    #[serde(default)]
    pub recent: bool,
    /// Resources that stay as they were changed since, because that can't be undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_undone: Vec<String>,
    /// What would be done.
    pub plan: PlanView,
}

/// An environment like another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloneRequest {
    /// The name of the new environment, of the same application.
    pub name: Name,
    /// Its type; that of the other one when not given.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub environment_type: Option<Name>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
