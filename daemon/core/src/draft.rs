//! Drafts: deltas that are being prepared, by several people, before they are
//! deployed or dropped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::set::Delta;
use crate::{Actor, Digest, EnvironmentId, Timestamp};

/// The most drafts of one application at a time: more than people can keep in
/// mind, and few enough to be listed at once.
pub const DRAFTS_MAX: usize = 100;

/// The largest delta of a draft, as JSON: larger changes are files of somebody's
/// own, and deployed as such.
pub const DELTA_BYTES_MAX: usize = 256 * 1024;

/// The most changes that a draft tells of, the newest; the journal has all.
pub const CHANGES_SHOWN: usize = 20;

/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;

/// A delta that is being prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// Names it.
    pub id: String,
    /// Where it is to be deployed.
    pub environment: EnvironmentId,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The set that ran there when it was edited last, to which it applies.
    pub base: Digest,
    /// What it changes.
    pub delta: Delta,
    /// 1 for the first; an edit names the one that it has read.
    pub version: u64,
    /// Who has changed it and when, oldest first; the newest of them.
    pub changes: Vec<DraftChange>,
}

/// A change of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftChange {
    /// The version that it made.
    pub version: u64,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
}

/// A draft to be begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDraft {
    /// Where it is to be deployed.
    pub environment: EnvironmentId,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it changes; nothing yet.
    #[serde(default)]
    pub delta: Delta,
}

/// An edit of a draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DraftEdit {
    /// The version that was read.
    #[schemars(extend("maximum" = u64::MAX))]
    pub version: u64,
    /// What it changes from now on, instead of what it did.
    pub delta: Delta,
}

/// How a draft is to be deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DraftDeployment {
    /// The version that was read; none for whatever it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maximum" = u64::MAX))]
    pub version: Option<u64>,
    /// For people; the draft's title when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Refuse to execute any plan but the one with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_plan: Option<Digest>,
    /// Let resources be replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm_replace: bool,
}

/// Somebody else has changed a draft meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "draft {id} is at version {now} now, not at {read}: {} changed it at {}; look at it again (`deployd draft show {id}`), and edit that",
    last.actor,
    last.at
)]
pub struct Stale {
    /// The draft.
    pub id: String,
    /// The version that was read.
    pub read: u64,
    /// The version that there is.
    pub now: u64,
    /// Who made it.
    pub last: Box<DraftChange>,
}

impl Draft {
    /// Whether it still is what somebody has read.
    pub fn is_at(&self, read: u64) -> Result<(), Stale> {
        if self.version == read {
            return Ok(());
        }
        let nobody =
            || DraftChange { version: 0, actor: Actor::deployd(), at: Timestamp::default() };
        let last = Box::new(self.changes.last().cloned().unwrap_or_else(nobody));
        Err(Stale { id: self.id.clone(), read, now: self.version, last })
    }

    /// The draft with another delta.
    #[must_use]
    pub fn edited(mut self, delta: Delta, base: Digest, actor: &Actor, at: Timestamp) -> Self {
        self.version = self.version.saturating_add(1);
        self.delta = delta;
        self.base = base;
        self.changes.push(DraftChange { version: self.version, actor: actor.clone(), at });
        let old = self.changes.len().saturating_sub(CHANGES_SHOWN);
        self.changes.drain(..old);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_of_what_somebody_else_has_changed_says_who() {
        let ada = Actor("ada".into());
        let mut draft = Draft {
            id: "d1".into(),
            environment: "shop/production".parse().unwrap(),
            title: None,
            base: Digest::of(b""),
            delta: Delta::default(),
            version: 1,
            changes: vec![DraftChange { version: 1, actor: ada, at: Timestamp(0) }],
        };
        assert_eq!(draft.is_at(1), Ok(()));
        let bob = Actor("bob".into());
        draft = draft.edited(Delta::default(), Digest::of(b"1"), &bob, Timestamp(1_000));
        let stale = draft.is_at(1).unwrap_err().to_string();
        assert!(stale.contains("version 2 now, not at 1: bob changed it at 1970"), "{stale}");
        for _ in 0..100 {
            draft = draft.edited(Delta::default(), Digest::of(b"1"), &bob, Timestamp(1_000));
        }
        assert_eq!((draft.version, draft.changes.len()), (102, CHANGES_SHOWN));
        assert_eq!(draft.changes.last().unwrap().version, 102);
    }
}
