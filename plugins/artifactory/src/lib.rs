//! Receiver `artifactory`: images that were pushed to Artifactory.
//!
//! ```yaml
//! receiver:
//!   plugin: artifactory
//!   config:
//!     registry: artifactory.example.com/${repo-key}   # or ${repo-key}.artifactory.example.com
//!     untagged: false                                 # images pushed by digest only
//! ```
//!
//! The webhook has the event "Tag was pushed" of the domain "Docker". It does not say
//! by what name clusters pull an image, which depends on how the server is set up:
//! `registry` is what stands before the image's name, and `${repo-key}` in it the key of
//! the repository that was pushed to. Other events are known and of no interest.

use deployd_plugin_sdk::receiver::{Artifact, Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver, fit};
use serde::Deserialize;
use serde_json::Value;

/// The receiver.
pub struct Artifactory;

export_receiver!(Artifactory);

/// Where images are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    registry: String,
    #[serde(default)]
    untagged: bool,
}

/// The event; what it is about is inside of `data`, or beside in older versions.
#[derive(Deserialize)]
struct Body {
    domain: Option<String>,
    event_type: String,
    data: Option<Value>,
}

#[derive(Deserialize)]
struct Pushed {
    #[serde(default)]
    repo_key: String,
    image_name: String,
    image_type: Option<String>,
    sha256: String,
    tag: String,
}

/// What charts are told of as, in the domain of images.
const CHART: &str = "helmoci";
/// What stands for a tag where something was pushed by digest only.
const UNTAGGED: [&str; 2] = ["sha256:", "sha256__"];

impl Receiver for Artifactory {
    type Config = Config;

    fn decode(
        delivery: &Delivery,
        config: &Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault> {
        let Body { domain, event_type, data } = image_events::body(delivery)?;
        if event_type != "pushed" || domain.as_deref().is_some_and(|domain| domain != "docker") {
            log.debug(&format!("event {event_type}: of no interest"));
            return Ok(Vec::new());
        }
        let (at, pushed): (_, Pushed) = match data {
            Some(data) => ("/body/data", fit("body/data", data)?),
            None => ("/body", image_events::body(delivery)?),
        };
        let is_untagged = UNTAGGED.iter().any(|start| pushed.tag.starts_with(start));
        if pushed.image_type.as_deref() == Some(CHART)
            || image_events::is_of_another_image(&pushed.tag)
            || (is_untagged && !config.untagged)
        {
            log.debug("a chart, or a part of an image: of no interest");
            return Ok(Vec::new());
        }
        let values = [("repo-key", pushed.repo_key.as_str())];
        let registry = image_events::expand("/config/registry", &config.registry, &values)?;
        let registry = image_events::registry("/config/registry", &registry)?;
        let repository = format!("{registry}/{}", pushed.image_name);
        let at_name = format!("{at}/image_name");
        let digest = format!("sha256:{}", pushed.sha256);
        let tag = (!is_untagged).then(|| image_events::tag(&format!("{at}/tag"), &pushed.tag));
        Ok(vec![Received::Artifact(Artifact {
            repository: image_events::repository(&at_name, &repository)?,
            digest: Some(image_events::digest(&format!("{at}/sha256"), &digest)?),
            tag: tag.transpose()?,
            ..Artifact::default()
        })])
    }
}

#[cfg(test)]
mod tests {
    //! Deliveries as JFrog documents them.

    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;
    use image_events::testing;
    use serde_json::json;

    const PUSHED: &str = include_str!("../tests/pushed.json");
    const BARE: &str = include_str!("../tests/pushed-bare.json");
    const DIGEST: &str = "sha256:35c4a2c15539c6c1e4e5fa4e554dac323ad0107d8eb5c582d6ff386b383b7dce";

    fn decode(body: &str, registry: &str, untagged: bool) -> Result<Vec<Artifact>, Fault> {
        let config = Config { registry: registry.to_owned(), untagged };
        Artifactory::decode(&testing::delivery(&[], body), &config, &FakeHost::new())
            .map(testing::artifacts)
    }

    fn changed(pointer: &str, value: Value) -> String {
        let mut body: Value = serde_json::from_str(PUSHED).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    }

    #[test]
    fn an_image_is_where_the_configuration_says() {
        for (registry, repository) in [
            ("r.example.com", "r.example.com/library/ubuntu"),
            ("r.example.com/${repo-key}", "r.example.com/docker-local/library/ubuntu"),
            ("${repo-key}.r.example.com", "docker-local.r.example.com/library/ubuntu"),
        ] {
            let expected = Artifact {
                repository: repository.to_owned(),
                digest: Some(DIGEST.to_owned()),
                tag: Some("latest".to_owned()),
                ..Artifact::default()
            };
            for body in [PUSHED, BARE] {
                assert_eq!(decode(body, registry, false).unwrap(), std::slice::from_ref(&expected));
            }
        }
    }

    #[test]
    fn what_was_pushed_by_digest_only_is_told_when_asked_for() {
        for tag in [DIGEST.to_owned(), DIGEST.replace(':', "__")] {
            let body = changed("/data/tag", json!(tag));
            assert_eq!(decode(&body, "r.example.com", false).unwrap(), []);
            let told = decode(&body, "r.example.com", true).unwrap();
            assert_eq!((told[0].digest.as_deref(), told[0].tag.as_deref()), (Some(DIGEST), None));
        }
    }

    #[test]
    fn other_events_tell_nothing() {
        for (pointer, value) in [
            ("/event_type", "deleted"),
            ("/event_type", "promoted"),
            ("/domain", "artifact"),
            ("/data/image_type", "helmoci"),
            ("/data/tag", &format!("{}.sig", DIGEST.replace(':', "-"))),
        ] {
            assert_eq!(decode(&changed(pointer, json!(value)), "r.example.com", true).unwrap(), []);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (pointer, value) in [
            ("/data/tag", json!("a b")),
            ("/data/sha256", json!("0a")),
            ("/data/image_name", json!("a@b")),
            ("/data/image_name", json!(7)),
            ("/event_type", Value::Null),
        ] {
            let body = changed(pointer, value);
            let fault = decode(&body, "r.example.com", false).unwrap_err().to_string();
            assert!(fault.contains(&format!("/body{pointer}")), "{pointer}: {fault}");
        }
        for registry in ["https://r.example.com", "${x}", ""] {
            let fault = decode(PUSHED, registry, false).unwrap_err().to_string();
            assert!(fault.contains("/config/registry"), "{fault}");
        }
    }

    #[test]
    fn whatever_is_delivered_is_told_soundly_or_refused() {
        let config = Config { registry: "r.example.com/${repo-key}".to_owned(), untagged: true };
        testing::holds(&[(&[], PUSHED), (&[], BARE)], |delivery| {
            Artifactory::decode(delivery, &config, &FakeHost::new())
        })
        .unwrap();
    }
}
