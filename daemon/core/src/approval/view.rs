//! Approvals, as they are asked for and shown.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Approval;
use crate::config::{ApprovalRule, Exclusion};
use crate::plan::Plan;
use crate::{Actor, DeploymentId, Digest, EnvironmentId, Timestamp};

/// Characters of a reason: some sentences.
const REASON_CHARS_MAX: usize = 1_000;

/// Characters of a link; ours have 500.
pub const LINK_CHARS_MAX: usize = 2_000;

/// What somebody says to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalDecision {
    /// That they agree.
    Approve,
    /// That they do not: then the deployment is cancelled.
    Refuse,
    /// That they do not agree any more: their approval is taken back.
    Withdraw,
}

/// Somebody's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// To which plan, by its digest: that which was looked at.
    pub plan: Digest,
    /// What.
    pub decision: ApprovalDecision,
    /// Why; needed where it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = REASON_CHARS_MAX))]
    pub reason: Option<String>,
}

/// That somebody goes on without approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassRequest {
    /// With which plan, by its digest.
    pub plan: Digest,
    /// Why: who reviews it afterwards reads it.
    #[schemars(length(min = 1, max = REASON_CHARS_MAX))]
    pub reason: String,
}

/// What somebody has found who has looked at it afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewRequest {
    /// It.
    #[schemars(length(min = 1, max = REASON_CHARS_MAX))]
    pub finding: String,
}

/// That somebody may approve in one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateRequest {
    /// Until when, 90 days at most.
    pub until: Timestamp,
}

/// A deployment that waits for approvals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Which.
    pub deployment: DeploymentId,
    /// Where.
    pub environment: EnvironmentId,
    /// 1 for the environment's first.
    pub number: u64,
    /// Who has asked for it.
    pub requester: Actor,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The plan to agree to.
    pub plan: Digest,
    /// Since when people are asked.
    pub asked: Timestamp,
    /// What is waited for.
    pub gates: Vec<ApprovalGate>,
}

/// Approvals that a rule asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalGate {
    /// Who has to agree.
    pub rule: ApprovalRule,
    /// What counts of what was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Approval>,
    /// How many have yet to agree.
    pub missing: u32,
    /// Until when it is waited.
    pub expires: Timestamp,
    /// Who may not agree, and for which part in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub excluded: BTreeMap<String, Vec<Exclusion>>,
}

/// All that is to be known before one agrees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalView {
    /// What waits, and for whom.
    #[serde(flatten)]
    pub waiting: Waiting,
    /// Why the one who looks at it may not agree; none when they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_yours: Option<String>,
    /// The plan itself.
    pub content: Plan,
    /// How it differs from the one that was asked for before, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<ChangedPlan>,
}

/// How a plan differs from the one that people were asked for before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedPlan {
    /// The one before.
    pub before: Digest,
    /// What was changed, as a JSON Patch (RFC 6902) of that plan.
    pub patch: serde_json::Value,
}

impl ChangedPlan {
    /// What has changed from one plan to another.
    pub fn of(before: Digest, old: &Plan, new: &Plan) -> Result<Self, serde_json::Error> {
        let patch = json_patch::diff(&serde_json::to_value(old)?, &serde_json::to_value(new)?);
        Ok(Self { before, patch: serde_json::to_value(patch)? })
    }
}

/// That approvals were passed over, and whether somebody has looked at it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Where.
    pub environment: EnvironmentId,
    /// With which plan.
    pub plan: Digest,
    /// Who went on without.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Who has looked at it since; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<Actor>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Timestamp>,
    /// What they have found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// The link of a message, by which one person approves one plan once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkLook {
    /// What comes after `#` in it.
    #[schemars(length(min = 1, max = LINK_CHARS_MAX))]
    pub link: String,
}

/// What somebody decides by a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkDecision {
    /// What comes after `#` in it.
    #[schemars(length(min = 1, max = LINK_CHARS_MAX))]
    pub link: String,
    /// What.
    pub decision: ApprovalDecision,
    /// Why; needed where it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = REASON_CHARS_MAX))]
    pub reason: Option<String>,
}

/// What a link would approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkView {
    /// In whose name.
    pub approver: Actor,
    /// What.
    #[serde(flatten)]
    pub approval: ApprovalView,
}
