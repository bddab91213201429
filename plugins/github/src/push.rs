//! Pushes as GitHub's webhooks have them.

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::Received;
use image_events::{Push, PushedCommit};
use serde::Deserialize;

/// Commits that GitHub tells of in one push: of a longer one it leaves out the rest.
const COMMITS_TOLD: usize = 2048;

#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(rename = "ref")]
    git_ref: String,
    #[serde(default)]
    deleted: bool,
    head_commit: Option<PushedCommit>,
    commits: Option<Vec<PushedCommit>>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

/// The last commit of a push; or why it is of no interest.
pub(crate) fn commits(body: &Body) -> Result<Result<Vec<Received>, String>, Fault> {
    let git_ref = &body.git_ref;
    let Some(head) = body.head_commit.as_ref().filter(|_| !body.deleted) else {
        return Ok(Err(format!("{git_ref} was deleted: of no interest")));
    };
    let commits = body.commits.as_deref().unwrap_or_default();
    let push = Push {
        source: &body.repository.full_name,
        git_ref,
        commits,
        is_whole: commits.len() < COMMITS_TOLD,
    };
    let told = push.told("/body/head_commit", head)?;
    Ok(told
        .map(|commit| vec![Received::Commit(commit)])
        .ok_or_else(|| format!("{git_ref} is no branch: of no interest")))
}
