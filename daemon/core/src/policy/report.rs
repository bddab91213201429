//! What comes of what plugins have said: refused, told, or exempt for a time.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Phase, PlannedPolicy, PolicyInput, Severity, Violation};
use crate::config::{Exemption, RULE_CHARS_MAX};
use crate::resolve::is_known_later;
use crate::{EnvironmentId, Fault, Name, Timestamp};

/// Findings of one report, those that refuse first: they stand in the deployment's
/// record, and in each answer that has it, and nobody reads more.
pub const FINDINGS_MAX: usize = 25;

/// Characters of a finding's message.
const MESSAGE_CHARS_MAX: usize = 500;

/// Characters of a path: of the deepest field of a Kubernetes object they are some 150.
const PATH_CHARS_MAX: usize = 300;

/// What comes of a violation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "PolicyEffect")]
pub enum Effect {
    /// The deployment is refused.
    Deny,
    /// It goes on, and whoever looks at it is told.
    Warn,
    /// It goes on: somebody has promised to mend it.
    Exempt,
}

impl Effect {
    /// As records have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Exempt => "exempt",
        }
    }
}

/// A violation, and what comes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyFinding")]
pub struct Finding {
    /// The policy.
    pub policy: Name,
    /// Its rule; empty if the policy could not judge.
    pub rule: String,
    /// What comes of it.
    pub effect: Effect,
    /// What is wrong, as a JSON pointer (RFC 6901) into the policy's input.
    pub path: String,
    /// The object or the image that the path leads into: `Deployment web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is expected there.
    pub message: String,
    /// Why it is let through all the same, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Exemption>,
    /// Why the policy could not judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.policy)?;
        if !self.rule.is_empty() {
            write!(f, "/{}", self.rule)?;
        }
        write!(f, ": {}", self.message)?;
        match (&self.subject, self.path.as_str()) {
            (None, "") => {}
            (None, path) => write!(f, " ({path})")?,
            (Some(subject), path) => write!(f, " ({subject}, {path})")?,
        }
        if let Some(exemption) = &self.exemption {
            write!(f, "; exempt until {}: {}", exemption.expires, exemption.reason)?;
        }
        Ok(())
    }
}

/// What all policies of a deployment have found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyReport {
    /// When.
    pub at: Timestamp,
    /// The policies that were asked.
    pub policies: Vec<Name>,
    /// What was found, what refuses first.
    pub findings: Vec<Finding>,
    /// Findings that are left out, because there are too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Violations that are told only once everything is provisioned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub later: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl PolicyReport {
    /// Whether the deployment is refused.
    pub fn denies(&self) -> bool {
        self.findings.iter().any(|finding| finding.effect == Effect::Deny)
    }
}

/// What a policy's plugin has answered.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The policy.
    pub policy: &'a PlannedPolicy,
    /// What it found, or why it could not judge.
    pub found: Result<Vec<Violation>, Fault>,
}

/// What comes of the answers of all policies. The input is the document that they
/// were asked over.
pub fn report(answers: Vec<Answer<'_>>, input: &Value) -> PolicyReport {
    let setting = Setting::of(input);
    let mut report = PolicyReport { at: setting.now, ..PolicyReport::default() };
    for Answer { policy, found } in answers {
        report.policies.push(policy.name.clone());
        match found {
            Ok(violations) => {
                for violation in violations {
                    if setting.is_told(&violation, input) {
                        report.findings.push(finding(policy, violation, &setting, input));
                    } else {
                        report.later = report.later.saturating_add(1);
                    }
                }
            }
            Err(fault) => report.findings.push(unjudged(policy, fault, &setting)),
        }
    }
    report.findings.sort_by_key(|finding| finding.effect);
    report.more = report.findings.len().saturating_sub(FINDINGS_MAX);
    report.findings.truncate(FINDINGS_MAX);
    report
}

/// What of the input decides on what comes of violations. A document that was written
/// by hand, for a test, may have less than [`PolicyInput`].
struct Setting {
    environment: Option<EnvironmentId>,
    now: Timestamp,
    phase: Phase,
    rollback: bool,
}

impl Setting {
    fn of(input: &Value) -> Self {
        let name = |pointer: &str| input.pointer(pointer)?.as_str()?.parse::<Name>().ok();
        let environment = || {
            Some(EnvironmentId {
                application: name("/application")?,
                environment: name("/environment/name")?,
            })
        };
        let field = |name: &str| input.get(name).cloned().unwrap_or_default();
        Self {
            environment: environment(),
            now: serde_json::from_value(field("now")).unwrap_or_default(),
            phase: serde_json::from_value(field("phase")).unwrap_or(Phase::Rendered),
            rollback: field("rollback").as_bool().unwrap_or_default(),
        }
    }

    /// Whether a violation can be told yet: in a plan, only if all that its path
    /// names is known.
    fn is_told(&self, violation: &Violation, input: &Value) -> bool {
        if self.phase == Phase::Rendered {
            return true;
        }
        let unknown = input.get("objects").is_none_or(Value::is_null);
        if unknown && matches!(violation.path.as_str(), "" | "/objects") {
            return false;
        }
        !input.pointer(&violation.path).is_some_and(is_known_later)
    }

    /// The most that comes of a violation of a policy.
    fn enforced(&self, policy: &PlannedPolicy) -> Severity {
        if self.rollback { Severity::Warn } else { policy.enforce }
    }
}

fn effect(severity: Severity) -> Effect {
    match severity {
        Severity::Deny => Effect::Deny,
        Severity::Warn => Effect::Warn,
    }
}

fn finding(
    policy: &PlannedPolicy,
    violation: Violation,
    setting: &Setting,
    input: &Value,
) -> Finding {
    let exemption = setting.environment.as_ref().and_then(|environment| {
        let exemptions = policy.exemptions.iter();
        let mut counting =
            exemptions.filter(|one| one.is_for(environment, &violation.rule, setting.now));
        counting.next().cloned()
    });
    let severity = violation.severity.max(setting.enforced(policy));
    Finding {
        policy: policy.name.clone(),
        rule: cut(violation.rule, RULE_CHARS_MAX),
        effect: if exemption.is_some() { Effect::Exempt } else { effect(severity) },
        subject: subject(&violation.path, input),
        path: cut(violation.path, PATH_CHARS_MAX),
        message: cut(violation.message, MESSAGE_CHARS_MAX),
        exemption,
        fault: None,
    }
}

/// A policy that could not judge refuses, unless it is only tried, or something goes
/// back.
fn unjudged(policy: &PlannedPolicy, fault: Fault, setting: &Setting) -> Finding {
    Finding {
        policy: policy.name.clone(),
        rule: String::new(),
        effect: effect(setting.enforced(policy)),
        path: String::new(),
        subject: None,
        message: cut(format!("could not judge: {}", fault.message), MESSAGE_CHARS_MAX),
        exemption: None,
        fault: Some(fault),
    }
}

/// The object, image or resource that a path leads into.
fn subject(path: &str, input: &Value) -> Option<String> {
    let mut steps = path.split('/').skip(1);
    let (list, key) = (steps.next()?, steps.next()?);
    let of = input.pointer(&format!("/{list}/{key}"))?;
    let text = |pointer: &str| of.pointer(pointer).and_then(Value::as_str);
    match list {
        "objects" => Some(format!("{} {}", text("/kind")?, text("/metadata/name")?)),
        "artifacts" => Some(format!("{}/{}", text("/workload")?, text("/container")?)),
        "resources" => text("/key").map(str::to_owned),
        "plugins" => text("/name").map(str::to_owned),
        "workloads" => Some(key.to_owned()),
        _ => None,
    }
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl PolicyInput {
    /// As a document, as plugins get it.
    pub fn document(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}
