//! Tests of policies: inputs, and the violations that are expected of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Effect, Finding, PolicyReport};

/// One case of a policy's tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyCase {
    /// What it shows, for people.
    pub name: String,
    /// What the policy is asked over: all of a policy's input, or as much of it as the
    /// rules read.
    #[serde(default)]
    pub input: Value,
    /// A file with it instead, seen from the file of the cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_file: Option<String>,
    /// A JSON Merge Patch (RFC 7396) on the input: what this case is about.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub patch: Value,
    /// All that is expected to be found, in any order; nothing, if all is right.
    #[serde(default)]
    pub expect: Vec<ExpectedViolation>,
}

impl PolicyCase {
    /// What the policy is asked over in this case.
    pub fn asked(&self) -> Value {
        let mut input = self.input.clone();
        if !self.patch.is_null() {
            json_patch::merge(&mut input, &self.patch);
        }
        input
    }
}

/// A violation that is expected. What is not given may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedViolation {
    /// The rule.
    pub rule: String,
    /// Where, as a JSON pointer into the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What comes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

impl ExpectedViolation {
    fn is(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.path.as_ref().is_none_or(|path| *path == finding.path)
            && self.effect.is_none_or(|effect| effect == finding.effect)
    }
}

/// What a case has come to: passed, if both are empty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseOutcome {
    /// Expected, and not found.
    pub missing: Vec<ExpectedViolation>,
    /// Found, and not expected.
    pub unexpected: Vec<Finding>,
}

impl CaseOutcome {
    /// Whether all is as expected.
    pub fn passed(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// Compares what was found with what was expected: one finding for each expectation,
/// those that say more first, so that none takes what another one needs.
pub fn compare(expected: &[ExpectedViolation], report: &PolicyReport) -> CaseOutcome {
    let mut unexpected = report.findings.clone();
    let mut missing = Vec::new();
    let mut expected: Vec<&ExpectedViolation> = expected.iter().collect();
    expected.sort_by_key(|one| (one.path.is_none(), one.effect.is_none()));
    for one in expected {
        match unexpected.iter().position(|finding| one.is(finding)) {
            Some(found) => _ = unexpected.remove(found),
            None => missing.push(one.clone()),
        }
    }
    CaseOutcome { missing, unexpected }
}
