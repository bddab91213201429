//! Receiver `cloudevents`: images of which the CDEvent "artifact published" tells.
//!
//! ```yaml
//! receiver:
//!   plugin: cloudevents
//!   config:
//!     registry: registry.example.com/shop   # of images whose package URL has none
//! ```
//!
//! CDEvents arrive in CloudEvents of any form over HTTP (structured, binary, or a
//! batch), or bare. Of these, `dev.cdevents.artifact.published.*` is read, in any
//! version; others are known and of no interest. The artifact is a package URL of type
//! `oci` or `docker`:
//! `pkg:oci/frontend@sha256%3A…?repository_url=registry.example.com/shop&tag=1.4`.
//! Its `repository_url` is the whole repository, or what stands before its name. A
//! qualifier `vcs_url` that ends in `@` and a commit tells that commit.

mod event;
mod purl;
#[cfg(test)]
mod tests;

use crate::event::Event;
use deployd_plugin_sdk::receiver::{Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver, fit};
use serde::Deserialize;

/// The receiver.
pub struct CloudEvents;

export_receiver!(CloudEvents);

/// Where images are that don't say it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    registry: Option<String>,
}

/// The part of a CDEvent that is the same for all types.
#[derive(Deserialize)]
struct CdEvent {
    #[serde(default)]
    context: Context,
    subject: Subject,
}

#[derive(Default, Deserialize)]
struct Context {
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Subject {
    id: String,
}

/// What the type begins with, before its version.
const PUBLISHED: &str = "dev.cdevents.artifact.published.";

impl Receiver for CloudEvents {
    type Config = Config;

    fn decode(
        delivery: &Delivery,
        config: &Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault> {
        let mut told = Vec::new();
        for event in event::events(delivery)? {
            if !event.r#type.starts_with(PUBLISHED) {
                log.debug(&format!("event {}: of no interest", event.r#type));
                continue;
            }
            told.extend(published(event, config, log)?);
        }
        Ok(told)
    }
}

/// The image of an event; none where another kind of artifact was published.
fn published(event: Event, config: &Config, log: &impl Log) -> Result<Option<Received>, Fault> {
    let (artifact, time) = match event.data()? {
        Some((at, data)) => {
            let CdEvent { context, subject } = fit(at.trim_start_matches('/'), data)?;
            let time = context.timestamp.map(|time| (format!("{at}/context/timestamp"), time));
            ((format!("{at}/subject/id"), subject.id), time)
        }
        // The event's own attributes say the same.
        None => (event.subject()?, None),
    };
    let (at, id) = artifact;
    let Some(mut image) = purl::image(&at, &id, config.registry.as_deref())? else {
        log.debug(&format!("{id}: no image: of no interest"));
        return Ok(None);
    };
    if let Some((at, time)) = time.or(event.time) {
        image.sequence = image_events::millis(&at, &time)?;
    }
    Ok(Some(Received::Artifact(image)))
}
