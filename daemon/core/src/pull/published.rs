//! What is on a branch of what was committed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::ports::{BlobId, CommitId, PullRequest, PullRequestState};

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

    /// For people: `commit 3f2a1b4c5d6e on main`, and by which pull request it came there.
    pub fn sentence(&self) -> String {
        let (commit, branch) = (self.commit.short(), &self.branch);
        let text = match self.changed {
            true => format!("commit {commit} on {branch}"),
            false => format!("{branch} had it already, at {commit}"),
        };
        match &self.pull_request {
            Some(request) => match &request.state {
                PullRequestState::Merged { by: Some(by), .. } => {
                    format!("{text}, by {}, merged by {by}", request.url)
                }
                _ => format!("{text}, by {}", request.url),
            },
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_which_commit_it_is_and_who_has_merged_it() {
        let commit = CommitId("3f2a1b4c5d6e7f8091a2b3c4d5e6f708192a3b4c".to_owned());
        let merged = |by: Option<&str>| PullRequest {
            number: 7,
            url: "https://git.example.com/a/b/pulls/7".to_owned(),
            state: PullRequestState::Merged {
                commit: commit.clone(),
                by: by.map(str::to_owned),
                at: None,
            },
        };
        for (changed, pull_request, sentence) in [
            (true, None, "commit 3f2a1b4c5d6e on main"),
            (false, None, "main had it already, at 3f2a1b4c5d6e"),
            (
                true,
                Some(merged(Some("ana"))),
                "commit 3f2a1b4c5d6e on main, by https://git.example.com/a/b/pulls/7, merged by ana",
            ),
            (
                true,
                Some(merged(None)),
                "commit 3f2a1b4c5d6e on main, by https://git.example.com/a/b/pulls/7",
            ),
        ] {
            let published = Published {
                repository: "https://git.example.com/a/b.git".to_owned(),
                branch: "main".to_owned(),
                commit: commit.clone(),
                files: Digest::of(b""),
                changed,
                pull_request,
            };
            assert_eq!(published.sentence(), sentence);
        }
    }
}
