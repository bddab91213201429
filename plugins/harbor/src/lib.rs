//! Receiver `harbor`: images that were pushed to Harbor.
//!
//! ```yaml
//! receiver:
//!   plugin: harbor
//!   config:
//!     untagged: false   # images pushed by digest only
//! ```
//!
//! The webhook is that of the project, with the event "Artifact pushed", in either
//! payload format: `Default` or `CloudEvents`. Other events are known and of no
//! interest. It tells neither commit nor ref.

use deployd_plugin_sdk::receiver::{Artifact, Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver};
use serde::Deserialize;
use serde_json::Number;

/// The receiver.
pub struct Harbor;

export_receiver!(Harbor);

/// What is told of.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    untagged: bool,
}

#[derive(Deserialize)]
struct Head {
    r#type: String,
}

#[derive(Deserialize)]
struct Notification {
    occur_at: Option<Number>,
    event_data: Data,
}

#[derive(Deserialize)]
struct CloudEvent {
    time: Option<String>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    digest: Option<String>,
    tag: Option<String>,
    resource_url: String,
}

impl Receiver for Harbor {
    type Config = Config;

    fn decode(
        delivery: &Delivery,
        config: &Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault> {
        let Head { r#type: event } = image_events::body(delivery)?;
        let (at, data, sequence) = match event.as_str() {
            "PUSH_ARTIFACT" => {
                let Notification { occur_at, event_data } = image_events::body(delivery)?;
                let millis = occur_at.as_ref().and_then(image_events::seconds_to_millis);
                ("/body/event_data/resources", event_data, millis)
            }
            "harbor.artifact.pushed" => {
                let CloudEvent { time, data } = image_events::body(delivery)?;
                let millis = time.map(|time| image_events::millis("/body/time", &time));
                ("/body/data/resources", data, millis.transpose()?.flatten())
            }
            _ => {
                log.debug(&format!("event {event}: of no interest"));
                return Ok(Vec::new());
            }
        };
        let mut told = Vec::new();
        for (index, resource) in data.resources.iter().enumerate() {
            match image(&format!("{at}/{index}"), resource, config)? {
                Some(image) => told.push(Received::Artifact(Artifact { sequence, ..image })),
                None => log.debug("a part of an image, or what belongs to one: of no interest"),
            }
        }
        Ok(told)
    }
}

fn image(at: &str, resource: &Resource, config: &Config) -> Result<Option<Artifact>, Fault> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    // What was pushed without a tag has its digest in the tag's place.
    let tag = given(&resource.tag).filter(|tag| !tag.starts_with("sha256:"));
    let belongs = tag.as_deref().is_some_and(image_events::is_of_another_image);
    if belongs || (tag.is_none() && !config.untagged) {
        return Ok(None);
    }
    let digest = given(&resource.digest);
    if tag.is_none() && digest.is_none() {
        return Err(Fault::invalid(format!("{at}/digest"), "is missing, expected a digest"));
    }
    let repository = image_events::without_version(&resource.resource_url);
    let tag = tag.map(|tag| image_events::tag(&format!("{at}/tag"), &tag));
    let digest = digest.map(|digest| image_events::digest(&format!("{at}/digest"), &digest));
    Ok(Some(Artifact {
        repository: image_events::repository(&format!("{at}/resource_url"), repository)?,
        digest: digest.transpose()?,
        tag: tag.transpose()?,
        ..Artifact::default()
    }))
}

#[cfg(test)]
mod tests {
    //! Deliveries as Harbor documents them, and with a tag.

    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;
    use image_events::testing;
    use serde_json::{Value, json};

    const UNTAGGED: &str = include_str!("../tests/default-untagged.json");
    const TAGGED: &str = include_str!("../tests/default-tagged.json");
    const CLOUD_EVENT: &str = include_str!("../tests/cloudevents-tagged.json");
    const DIGEST: &str = "sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4";

    fn decode(body: &str, config: Value) -> Result<Vec<Artifact>, Fault> {
        let config = serde_json::from_value(config).unwrap();
        Harbor::decode(&testing::delivery(&[], body), &config, &FakeHost::new())
            .map(testing::artifacts)
    }

    fn changed(body: &str, pointer: &str, value: Value) -> String {
        let mut body: Value = serde_json::from_str(body).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    }

    #[test]
    fn a_push_is_told_in_either_format() {
        let expected = |millis| Artifact {
            repository: "harbor.example.com/shop/alpine".to_owned(),
            digest: Some(DIGEST.to_owned()),
            tag: Some("v1.0.0".to_owned()),
            sequence: Some(millis),
            ..Artifact::default()
        };
        assert_eq!(decode(TAGGED, json!({})).unwrap(), [expected(1_680_501_893_000)]);
        assert_eq!(decode(CLOUD_EVENT, json!({})).unwrap(), [expected(1_680_501_886_000)]);
    }

    #[test]
    fn what_was_pushed_by_digest_only_is_told_when_asked_for() {
        assert_eq!(decode(UNTAGGED, json!({})).unwrap(), []);
        let told = decode(UNTAGGED, json!({"untagged": true})).unwrap();
        let [image] = &told[..] else { panic!("{told:?}") };
        assert_eq!(image.repository, "localhost/harbor/alpine");
        assert_eq!((image.digest.as_deref(), image.tag.as_deref()), (Some(DIGEST), None));
    }

    #[test]
    fn other_events_tell_nothing() {
        for event in ["PULL_ARTIFACT", "SCANNING_COMPLETED", "harbor.scan.completed", "MADE_UP"] {
            let body = json!({"type": event, "event_data": 7}).to_string();
            assert_eq!(decode(&body, json!({})).unwrap(), [], "{event}");
        }
        let signature = json!(format!("{}.sig", DIGEST.replace(':', "-")));
        let body = changed(TAGGED, "/event_data/resources/0/tag", signature);
        assert_eq!(decode(&body, json!({})).unwrap(), []);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (pointer, value) in [
            ("/event_data/resources/0/tag", json!("a b")),
            ("/event_data/resources/0/digest", json!("sha256:0a")),
            ("/event_data/resources/0/resource_url", json!("https://harbor.example.com/a:1")),
            ("/event_data/resources", Value::Null),
            ("/type", json!(7)),
        ] {
            let fault = decode(&changed(TAGGED, pointer, value), json!({})).unwrap_err();
            assert!(fault.to_string().contains(&format!("/body{pointer}")), "{pointer}: {fault}");
        }
        let fault = decode(&changed(CLOUD_EVENT, "/time", json!("x")), json!({})).unwrap_err();
        assert!(fault.to_string().contains("/body/time"), "{fault}");
    }

    #[test]
    fn whatever_is_delivered_is_told_soundly_or_refused() {
        testing::holds(&[(&[], TAGGED), (&[], UNTAGGED), (&[], CLOUD_EVENT)], |delivery| {
            Harbor::decode(delivery, &Config { untagged: true }, &FakeHost::new())
        })
        .unwrap();
    }
}
