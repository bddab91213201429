//! Deployments as GitHub's webhooks have them: what somebody else asks to be deployed, by
//! images in its payload.

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::{Artifact, Received};
use serde::Deserialize;
use serde_json::Value;

/// Images of one deployment: as many as can be announced at once.
const IMAGES_MAX: usize = 100;

/// What the notifier `github-deployments` writes for the task of a deployment.
const OWN_TASK: &str = "deploy";

#[derive(Deserialize)]
pub(crate) struct Body {
    action: String,
    deployment: Deployment,
}

#[derive(Deserialize)]
struct Deployment {
    sha: String,
    #[serde(rename = "ref")]
    name: String,
    task: Option<String>,
    created_at: Option<String>,
    payload: Option<Value>,
}

/// Images that a deployment names; or why it is of no interest.
pub(crate) fn images(
    body: &Body,
    refs: Option<&[String]>,
) -> Result<Result<Vec<Received>, String>, Fault> {
    const AT: &str = "/body/deployment";
    let Deployment { sha, name, task, created_at, .. } = &body.deployment;
    if body.action != "created" {
        return Ok(Err(format!("a deployment was {}: of no interest", body.action)));
    }
    let payload = payload(body.deployment.payload.as_ref());
    if task.as_deref() == Some(OWN_TASK) && is_own(&payload) {
        return Ok(Err("deployd has told GitHub of this deployment itself".to_owned()));
    }
    let images = named(&payload)?;
    if images.is_empty() {
        return Ok(Err(
            "a deployment whose payload names no images, as {\"images\": [\"registry.example.com/shop/web@sha256:...\"]}: nobody knows what to deploy"
                .to_owned(),
        ));
    }
    let git_ref = git_ref(&format!("{AT}/ref"), name, sha)?;
    let is_wanted = match &git_ref {
        Some(git_ref) => image_events::wanted(refs, git_ref),
        None => refs.is_none(),
    };
    if !is_wanted {
        return Ok(Err(format!("a deployment of {git_ref:?}: not configured")));
    }
    let commit = image_events::commit(&format!("{AT}/sha"), sha)?;
    let created = created_at.as_deref();
    let created = created.map(|at| image_events::millis(&format!("{AT}/created_at"), at));
    let source = Artifact {
        git_ref,
        commit: Some(commit),
        sequence: created.transpose()?.flatten(),
        ..Artifact::default()
    };
    let read = |(place, text): &(String, &str)| image(place, text, &source);
    let told: Result<Vec<Artifact>, Fault> = images.iter().map(read).collect();
    Ok(Ok(told?.into_iter().map(Received::Artifact).collect()))
}

/// The payload: a document, or a text that is one. Nothing else names images.
fn payload(found: Option<&Value>) -> Value {
    match found {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

/// Whether the notifier `github-deployments` has written it.
fn is_own(payload: &Value) -> bool {
    payload.get("deployment").is_some_and(Value::is_string) && payload.get("link").is_some()
}

/// The images that a payload names, with their places.
fn named(payload: &Value) -> Result<Vec<(String, &str)>, Fault> {
    const AT: &str = "/body/deployment/payload";
    let one = payload.get("image").map(|image| (format!("{AT}/image"), image));
    let list = payload.get("images").and_then(Value::as_array);
    let list = list.map(Vec::as_slice).unwrap_or_default();
    if list.len() > IMAGES_MAX {
        let message = format!("found {} images, expected {IMAGES_MAX} at most", list.len());
        return Err(Fault::invalid(format!("{AT}/images"), message));
    }
    let list = list.iter().enumerate().map(|(n, image)| (format!("{AT}/images/{n}"), image));
    one.into_iter()
        .chain(list)
        .map(|(at, image)| match image.as_str() {
            Some(text) => Ok((at, text)),
            None => {
                Err(Fault::invalid(at, "expected an image, as registry.example.com/web@sha256:..."))
            }
        })
        .collect()
}

/// The ref of a deployment: a name without `refs/` is taken for a branch's, which GitHub
/// does not tell from a tag's. None where it is the commit.
fn git_ref(at: &str, name: &str, sha: &str) -> Result<Option<String>, Fault> {
    if name == sha {
        return Ok(None);
    }
    let (kind, name) = match name.strip_prefix("refs/").and_then(|rest| rest.split_once('/')) {
        Some((kind @ ("heads" | "tags"), name)) => (kind, name),
        Some(_) => return Ok(None),
        None => ("heads", name),
    };
    image_events::git_ref(at, kind, name).map(Some)
}

/// An image by its digest, or its tag, or both.
fn image(at: &str, text: &str, source: &Artifact) -> Result<Artifact, Fault> {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(image_events::digest(at, digest)?)),
        None => (text, None),
    };
    let repository = image_events::without_version(named);
    let tag = named.get(repository.len()..).and_then(|rest| rest.strip_prefix(':'));
    let tag = tag.map(|tag| image_events::tag(at, tag)).transpose()?;
    if tag.is_none() && digest.is_none() {
        let message = format!(
            "found {:?}, expected an image with its digest",
            deployd_plugin_sdk::shown(text)
        );
        return Err(Fault::invalid(at, message));
    }
    let repository = image_events::repository(at, repository)?;
    Ok(Artifact { repository, tag, digest, ..source.clone() })
}
