//! Receiver `quay`: images that were pushed to Quay.
//!
//! ```yaml
//! receiver:
//!   plugin: quay
//!   config: {}
//! ```
//!
//! The notification is "Push to Repository", by "Webhook POST". It tells the tags, and
//! neither digest, commit nor ref: each tag's digest is asked of the registry. Other
//! notifications have no tags that were updated and are of no interest.

use deployd_plugin_sdk::receiver::{Artifact, Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver};
use serde::Deserialize;

/// The receiver.
pub struct Quay;

export_receiver!(Quay);

/// There is nothing to configure.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

#[derive(Deserialize)]
struct Body {
    docker_url: String,
    updated_tags: Option<Vec<String>>,
}

impl Receiver for Quay {
    type Config = Config;

    fn decode(delivery: &Delivery, _: &Config, log: &impl Log) -> Result<Vec<Received>, Fault> {
        let Body { docker_url, updated_tags } = image_events::body(delivery)?;
        let Some(tags) = updated_tags else {
            log.debug("no push: of no interest");
            return Ok(Vec::new());
        };
        let repository = image_events::repository("/body/docker_url", &docker_url)?;
        let tags = tags.iter().enumerate();
        let images = tags.filter(|(_, tag)| !image_events::is_of_another_image(tag));
        let image = |(index, tag): (usize, &String)| {
            let tag = image_events::tag(&format!("/body/updated_tags/{index}"), tag)?;
            let repository = repository.clone();
            Ok(Received::Artifact(Artifact { repository, tag: Some(tag), ..Artifact::default() }))
        };
        images.map(image).collect()
    }
}

#[cfg(test)]
mod tests {
    //! Deliveries as Quay documents them.

    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;
    use image_events::testing;
    use serde_json::{Value, json};

    const PUSH: &str = include_str!("../tests/push.json");
    const BUILD: &str = include_str!("../tests/build-queued.json");

    fn decode(body: &str) -> Result<Vec<Artifact>, Fault> {
        Quay::decode(&testing::delivery(&[], body), &Config {}, &FakeHost::new())
            .map(testing::artifacts)
    }

    fn changed(pointer: &str, value: Value) -> String {
        let mut body: Value = serde_json::from_str(PUSH).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    }

    #[test]
    fn each_tag_is_told() {
        let expected = |tag: &str| Artifact {
            repository: "quay.io/example/test".to_owned(),
            tag: Some(tag.to_owned()),
            ..Artifact::default()
        };
        assert_eq!(decode(PUSH).unwrap(), [expected("latest"), expected("1.4")]);
        let signature = format!("sha256-{}.sig", "0a".repeat(32));
        let body = changed("/updated_tags/0", json!(signature));
        assert_eq!(decode(&body).unwrap(), [expected("1.4")]);
    }

    #[test]
    fn other_notifications_tell_nothing() {
        assert_eq!(decode(BUILD).unwrap(), []);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (pointer, value) in [
            ("/updated_tags/1", json!("a b")),
            ("/updated_tags/1", json!(7)),
            ("/updated_tags", json!("latest")),
            ("/docker_url", json!("quay.io/a@b")),
            ("/docker_url", Value::Null),
        ] {
            let fault = decode(&changed(pointer, value)).unwrap_err().to_string();
            assert!(fault.contains(&format!("/body{pointer}")), "{pointer}: {fault}");
        }
    }

    #[test]
    fn whatever_is_delivered_is_told_soundly_or_refused() {
        testing::holds(&[(&[], PUSH), (&[], BUILD)], |delivery| {
            Quay::decode(delivery, &Config {}, &FakeHost::new())
        })
        .unwrap();
    }
}
