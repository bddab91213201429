//! The parameters of a policy.

use crate::asked::Each;
use deployd_plugin_sdk::policy::Severity;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What a `Policy` document has in `params`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[serde(default)]
    pub(crate) constants: Map<String, Value>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) each: Each,
    pub(crate) when: Option<String>,
    pub(crate) expression: String,
    pub(crate) message: String,
    pub(crate) message_expression: Option<String>,
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) severity: Severity,
}
