//! Receiver `gitlab`: images that pipelines of GitLab have built, and commits that were
//! pushed.
//!
//! ```yaml
//! receiver:
//!   plugin: gitlab
//!   config:
//!     images:
//!       - { repository: "registry.example.com/${project}", tag: "${short-commit}" }
//!     projects: [shop/*]                            # all if absent
//!     refs: [refs/heads/main, refs/tags/v*]         # all if absent
//! ```
//!
//! GitLab tells of no pushes to its registry, but of pipelines: the webhook is that of
//! the project or group, with the trigger "Pipeline events". A pipeline that has
//! succeeded has built the images that the configuration names. Placeholders of the
//! tag: `${commit}`, `${short-commit}`, `${ref}`, `${ref-slug}`, `${pipeline}` (its ID)
//! and `${pipeline-iid}` (its number in the project), as CI jobs have them in
//! `CI_COMMIT_SHA`, `CI_COMMIT_SHORT_SHA`, `CI_COMMIT_REF_NAME`, `CI_COMMIT_REF_SLUG`,
//! `CI_PIPELINE_ID` and `CI_PIPELINE_IID`. Which digest the tag has is asked of the
//! registry.
//!
//! The ref of a merge request's pipeline is `refs/merge-requests/7/head`: its branch
//! may be of a fork, and have any name.
//!
//! Of the trigger "Push events", it tells of the last commit: who has made it, when, and
//! what has changed with the push, where that has no more than the 20 commits that GitLab
//! tells of. Images of that commit get that from there, if the push comes before them.

mod push;
#[cfg(test)]
mod tests;

use deployd_plugin_sdk::receiver::{Artifact, Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver};
use image_events::{Build, ConfiguredImage};
use serde::Deserialize;

/// The receiver.
pub struct Gitlab;

export_receiver!(Gitlab);

/// What pipelines build.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    images: Vec<ConfiguredImage>,
    projects: Option<Vec<String>>,
    refs: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Body {
    object_attributes: Pipeline,
    merge_request: Option<MergeRequest>,
    project: Project,
    commit: Option<Commit>,
}

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    iid: Option<u64>,
    #[serde(rename = "ref")]
    name: String,
    #[serde(default)]
    tag: bool,
    sha: String,
    source: Option<String>,
    status: String,
    url: Option<String>,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
}

#[derive(Deserialize)]
struct Project {
    path_with_namespace: String,
    web_url: String,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
    timestamp: Option<String>,
}

/// What starts a pipeline of a merge request.
const MERGE_REQUEST: &str = "merge_request_event";
/// Characters of a short commit in GitLab.
const SHORT_COMMIT_CHARS: usize = 8;

impl Receiver for Gitlab {
    type Config = Config;

    fn decode(
        delivery: &Delivery,
        config: &Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault> {
        let event = image_events::header(delivery, "x-gitlab-event")?;
        if event == "Push Hook" {
            return push::commits(&image_events::body(delivery)?, config.projects.as_deref(), log);
        }
        if event != "Pipeline Hook" {
            log.debug(&format!("event {event}: of no interest"));
            return Ok(Vec::new());
        }
        let body: Body = image_events::body(delivery)?;
        let (pipeline, project) = (&body.object_attributes, &body.project.path_with_namespace);
        if pipeline.status != "success" {
            log.debug(&format!("pipeline {} is {}: of no interest", pipeline.id, pipeline.status));
            return Ok(Vec::new());
        }
        let git_ref = git_ref(&body)?;
        let is_wanted_ref = match &git_ref {
            Some(name) => image_events::wanted(config.refs.as_deref(), name),
            None => config.refs.is_none(),
        };
        if !is_wanted_ref || !image_events::wanted(config.projects.as_deref(), project) {
            log.debug(&format!("a pipeline of {project}, {git_ref:?}: not configured"));
            return Ok(Vec::new());
        }
        let source = source(&body, git_ref)?;
        let slug = image_events::ref_slug(&pipeline.name);
        let id = pipeline.id.to_string();
        let iid = pipeline.iid.map(|iid| iid.to_string());
        let mut of_tag = vec![
            ("commit", pipeline.sha.as_str()),
            ("short-commit", pipeline.sha.get(..SHORT_COMMIT_CHARS).unwrap_or_default()),
            ("ref", &pipeline.name),
            ("ref-slug", &slug),
            ("pipeline", &id),
        ];
        of_tag.extend(iid.as_deref().map(|iid| ("pipeline-iid", iid)));
        let build = Build {
            // As registries have it: GitLab's own, too, is in lower case.
            of_repository: &[("project", &project.to_lowercase())],
            of_tag: &of_tag,
            ref_at: "/body/object_attributes/ref",
            source: &source,
        };
        let images = build.images(&config.images)?;
        Ok(images.into_iter().map(Received::Artifact).collect())
    }
}

/// The ref of a pipeline; none of a merge request that the delivery does not name.
fn git_ref(body: &Body) -> Result<Option<String>, Fault> {
    let pipeline = &body.object_attributes;
    if pipeline.source.as_deref() == Some(MERGE_REQUEST) {
        let request = body.merge_request.as_ref();
        return Ok(request.map(|request| format!("refs/merge-requests/{}/head", request.iid)));
    }
    let kind = if pipeline.tag { "tags" } else { "heads" };
    image_events::git_ref("/body/object_attributes/ref", kind, &pipeline.name).map(Some)
}

/// What all images of a pipeline have in common.
fn source(body: &Body, git_ref: Option<String>) -> Result<Artifact, Fault> {
    let pipeline = &body.object_attributes;
    let commit = image_events::commit("/body/object_attributes/sha", &pipeline.sha)?;
    // Of a merge request's result, the commit that is told of is not the one that the
    // pipeline ran for.
    let told = body.commit.as_ref().filter(|told| told.id == commit);
    let time = told.and_then(|told| told.timestamp.as_deref());
    let time = time.map(|time| image_events::timestamp("/body/commit/timestamp", time));
    let page = match &pipeline.url {
        Some(url) => image_events::build_url("/body/object_attributes/url", url)?,
        None => {
            let url = format!("{}/-/pipelines/{}", body.project.web_url, pipeline.id);
            image_events::build_url("/body/project/web_url", &url)?
        }
    };
    Ok(Artifact {
        git_ref,
        commit: Some(commit),
        committed_at: time.transpose()?.flatten(),
        build_url: Some(page),
        sequence: pipeline.iid,
        ..Artifact::default()
    })
}
