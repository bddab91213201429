//! What is on a branch of what was committed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::ports::{BlobId, CommitId, PullRequest};

/// Files by their paths from the top of the repository, as we have left them.
pub type Files = BTreeMap<String, BlobId>;

/// What a step has brought to a branch, or found there as it was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The repository.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The commit that has it.
    pub commit: CommitId,
    /// Our files there ([`Files`]), by content.
    pub files: Digest,
    /// Whether the commit was made for this step; else nothing was to be changed.
    pub changed: bool,
    /// The pull request by which it came there, and who has merged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
}

impl Published {
    /// Whether it is on the same branch as another.
    pub fn is_beside(&self, repository: &str, branch: &str) -> bool {
        self.repository == repository && self.branch == branch
    }
}
