//! Approvals: who has to agree to a plan, who may, and who has.
//!
//! An approval is of a plan, by its digest, and counts for no other: a deployment
//! whose plan is made again, and comes out otherwise, is asked for again. What was
//! given stays recorded, and counts once more if the plan is again what it was.

mod standing;
#[cfg(test)]
mod tests;
mod view;

pub use standing::{Candidate, Delegation, Excluded, NotYours, Voice, aliases, voice};
pub use view::{
    ApprovalDecision, ApprovalGate, ApprovalRequest, ApprovalView, BreakGlassRequest, ChangedPlan,
    DelegateRequest, LINK_CHARS_MAX, LinkDecision, LinkLook, LinkView, Review, ReviewRequest,
    Waiting,
};

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::ApprovalRule;
use crate::plan::{Gate, GateCondition};
use crate::seeded::{Bug, seeded};
use crate::{Actor, Digest, Name, Timestamp};

/// The most approvals that one deployment keeps: more than all its rules can ask for,
/// asked for again some times.
pub const GIVEN_MAX: usize = 500;

/// How a deployment stands with those who have to agree to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approvals {
    /// What was asked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// What was given, and not withdrawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Approval>,
    /// Who has refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// The approval that nobody gave in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<Name>,
    /// Who went on without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_glass: Option<BrokenGlass>,
}

/// That people were asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// For this plan.
    pub plan: Digest,
    /// When.
    pub at: Timestamp,
    /// The plan that was asked for before, if it was another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
}

/// Somebody agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Who.
    pub by: Actor,
    /// In whose place, where that was delegated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Actor>,
    /// When.
    pub at: Timestamp,
    /// To which plan.
    pub plan: Digest,
    /// The rules that they may agree for.
    pub rules: BTreeSet<Name>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it was by the link of a message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_link: bool,
}

/// Somebody does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// Somebody went on although not all have agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokenGlass {
    /// Who.
    pub by: Actor,
    /// With which plan.
    pub plan: Digest,
    /// Why.
    pub reason: String,
}

impl Approvals {
    /// Whether nobody was asked, and nobody has said anything.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Those that count for a rule: of this plan, and each of another person, who is
    /// not counted a second time for standing in for somebody.
    pub fn counted(&self, rule: &ApprovalRule, plan: Digest) -> Vec<&Approval> {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut counted = Vec::new();
        for approval in &self.given {
            let of_plan = approval.plan == plan || seeded(Bug::ApprovalOfAnotherPlan);
            if !of_plan || !approval.rules.contains(&rule.name) {
                continue;
            }
            let voices = [Some(&approval.by), approval.on_behalf_of.as_ref()];
            let voices: Vec<&str> = voices.into_iter().flatten().map(|by| by.0.as_str()).collect();
            if voices.iter().any(|voice| known.contains(voice)) {
                continue;
            }
            known.extend(voices);
            counted.push(approval);
        }
        counted
    }

    /// How many have yet to agree to a plan.
    pub fn missing(&self, rule: &ApprovalRule, plan: Digest) -> u32 {
        let given = u32::try_from(self.counted(rule, plan).len()).unwrap_or(u32::MAX);
        rule.count.saturating_sub(given)
    }

    /// Whether a rule holds for a plan.
    pub fn holds(&self, rule: &ApprovalRule, plan: Digest) -> bool {
        let broken = self.broken_glass.as_ref().is_some_and(|broken| broken.plan == plan);
        broken || self.missing(rule, plan) == 0
    }

    /// When an approval that was asked for is waited for no longer.
    pub fn expires(&self, rule: &ApprovalRule, plan: Digest) -> Option<Timestamp> {
        let asked = self.asked.as_ref().filter(|asked| asked.plan == plan)?;
        Some(asked.at.plus_ms(rule.expires_ms()))
    }
}

/// The gate at which a rule's approvals are waited for.
pub fn gate(rule: &ApprovalRule) -> Gate {
    let mut who: Vec<&str> = rule.groups.iter().chain(&rule.people).map(String::as_str).collect();
    if who.is_empty() {
        who.push("whoever may approve");
    }
    let what =
        if rule.count == 1 { "1 approval".to_owned() } else { format!("{} approvals", rule.count) };
    let message = format!("{what} ({}) of {}", rule.name, who.join(", "));
    let condition = GateCondition::Approval { rule: rule.clone() };
    Gate { id: format!("approval:{}", rule.name), message, condition }
}

/// The rules among gates.
pub fn rules(gates: &[Gate]) -> impl Iterator<Item = &ApprovalRule> + Clone {
    gates.iter().filter_map(|gate| match &gate.condition {
        GateCondition::Approval { rule } => Some(rule),
        _ => None,
    })
}
