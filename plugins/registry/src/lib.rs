//! Receiver `registry`: images that were pushed to a registry which sends the
//! notifications of Distribution, or to Azure Container Registry.
//!
//! ```yaml
//! receiver:
//!   plugin: registry
//!   config:
//!     registry: registry.example.com   # if clusters pull by another name than was pushed to
//!     untagged: false                  # images pushed by digest only
//! ```
//!
//! Distribution sends an envelope of events, in the media types
//! `application/vnd.docker.distribution.events.v1+json` and `…v2+json` alike; Azure one
//! event of the same form without the envelope. Of these, pushes of manifests and
//! indexes are told; what was pushed without a tag is a part of an index mostly.

#[cfg(test)]
mod tests;

use deployd_plugin_sdk::receiver::{Artifact, Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver, fit};
use serde::Deserialize;
use serde_json::Value;

/// The receiver.
pub struct Registry;

export_receiver!(Registry);

/// What is told of, and where it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    registry: Option<String>,
    untagged: bool,
}

#[derive(Deserialize)]
struct Envelope {
    events: Vec<Event>,
}

/// What an event has depends on what happened: it is looked at when it is a push.
#[derive(Deserialize)]
struct Event {
    action: String,
    timestamp: Option<String>,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    request: Request,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Target {
    media_type: Option<String>,
    digest: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    host: Option<String>,
}

/// What images are; all else that is pushed is a part of one.
const IMAGES: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];

impl Receiver for Registry {
    type Config = Config;

    fn decode(
        delivery: &Delivery,
        config: &Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault> {
        let body: Value = image_events::body(delivery)?;
        let events = if body.get("events").is_some() {
            let Envelope { events } = fit("body", body)?;
            let place = |index| format!("/body/events/{index}");
            events.into_iter().enumerate().map(|(index, event)| (place(index), event)).collect()
        } else {
            vec![("/body".to_owned(), fit("body", body)?)]
        };
        let mut told = Vec::new();
        for (at, event) in events {
            match image(&at, &event, config)? {
                Some(image) => told.push(Received::Artifact(image)),
                None => log.debug(&format!("{at}: {}: of no interest", event.action)),
            }
        }
        Ok(told)
    }
}

/// The image that an event tells of, if it does.
fn image(at: &str, event: &Event, config: &Config) -> Result<Option<Artifact>, Fault> {
    let Event { target, request, .. } = event;
    let is_image = target.media_type.as_deref().is_some_and(|kind| IMAGES.contains(&kind));
    let tag = target.tag.as_deref().filter(|tag| !tag.is_empty());
    let belongs = tag.is_some_and(image_events::is_of_another_image);
    if event.action != "push" || !is_image || belongs || (tag.is_none() && !config.untagged) {
        return Ok(None);
    }
    let at_repository = format!("{at}/target/repository");
    let name = expected(&at_repository, target.repository.as_deref(), "a repository")?;
    let registry = match &config.registry {
        Some(registry) => image_events::registry("/config/registry", registry)?,
        None => {
            let at_host = format!("{at}/request/host");
            let host = expected(&at_host, request.host.as_deref(), "the registry's host")?;
            image_events::registry(&at_host, host)?
        }
    };
    let at_digest = format!("{at}/target/digest");
    let digest = expected(&at_digest, target.digest.as_deref(), "the manifest's digest")?;
    let time = event.timestamp.as_deref();
    let sequence = time.map(|time| image_events::millis(&format!("{at}/timestamp"), time));
    let tag = tag.map(|tag| image_events::tag(&format!("{at}/target/tag"), tag));
    Ok(Some(Artifact {
        repository: image_events::repository(&at_repository, &format!("{registry}/{name}"))?,
        digest: Some(image_events::digest(&at_digest, digest)?),
        tag: tag.transpose()?,
        sequence: sequence.transpose()?.flatten(),
        ..Artifact::default()
    }))
}

fn expected<'a>(at: &str, found: Option<&'a str>, what: &str) -> Result<&'a str, Fault> {
    found.ok_or_else(|| Fault::invalid(at, format!("is missing, expected {what}")))
}
