//! Policies: what is judged, by whom, and what comes of it.
//!
//! Each policy that is for an environment is pinned in the plan. It is asked over one
//! document, [`PolicyInput`]: when the plan is made, as far as it can be told then,
//! and over the rendered objects, before anything is applied.

mod cases;
mod input;
mod report;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Exemption;
use crate::ports::PluginRef;
use crate::{Fault, Name};

pub use cases::{CaseOutcome, ExpectedViolation, PolicyCase, compare};
pub use input::{
    AttachedResult, Judged, JudgedArtifact, JudgedEnvironment, JudgedPlugin, JudgedResource, Phase,
    PolicyInput,
};
pub use report::{Answer, Effect, FINDINGS_MAX, Finding, PolicyReport, report};

/// What comes of a violation.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The deployment is refused.
    #[default]
    Deny,
    /// It goes on, and whoever looks at it is told.
    Warn,
}

/// A rule that does not hold, as a plugin says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Names the rule within the policy.
    pub rule: String,
    /// What comes of it.
    pub severity: Severity,
    /// What is wrong, as a JSON pointer (RFC 6901) into the input.
    pub path: String,
    /// What is expected there, for a person.
    pub message: String,
}

/// A policy, pinned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedPolicy {
    /// Its name.
    pub name: Name,
    /// Who judges.
    pub plugin: PluginRef,
    /// By what.
    pub params: Value,
    /// The most that comes of a violation.
    pub enforce: Severity,
    /// Exemptions of the application, expired ones too: whether one counts is told
    /// when it is judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<Exemption>,
}

/// The fault of a deployment that policies refuse, with what was found as its detail.
pub fn refusal(report: &PolicyReport) -> Option<Fault> {
    let denied: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.effect == Effect::Deny).collect();
    let first = denied.first()?;
    let others = match denied.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count.saturating_sub(1)),
    };
    let (code, message) = match &first.fault {
        Some(fault) => (
            "policy-failed",
            format!(
                "policy {} could not judge it, and what is not judged is refused: {fault}{others}",
                first.policy
            ),
        ),
        None => ("policy-denied", format!("refused by policy {first}{others}")),
    };
    Some(Fault::denied(code, message).with_detail(serde_json::json!({ "findings": denied })))
}
