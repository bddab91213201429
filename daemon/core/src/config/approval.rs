//! Who has to agree before something is deployed.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calendar::RollbackRule;
use super::drift::Every;
use crate::Name;

/// Approvals that an environment's type asks for: one per body that has a say.
pub(super) const RULES_MAX: usize = 10;

/// Groups and people of one approval: who is more than these is a group of its own.
const NAMED_MAX: usize = 50;

/// Characters of a group's or a person's name: identity providers use addresses.
const NAMED_CHARS_MAX: usize = 200;

/// People who have to agree: more than this is a vote.
const COUNT_MAX: u32 = 20;

/// People have to agree before something is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRule {
    /// Its name, for people: `release`.
    pub name: Name,
    /// How many have to agree, each for themselves.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = COUNT_MAX))]
    pub count: u32,
    /// Who may: members of one of these groups. With neither groups nor people,
    /// everybody who may approve at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMED_MAX), inner(length(min = 1, max = NAMED_CHARS_MAX)))]
    pub groups: Vec<String>,
    /// Who may, too: these, by the names of their tokens, or by which an identity
    /// provider names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMED_MAX), inner(length(min = 1, max = NAMED_CHARS_MAX)))]
    pub people: Vec<String>,
    /// Who may not, whatever they are named in: who has asked for the deployment, when
    /// not given.
    #[serde(default = "requester", skip_serializing_if = "is_requester")]
    pub exclude: BTreeSet<Exclusion>,
    /// For how long it is waited; then the deployment is cancelled. 7 days when not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Every>,
    /// Whether it holds for going back to what ran before, and for healing drift.
    #[serde(default, skip_serializing_if = "RollbackRule::is_exempt")]
    pub rollbacks: RollbackRule,
}

impl ApprovalRule {
    /// For how long it is waited when nobody says, in milliseconds: somebody who is
    /// away for a week is not waited for by accident.
    const EXPIRES_MS: u64 = 7 * 24 * 3_600_000;

    /// For how long it is waited, in milliseconds.
    pub fn expires_ms(&self) -> u64 {
        self.expires.map_or(Self::EXPIRES_MS, Every::ms)
    }
}

/// Who does not approve what is partly their own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// Who has asked for the deployment.
    Requester,
    /// Authors of the commits that images were built from, as they were announced.
    Committer,
    /// Who has changed a document that the plan follows from since what runs there was
    /// deployed.
    ConfigAuthor,
    /// Who has brought a version of a plugin that the plan uses since then.
    PluginPublisher,
}

impl Exclusion {
    /// As documents have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Committer => "committer",
            Self::ConfigAuthor => "config-author",
            Self::PluginPublisher => "plugin-publisher",
        }
    }

    /// What somebody has done who is excluded.
    pub fn deed(self) -> &'static str {
        match self {
            Self::Requester => "has asked for it",
            Self::Committer => "is the author of a commit in it",
            Self::ConfigAuthor => "has changed its configuration",
            Self::PluginPublisher => "has brought a plugin that it uses",
        }
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

fn requester() -> BTreeSet<Exclusion> {
    BTreeSet::from([Exclusion::Requester])
}

fn is_requester(exclude: &BTreeSet<Exclusion>) -> bool {
    *exclude == requester()
}
