//! CDEvents of what has happened.

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::notifier::{Event, Image};
use notices::{Data, Notice};
use packageurl::PackageUrl;
use serde::Serialize;
use serde_json::{Value, json};

/// The version of CDEvents.
const SPECVERSION: &str = "0.5.1";

/// What all types end in that are told here.
const TYPE_VERSION: &str = "0.3.0";

/// A CloudEvent in its structured form.
#[derive(Debug, Serialize)]
pub(crate) struct CloudEvent {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: Value,
}

/// The events that tell of one of ours; none when it has no counterpart.
pub(crate) fn of(event: &Event, source: &str) -> Result<Vec<CloudEvent>, Fault> {
    let data = Data::of(event)?;
    let mut told = Vec::new();
    let mut tell = |what: &str, subject: &str, content: Value| {
        told.push(cloud_event(event, source, what, subject, &content));
    };
    let environment = environment(event);
    let deployment = data.deployment.clone().unwrap_or_else(|| event.id.clone());
    let (kind, what) = event.r#type.split_once('.').unwrap_or((event.r#type.as_str(), ""));
    if let ("deployment" | "teardown", Some((run, outcome))) = (kind, run(what)) {
        let mut content = json!({"pipelineName": environment});
        if let Some(fields) = content.as_object_mut() {
            fields.extend(event.link.clone().map(|link| ("uri".to_owned(), link.into())));
            fields.extend(outcome.map(|outcome| ("outcome".to_owned(), outcome.into())));
            let fault = data.fault.as_ref().filter(|_| outcome.is_some());
            let errors = fault.map(|fault| fault.message.clone());
            fields.extend(errors.map(|errors| ("errors".to_owned(), errors.into())));
        }
        tell(run, &deployment, content);
    }
    let place = json!({"id": environment, "source": source});
    match event.r#type.as_str() {
        "deployment.succeeded" => {
            let is_back = data.origin.is_some_and(|origin| origin.kind == "rollback");
            let what = match data.number {
                _ if is_back => "service.rolledback",
                Some(1) => "service.deployed",
                _ => "service.upgraded",
            };
            for image in &event.images {
                let application = event.application.as_deref().unwrap_or_default();
                let service = format!("{application}/{}", image.workload);
                let content = json!({"environment": place, "artifactId": artifact_id(image)?});
                tell(what, &service, content);
            }
        }
        "teardown.succeeded" => {
            let name = event.environment.clone().unwrap_or_default();
            tell("environment.deleted", &environment, json!({"name": name}));
        }
        "drift.found" | "drift.gone" => {
            let found = event.r#type == "drift.found";
            let what = if found { "incident.detected" } else { "incident.resolved" };
            let description = Notice::of(event)?.title;
            let content = json!({"description": description, "environment": place});
            tell(what, &format!("drift/{deployment}"), content);
        }
        _ => {}
    }
    Ok(told)
}

/// What a step on a deployment's way is of a pipeline's run.
fn run(what: &str) -> Option<(&'static str, Option<&'static str>)> {
    const FINISHED: &str = "pipelinerun.finished";
    Some(match what {
        "queued" => ("pipelinerun.queued", None),
        "started" => ("pipelinerun.started", None),
        "succeeded" => (FINISHED, Some("success")),
        "failed" | "rolled-back" => (FINISHED, Some("failure")),
        "needs-operator" => (FINISHED, Some("error")),
        "cancelled" | "superseded" => (FINISHED, Some("cancel")),
        _ => return None,
    })
}

fn environment(event: &Event) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", part(&event.application), part(&event.environment))
}

fn cloud_event(
    event: &Event,
    source: &str,
    what: &str,
    subject: &str,
    content: &Value,
) -> CloudEvent {
    let event_type = format!("dev.cdevents.{what}.{TYPE_VERSION}");
    // One of ours may be several of these: of each type and subject, one.
    let id = format!("{}/{what}/{subject}/{}", event.id, artifact_of(content));
    let id = id.trim_end_matches('/').to_owned();
    let data = json!({
        "context": {
            "specversion": SPECVERSION,
            "id": id,
            "source": source,
            "type": event_type,
            "timestamp": event.time,
        },
        "subject": {"id": subject, "source": source, "content": content},
    });
    CloudEvent {
        specversion: "1.0",
        id,
        source: source.to_owned(),
        r#type: event_type,
        subject: subject.to_owned(),
        time: event.time.clone(),
        datacontenttype: "application/json",
        data,
    }
}

fn artifact_of(content: &Value) -> &str {
    content.get("artifactId").and_then(Value::as_str).unwrap_or_default()
}

/// The package URL of an image: `pkg:oci/web@sha256%3A...?repository_url=...`.
fn artifact_id(image: &Image) -> Result<String, Fault> {
    let (name, digest) = match image.image.split_once("@sha256:") {
        Some((name, digest)) => (name, Some(format!("sha256:{digest}"))),
        None => (image.image.as_str(), None),
    };
    let tagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (repository, named) = tagged.map_or((name, None), |(name, tag)| (name, Some(tag)));
    let last = repository.rsplit('/').next().unwrap_or(repository).to_ascii_lowercase();
    let wrong = |error: packageurl::Error| {
        Fault::permanent(format!("the image {:?} has no package URL: {error}", image.image))
    };
    let mut url = PackageUrl::new("oci", last).map_err(wrong)?;
    if let Some(digest) = digest {
        url.with_version(digest).map_err(wrong)?;
    }
    url.add_qualifier("repository_url", repository.to_owned()).map_err(wrong)?;
    if let Some(tag) = image.tag.as_deref().or(named).filter(|tag| !tag.is_empty()) {
        url.add_qualifier("tag", tag.to_owned()).map_err(wrong)?;
    }
    // As the specification of CDEvents writes it, so that both are the same text.
    Ok(url.to_string().replacen("@sha256:", "@sha256%3A", 1))
}
