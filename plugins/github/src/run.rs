//! Workflow runs and check suites as GitHub's webhooks have them: what has succeeded has
//! built the images that the configuration names.

use crate::missing;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::{Artifact, Received};
use image_events::{Build, ConfiguredImage};
use serde::Deserialize;

/// Characters of a short commit, as `docker/metadata-action` has it.
const SHORT_COMMIT_CHARS: usize = 7;

#[derive(Deserialize)]
pub(crate) struct Body {
    action: String,
    workflow_run: Option<Run>,
    check_suite: Option<Run>,
    repository: Repository,
}

/// A workflow's run, or the checks of one app: what both have.
#[derive(Deserialize)]
struct Run {
    /// Of a workflow's run.
    name: Option<String>,
    /// Of a check suite.
    app: Option<App>,
    head_branch: Option<String>,
    head_sha: String,
    conclusion: Option<String>,
    created_at: Option<String>,
    html_url: Option<String>,
    run_number: Option<u64>,
    /// What has started a workflow's run.
    event: Option<String>,
    #[serde(default)]
    pull_requests: Vec<PullRequest>,
    head_commit: Option<Commit>,
    head_repository: Option<Repository>,
}

#[derive(Deserialize)]
struct App {
    slug: Option<String>,
}

#[derive(Deserialize)]
struct PullRequest {
    number: u64,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

/// What is wanted of them.
pub(crate) struct Wanted<'a> {
    pub(crate) images: &'a [ConfiguredImage],
    /// Names of workflows, and of apps that check.
    pub(crate) workflows: Option<&'a [String]>,
    pub(crate) refs: Option<&'a [String]>,
}

/// Images that were built; or why it is of no interest.
pub(crate) fn images(
    event: &str,
    body: Body,
    wanted: &Wanted<'_>,
) -> Result<Result<Vec<Received>, String>, Fault> {
    let at = format!("/body/{event}");
    let run = if event == "workflow_run" { body.workflow_run } else { body.check_suite };
    let run = run.ok_or_else(|| missing(&at, "a run"))?;
    let name = run.name.as_deref().or(run.app.as_ref().and_then(|app| app.slug.as_deref()));
    let name = name.unwrap_or_default();
    if body.action != "completed" || run.conclusion.as_deref() != Some("success") {
        let how = run.conclusion.as_deref().unwrap_or(&body.action);
        return Ok(Err(format!("{name} is {how}: of no interest")));
    }
    let git_ref = git_ref(&at, &run, &body.repository)?;
    let is_wanted_ref = match &git_ref {
        Some(git_ref) => image_events::wanted(wanted.refs, git_ref),
        None => wanted.refs.is_none(),
    };
    if !is_wanted_ref || !image_events::wanted(wanted.workflows, name) {
        return Ok(Err(format!("{name} of {git_ref:?}: not configured")));
    }
    let source = source(&at, &run, git_ref)?;
    let branch = run.head_branch.as_deref().unwrap_or_default();
    let slug = image_events::ref_slug(branch);
    let number = run.run_number.map(|number| number.to_string());
    let mut of_tag = vec![
        ("commit", run.head_sha.as_str()),
        ("short-commit", run.head_sha.get(..SHORT_COMMIT_CHARS).unwrap_or_default()),
        ("ref", branch),
        ("ref-slug", &slug),
    ];
    of_tag.extend(number.as_deref().map(|number| ("run-number", number)));
    // Names of owners can have capitals; their images are found without.
    let here = body.repository.full_name.to_lowercase();
    let build = Build {
        of_repository: &[("repository", &here)],
        of_tag: &of_tag,
        ref_at: &format!("{at}/head_branch"),
        source: &source,
    };
    let images = build.images(wanted.images)?;
    Ok(Ok(images.into_iter().map(Received::Artifact).collect()))
}

/// The ref of a run. What a fork has built is the pull request's, whatever its branch is
/// called: it could be called like this repository's own. None where no pull request is
/// named.
fn git_ref(at: &str, run: &Run, here: &Repository) -> Result<Option<String>, Fault> {
    let is_elsewhere = run.head_repository.as_ref().is_some_and(|r| r.full_name != here.full_name);
    let of_request = run.event.as_deref().is_some_and(|event| event.starts_with("pull_request"));
    if is_elsewhere || of_request {
        let request = run.pull_requests.first();
        return Ok(request.map(|request| format!("refs/pull/{}/head", request.number)));
    }
    // GitHub does not say whether it is a branch or a tag, but for releases.
    let kind = if run.event.as_deref() == Some("release") { "tags" } else { "heads" };
    let name = run.head_branch.as_deref();
    name.map(|name| image_events::git_ref(&format!("{at}/head_branch"), kind, name)).transpose()
}

/// What all images of a run have in common.
fn source(at: &str, run: &Run, git_ref: Option<String>) -> Result<Artifact, Fault> {
    let commit = image_events::commit(&format!("{at}/head_sha"), &run.head_sha)?;
    let told = run.head_commit.as_ref().filter(|told| told.id == commit);
    let time = told.and_then(|told| told.timestamp.as_deref());
    let time =
        time.map(|time| image_events::timestamp(&format!("{at}/head_commit/timestamp"), time));
    let page = run.html_url.as_deref();
    let page = page.map(|url| image_events::build_url(&format!("{at}/html_url"), url));
    // As packages have it, by time. What is run again was created when it first was.
    let created = run.created_at.as_deref();
    let created = created.map(|time| image_events::millis(&format!("{at}/created_at"), time));
    Ok(Artifact {
        git_ref,
        commit: Some(commit),
        committed_at: time.transpose()?.flatten(),
        build_url: page.transpose()?,
        sequence: created.transpose()?.flatten(),
        ..Artifact::default()
    })
}
