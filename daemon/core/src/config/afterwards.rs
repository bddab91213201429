//! What is looked at once a deployment is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drift::Every;
use crate::Name;

/// Checks that go on after a deployment has succeeded, and what is done when one
/// fails. Only the deployment that runs is looked at, from its end on, and for so
/// long as nothing newer is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AfterwardsSpec {
    /// For how long: `10m`, `1h`, `1d`.
    pub window: Every,
    /// Names of the type's `checks`.
    #[schemars(length(min = 1))]
    pub checks: Vec<Name>,
    /// What is done about a check that fails.
    #[serde(default)]
    pub on_failure: OnDegradation,
}

/// What is done about a version that does no longer well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDegradation {
    /// Its images go into quarantine, and what ran before runs again.
    #[default]
    RollBack,
    /// Its images go into quarantine, and it stays.
    Report,
}
