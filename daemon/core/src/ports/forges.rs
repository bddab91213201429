//! Forges, as the engine sees them: pull requests, by which people agree to what comes
//! to a branch.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugins::CallLog;
use super::repositories::CommitId;
use crate::config::HostGrant;
use crate::{Fault, Timestamp};

/// Whose API a forge has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForgeKind {
    /// GitHub, also a server of one's own.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea or Forgejo.
    Gitea,
}

/// A repository at a forge, and how its API is reached.
#[derive(Debug, Clone)]
pub struct Forge {
    /// Whose API it has.
    pub kind: ForgeKind,
    /// The API's address: `https://api.github.com`, `https://gitlab.example/api/v4`,
    /// `https://gitea.example/api/v1`.
    pub api: String,
    /// The repository there: `owner/name`, of GitLab with all its groups.
    pub project: String,
    /// Where requests may go to, and with which credential.
    pub grants: Arc<[HostGrant]>,
}

/// A pull request to be opened.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The branch that is to be merged.
    pub from: String,
    /// The branch that it is merged into.
    pub into: String,
    /// One line.
    pub title: String,
    /// Markdown. What is too long for the forge is cut, and says so.
    pub body: String,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// Its number within the repository.
    pub number: u64,
    /// Its page, for people.
    pub url: String,
    /// Where it stands.
    #[serde(flatten)]
    pub state: PullRequestState,
}

/// Where a pull request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum PullRequestState {
    /// It waits.
    Open,
    /// It was merged.
    Merged {
        /// What came of it on the branch: a merge, the squashed or the last rebased commit.
        commit: CommitId,
        /// The login of who merged it, as far as the forge says.
        by: Option<String>,
        /// When.
        at: Option<Timestamp>,
    },
    /// It was closed without that.
    Closed {
        /// The login of who closed it, as far as the forge says.
        by: Option<String>,
        /// When.
        at: Option<Timestamp>,
    },
}

/// Pull requests at forges.
///
/// Faults: `transient` with `forge-unreachable` when the forge is away or throttles;
/// `denied` with `forge-denied` when it does not let us; `invalid` with
/// `forge-not-found` and `forge-refused`, with what it said.
#[async_trait]
pub trait Forges: Send + Sync + 'static {
    /// Opens a pull request, or finds the one that was opened from the same branch into
    /// the same, however that has ended.
    async fn propose(
        &self,
        forge: &Forge,
        proposal: &Proposal,
        log: &CallLog,
    ) -> Result<PullRequest, Fault>;

    /// How a pull request stands.
    async fn look(&self, forge: &Forge, number: u64, log: &CallLog) -> Result<PullRequest, Fault>;

    /// Closes a pull request that is open, with a comment; gives how it stands then.
    async fn close(
        &self,
        forge: &Forge,
        number: u64,
        comment: &str,
        log: &CallLog,
    ) -> Result<PullRequest, Fault>;
}
