//! What is known of sets that are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::merge::Prefer;
use crate::set::Delta;
use crate::subject::Subject;
use crate::{Actor, Digest, EnvironmentId, Name, Timestamp};

/// How a set came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetOrigin {
    /// Whose it is.
    pub application: Name,
    /// Since when it is known: when it was made, or planned first.
    pub at: Timestamp,
    /// Who made it, or asked for the deployment that it was planned for.
    pub actor: Actor,
    /// The set that it was made of, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Digest>,
}

/// A set that is kept, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownSet {
    /// Its name.
    pub digest: Digest,
    /// How it came to be.
    #[serde(flatten)]
    pub origin: SetOrigin,
    /// Where it runs now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs_in: Vec<EnvironmentId>,
    /// Environments in which it was planned to run; the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployed_in: Vec<EnvironmentId>,
}

/// A page of sets, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetsPage {
    /// The sets.
    pub sets: Vec<KnownSet>,
    /// To be given to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A set to be made of another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchRequest {
    /// Whose set the delta is applied to.
    pub from: Subject,
    /// The delta.
    pub delta: Delta,
}

/// A set to be made of another one by what changed between two others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MergeRequest {
    /// Before the change.
    pub base: Subject,
    /// After the change.
    pub theirs: Subject,
    /// What the change is applied to.
    pub onto: Subject,
    /// What is taken where both have changed the same; none: the merge is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Prefer>,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MergedSet {
    /// The set.
    pub set: KnownSet,
    /// What makes it of the set that the change was applied to.
    pub delta: Delta,
    /// What conflicted, and was decided as the request preferred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<crate::compare::merge::Conflict>,
}

impl SetOrigin {
    /// Of a set that is planned.
    pub fn planned(application: &Name, actor: &Actor, at: Timestamp) -> Self {
        Self { application: application.clone(), at, actor: actor.clone(), from: None }
    }
}
