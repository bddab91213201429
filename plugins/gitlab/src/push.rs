//! Pushes as GitLab's webhooks have them.

use deployd_plugin_sdk::receiver::Received;
use deployd_plugin_sdk::{Fault, Log};
use image_events::{Push, PushedCommit};
use serde::Deserialize;

use crate::Project;

#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(rename = "ref")]
    git_ref: String,
    /// None of a branch that was deleted.
    checkout_sha: Option<String>,
    commits: Option<Vec<PushedCommit>>,
    total_commits_count: Option<usize>,
    project: Project,
}

/// The last commit of a push, if it is of interest.
pub(crate) fn commits(
    body: &Body,
    projects: Option<&[String]>,
    log: &impl Log,
) -> Result<Vec<Received>, Fault> {
    let Body { git_ref, project, .. } = body;
    let source = project.path_with_namespace.as_str();
    if !image_events::wanted(projects, source) {
        log.debug(&format!("a push to {source}: not configured"));
        return Ok(Vec::new());
    }
    let commits = body.commits.as_deref().unwrap_or_default();
    let is_last = |one: &&PushedCommit| Some(&one.id) == body.checkout_sha.as_ref();
    let Some(last) = commits.iter().find(is_last) else {
        // Also of a branch that was made of commits which are known.
        log.debug(&format!("{git_ref} was deleted, or has nothing new: of no interest"));
        return Ok(Vec::new());
    };
    let is_whole = body.total_commits_count.is_none_or(|total| total <= commits.len());
    let push = Push { source, git_ref, commits, is_whole };
    Ok(push.told("/body/commits", last)?.map(Received::Commit).into_iter().collect())
}
