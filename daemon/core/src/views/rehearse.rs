//! What is asked, and answered, about rehearsing a strategy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DeployRequest;
use crate::ports::PluginRef;
use crate::rehearsal::{Report, Scenario};
use crate::{EnvironmentId, Name};

/// What is to be rehearsed, and in which world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RehearseRequest {
    /// Another strategy than that of the environment's type, or another
    /// configuration of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RehearsedStrategy>,
    /// The world; without it all goes well.
    #[serde(default)]
    pub scenario: Scenario,
    /// What would be deployed; the environment need not be named.
    #[serde(default)]
    pub deploy: DeployRequest,
}

/// Which strategy is rehearsed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RehearsedStrategy {
    /// The name of its `Plugin` document; that of the environment's type when not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Name>,
    /// Its configuration; of the environment type's own strategy, each field takes
    /// the place of that of the type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
}

/// What came of a rehearsal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RehearsalView {
    /// Where it would have been.
    pub environment: EnvironmentId,
    /// The strategy, pinned.
    pub strategy: PluginRef,
    /// Its configuration.
    pub config: Value,
    /// By what each workload's traffic is divided.
    pub traffic: BTreeMap<String, String>,
    /// Weights that the strategy asked for and that can't be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What came of it.
    pub report: Report,
}
