//! Pushes as webhooks of Gitea and Forgejo have them.

use deployd_plugin_sdk::receiver::Received;
use deployd_plugin_sdk::{Fault, Log};
use image_events::{Push, PushedCommit};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(rename = "ref")]
    git_ref: String,
    after: String,
    commits: Option<Vec<PushedCommit>>,
    total_commits: Option<usize>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

/// The last commit of a push, if it is of interest.
pub(crate) fn commits(body: &Body, log: &impl Log) -> Result<Vec<Received>, Fault> {
    let (source, git_ref) = (body.repository.full_name.as_str(), body.git_ref.as_str());
    let commits = body.commits.as_deref().unwrap_or_default();
    let Some(last) = commits.iter().find(|one| one.id == body.after) else {
        log.debug(&format!("{git_ref} was deleted, or has nothing new: of no interest"));
        return Ok(Vec::new());
    };
    let is_whole = body.total_commits.is_none_or(|total| total <= commits.len());
    let push = Push { source, git_ref, commits, is_whole };
    Ok(push.told("/body/commits", last)?.map(Received::Commit).into_iter().collect())
}
