//! What is known of sets that are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::merge::Prefer;
use crate::deployment::projection::key;
use crate::ports::{Index, KeyRange, Put};
use crate::set::Delta;
use crate::subject::Subject;
use crate::{Actor, Digest, EnvironmentId, Name, Timestamp};

/// Sets: hex digits of the digest -> [`SetOrigin`].
pub const SETS: Index = Index("sets");

/// Sets of an application in the order of coming: application, time and hex
/// digits -> nothing.
pub const SETS_BY_APPLICATION: Index = Index("sets-by-application");

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

    /// What is written so that the set is known.
    pub fn puts(&self, set: Digest) -> Result<Vec<Put>, serde_json::Error> {
        let place = listed_key(&self.application, self.at, set);
        Ok(vec![
            Put {
                index: SETS,
                key: set.hex().into_bytes(),
                value: Some(serde_json::to_vec(self)?),
            },
            Put { index: SETS_BY_APPLICATION, key: place, value: Some(Vec::new()) },
        ])
    }
}

/// The key of a set among those of its application.
pub fn listed_key(application: &Name, at: Timestamp, set: Digest) -> Vec<u8> {
    let mut rest = at.0.to_be_bytes().to_vec();
    rest.extend_from_slice(set.hex().as_bytes());
    key(application.as_str(), &rest)
}

/// The keys of all sets of an application, in the order of coming.
pub fn listed(application: &Name) -> KeyRange {
    KeyRange::prefix(&key(application.as_str(), &[]))
}

/// When a set came, and its digest, of its key among those of its application.
pub fn listed_place(bytes: &[u8]) -> Option<(Timestamp, Digest)> {
    let start = bytes.iter().position(|byte| *byte == 0)?.saturating_add(1);
    let (at, hex) = bytes.get(start..)?.split_first_chunk::<8>()?;
    let hex = std::str::from_utf8(hex).ok()?;
    Some((Timestamp(u64::from_be_bytes(*at)), format!("sha256:{hex}").parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_sets_can_be_read_again() {
        let (set, at) = (Digest::of(b"set"), Timestamp(1_795_230_000_007));
        let application: Name = "shop".parse().unwrap();
        let origin = SetOrigin::planned(&application, &Actor("ada".into()), at);
        let puts = origin.puts(set).unwrap();
        assert_eq!(puts[0].key, set.hex().into_bytes());
        assert!(puts[1].key.starts_with(&listed(&application).start));
        assert_eq!(listed_place(&puts[1].key), Some((at, set)));
        assert!(listed_place(b"short").is_none());
    }
}
