//! Repositories and forges for those who have none: a rehearsal, a benchmark.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::forges::{Forge, Forges, Proposal, PullRequest};
use super::plugins::CallLog;
use super::repositories::{
    BlobId, Branch, CommitRequest, Committed, FilesAt, Repositories, Revision,
};
use crate::Fault;

/// Reaches no repository and no forge.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoGit;

fn none<T>() -> Result<T, Fault> {
    Err(Fault::invalid("git-not-found", "there are no repositories here"))
}

#[async_trait]
impl Repositories for NoGit {
    async fn commit(&self, _: &CommitRequest, _: &CallLog) -> Result<Committed, Fault> {
        none()
    }

    async fn files(
        &self,
        _: &Branch,
        _: &Revision,
        _: &str,
        _: &CallLog,
    ) -> Result<FilesAt, Fault> {
        none()
    }

    async fn contents(
        &self,
        _: &Branch,
        _: &[BlobId],
        _: usize,
        _: &CallLog,
    ) -> Result<BTreeMap<BlobId, Vec<u8>>, Fault> {
        none()
    }

    async fn remove_branch(&self, _: &Branch, _: &CallLog) -> Result<(), Fault> {
        none()
    }
}

#[async_trait]
impl Forges for NoGit {
    async fn propose(&self, _: &Forge, _: &Proposal, _: &CallLog) -> Result<PullRequest, Fault> {
        none()
    }

    async fn look(&self, _: &Forge, _: u64, _: &CallLog) -> Result<PullRequest, Fault> {
        none()
    }

    async fn close(&self, _: &Forge, _: u64, _: &str, _: &CallLog) -> Result<PullRequest, Fault> {
        none()
    }
}
