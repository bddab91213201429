//! Resource definitions: which driver provisions what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EnvironmentId, Name};

/// For which resources which driver, with which inputs.
///
/// Either `driver` or `lender` says where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["driver"]}, {"required": ["lender"]}]))]
pub struct ResourceDefinitionSpec {
    /// The type of resource: `postgres`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1))]
    pub resource_type: String,
    /// Which of them; all when empty. One is enough; the most specific one that
    /// matches counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<Criteria>,
    /// The name of the `Plugin` document of the driver that provisions it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Name>,
    /// The environment whose resource of the same type, class and id is used,
    /// `platform/shared`: one database server for many. It has to be there
    /// before, and stays as long as anybody uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lender: Option<EnvironmentId>,
    /// What the driver gets, as its schema has it. Strings may hold
    /// placeholders: `${context.application}`, `${context.environment}`,
    /// `${context.environment_type}`, `${resource.id}`, `${resource.class}`,
    /// `${resource.workload}`, `${resource.params.x}`, `${values.x}`, and
    /// `${resources.TYPE.OUTPUT}` for outputs of another resource of the same
    /// environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Value>,
    /// What happens once no workload asks for the resource any more.
    #[serde(default)]
    pub when_unused: WhenUnused,
    /// Changes of it can't be undone, such as migrations of a schema: who goes back
    /// to what ran before is told so, and asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_only: bool,
}

/// Where a resource comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Provider {
    /// The name of the driver's `Plugin` document.
    Driver(Name),
    /// The environment that has it.
    Lender(EnvironmentId),
}

impl ResourceDefinitionSpec {
    /// Where the resource comes from; none when the definition says two places,
    /// or none at all.
    pub fn provider(&self) -> Option<Provider> {
        match (&self.driver, &self.lender) {
            (Some(driver), None) => Some(Provider::Driver(driver.clone())),
            (None, Some(lender)) => Some(Provider::Lender(lender.clone())),
            _ => None,
        }
    }
}

/// What happens to a resource that nothing asks for any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUnused {
    /// It stays, and is shown as unused: data is not lost by a change of a
    /// Score file.
    #[default]
    Keep,
    /// The driver takes it away, and its objects are pruned.
    Destroy,
}

/// Which resources; all that is given must match. `*` is any run of characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Criteria {
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The environment's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The environment's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_type: Option<String>,
    /// The resource's class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The resource's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Values of the environment, or of its type, by their names: `region: eu-*`.
    /// A value that is a number or true or false is compared by its text; what
    /// is a list or an object matches nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}
