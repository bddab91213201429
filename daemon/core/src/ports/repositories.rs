//! Branches of Git repositories, as the engine sees them: environments are pulled
//! from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugins::CallLog;
use crate::config::HostGrant;
use crate::secret::SecretValue;
use crate::{Fault, Timestamp};

/// The code of the fault when files that are ours are not as we have left them, or
/// when one is there that never was ours. Its detail is a list of [`ForeignEdit`].
pub const EDITED: &str = "git-edited";

/// The trailer of a commit's message that says by which step it was made.
pub const KEY_TRAILER: &str = "Deployd-Key";

/// A branch of a repository, and how it is reached.
#[derive(Debug, Clone)]
pub struct Branch {
    /// `https://host/path.git`, `http://…` or `ssh://user@host:port/path.git`; without
    /// a password.
    pub repository: String,
    /// `main`.
    pub name: String,
    /// Where requests may go to, and with which credential.
    pub grants: Arc<[HostGrant]>,
    /// How to log in over SSH; none for HTTP.
    pub ssh: Option<SshLogin>,
}

/// How to log in over SSH.
#[derive(Debug, Clone)]
pub struct SshLogin {
    /// A private key, as OpenSSH writes it, without a passphrase.
    pub key: SecretValue,
    /// Keys of the host that are trusted, `ssh-ed25519 AAAA…`; no other is.
    pub host_keys: Vec<String>,
}

/// Names a file's content as Git does: the hash of a blob, in hexadecimal digits.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct BlobId(pub String);

/// Names a commit: its hash, in hexadecimal digits.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct CommitId(pub String);

impl std::fmt::Display for CommitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl CommitId {
    /// As people write it: the first twelve digits.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// What is to be on a branch.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// Where.
    pub branch: Branch,
    /// The name of a new branch that begins at the head of `branch` and gets the commit
    /// instead, to be merged by others. One of that name that is there already is ours.
    pub proposal: Option<String>,
    /// All files that are to be there, by their paths from the top of the repository.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Files that are ours, as we have left them. Those that are not among `files` are
    /// removed; whatever else is there stays as it is.
    pub owned: BTreeMap<String, BlobId>,
    /// Whether what others have changed of our files is taken over.
    pub take_over: bool,
    /// The commit's message, without the trailer for `key`.
    pub message: String,
    /// Recognises the commit. Of two requests with the same key, one makes a commit.
    pub key: String,
    /// Keys of those that follow it in the same step: once one of them was made, this
    /// one is past, whether it was made or had nothing to change.
    pub later: Vec<String>,
    /// Who makes it.
    pub author: CommitAuthor,
    /// When.
    pub at: Timestamp,
    /// What it is signed with: a private key, as OpenSSH writes it.
    pub signing_key: Option<SecretValue>,
    /// Whether it may have been made already, and not be known: then it, and those that
    /// follow it, are looked for among what came to the branch since `at`.
    pub again: bool,
}

/// Whom commits are by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitAuthor {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The commit; where nothing was to be changed, the one that the branch is at.
    pub commit: CommitId,
    /// The files, as they are there now.
    pub files: BTreeMap<String, BlobId>,
    /// Whether a commit was made of it, by this request or an earlier one with its key.
    pub changed: bool,
    /// Whether it is past: the commit is one of those that follow it, and nothing was
    /// done.
    pub past: bool,
    /// What was taken over from others.
    pub taken_over: Vec<ForeignEdit>,
}

/// That a file is not as we have left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignEdit {
    /// Its path.
    pub path: String,
    /// How it is.
    pub change: ForeignChange,
    /// The commit that has changed it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSummary>,
}

/// How a file is not as we have left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignChange {
    /// It is there, and never was ours.
    Added,
    /// It has another content, or is no plain file.
    Changed,
    /// It is gone.
    Removed,
}

/// A commit, in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitSummary {
    /// Which.
    pub commit: CommitId,
    /// Whose it is, `name <address>`; cut.
    pub author: String,
    /// When it was committed.
    pub at: Timestamp,
    /// The first line of its message; cut.
    pub subject: String,
}

/// Which commit is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// The branch's last one.
    Head,
    /// This one, on whichever branch.
    Commit(CommitId),
}

/// Files at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesAt {
    /// The commit.
    pub commit: CommitSummary,
    /// The files, by their paths from the top of the repository; links and submodules
    /// are not among them.
    pub files: BTreeMap<String, BlobId>,
}

/// Reads and writes branches of repositories. Nothing is checked out: no link, hook,
/// filter or configuration of a repository has any effect.
///
/// Faults: `transient` with the code `git-unreachable` when the repository is away or
/// others were quicker too often; `denied` with `git-denied` when we are not let in, and
/// with `git-protected` when the branch is not to be written to; `conflict` with
/// [`EDITED`]; `invalid` with `git-not-found` when there is no such repository, branch or
/// commit, with `git-too-large` when it is more than we take, and with `git-invalid`
/// when what is there, or a path, is none.
#[async_trait]
pub trait Repositories: Send + Sync + 'static {
    /// Has the files of a request be on its branch, by one commit at most; never by a
    /// forced push. A branch that others have written to meanwhile is tried again.
    async fn commit(&self, request: &CommitRequest, log: &CallLog) -> Result<Committed, Fault>;

    /// The files at a revision that are in a directory, or are that file; all of them,
    /// when it is empty.
    async fn files(
        &self,
        branch: &Branch,
        revision: &Revision,
        directory: &str,
        log: &CallLog,
    ) -> Result<FilesAt, Fault>;

    /// The contents of files at a commit, at most so many bytes together.
    async fn contents(
        &self,
        branch: &Branch,
        blobs: &[BlobId],
        bytes_max: usize,
        log: &CallLog,
    ) -> Result<BTreeMap<BlobId, Vec<u8>>, Fault>;

    /// Removes a branch that we have made, unless it is gone or has something of others.
    async fn remove_branch(&self, branch: &Branch, log: &CallLog) -> Result<(), Fault>;
}
