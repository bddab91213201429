//! Which environments a document is for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EnvironmentId, Name};

/// Which environments: those that fit every list that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentSelector {
    /// Of one of these applications.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<Name>,
    /// With one of these names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<Name>,
    /// Of one of these types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment_types: Vec<Name>,
}

impl EnvironmentSelector {
    /// Whether it is for all environments.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is for an environment of this type.
    pub fn selects(&self, environment: &EnvironmentId, environment_type: &Name) -> bool {
        let fits = |list: &[Name], name: &Name| list.is_empty() || list.contains(name);
        fits(&self.applications, &environment.application)
            && fits(&self.environments, &environment.environment)
            && fits(&self.environment_types, environment_type)
    }
}
