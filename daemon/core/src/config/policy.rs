//! Policies: what deployments may not be like.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EnvironmentSelector;
use crate::policy::Severity;
use crate::{EnvironmentId, Name, Timestamp};

/// Exemptions of one policy: each stands for somebody who has promised to mend
/// something, and a policy with more of them says nothing any more.
const EXEMPTIONS_MAX: usize = 100;

/// Characters of a reason: a sentence or two, or where it was agreed upon.
const REASON_CHARS_MAX: usize = 300;

/// Characters of the name of a rule, which is its plugin's.
pub const RULE_CHARS_MAX: usize = 100;

/// What deployments to some environments may not be like.
///
/// A plugin judges each of them, in its plan and again once its manifests are
/// rendered, before anything is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// For which environments it is; all when not given.
    #[serde(default, skip_serializing_if = "EnvironmentSelector::is_all")]
    pub selector: EnvironmentSelector,
    /// The plugin that judges: a policy, such as `cel`.
    pub plugin: Name,
    /// What it judges by, as its schema says: the rules.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// The most that comes of a violation. With `warn` nothing is refused, whatever
    /// the rules say: so a new policy is tried.
    #[serde(default)]
    pub enforce: Severity,
    /// Who need not hold to which of its rules, why, and until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = EXEMPTIONS_MAX))]
    pub exemptions: Vec<Exemption>,
}

/// That somebody need not hold to a rule for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// The application.
    pub application: Name,
    /// Only in this environment; in all of the application when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Name>,
    /// The rule, as violations name it.
    #[schemars(length(min = 1, max = RULE_CHARS_MAX))]
    pub rule: String,
    /// Why, for those who read it later.
    #[schemars(length(min = 1, max = REASON_CHARS_MAX))]
    pub reason: String,
    /// Until when: from then on the rule holds again.
    pub expires: Timestamp,
}

impl Exemption {
    /// Whether it is for a rule in an environment, and not over yet.
    pub fn is_for(&self, environment: &EnvironmentId, rule: &str, now: Timestamp) -> bool {
        self.application == environment.application
            && self.environment.as_ref().is_none_or(|name| *name == environment.environment)
            && self.rule == rule
            && now < self.expires
    }
}
