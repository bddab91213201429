//! Receiver `docker-hub`: images that were pushed to Docker Hub.
//!
//! ```yaml
//! receiver:
//!   plugin: docker-hub
//!   config: {}
//! ```
//!
//! The webhook is that of the repository. Docker Hub signs nothing, so that only the
//! address is a secret. It tells of pushes only, with neither digest, commit nor ref:
//! the tag's digest is asked of the registry.

use deployd_plugin_sdk::receiver::{Artifact, Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver};
use serde::Deserialize;
use serde_json::Number;

/// The receiver.
pub struct DockerHub;

export_receiver!(DockerHub);

/// There is nothing to configure.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

#[derive(Deserialize)]
struct Body {
    push_data: Push,
    repository: Repository,
}

#[derive(Deserialize)]
struct Push {
    pushed_at: Option<Number>,
    tag: String,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: String,
}

/// By what name clusters pull from Docker Hub.
const REGISTRY: &str = "docker.io";
/// Where official images are, whose names are written without.
const OFFICIAL: &str = "library";

impl Receiver for DockerHub {
    type Config = Config;

    fn decode(delivery: &Delivery, _: &Config, log: &impl Log) -> Result<Vec<Received>, Fault> {
        let Body { push_data: push, repository } = image_events::body(delivery)?;
        if image_events::is_of_another_image(&push.tag) {
            log.debug(&format!("tag {}: of no interest", push.tag));
            return Ok(Vec::new());
        }
        let name = repository.repo_name;
        let name = if name.contains('/') { name } else { format!("{OFFICIAL}/{name}") };
        let repository = format!("{REGISTRY}/{name}");
        Ok(vec![Received::Artifact(Artifact {
            repository: image_events::repository("/body/repository/repo_name", &repository)?,
            tag: Some(image_events::tag("/body/push_data/tag", &push.tag)?),
            sequence: push.pushed_at.as_ref().and_then(image_events::seconds_to_millis),
            ..Artifact::default()
        })])
    }
}

#[cfg(test)]
mod tests {
    //! A delivery as Docker documents it.

    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;
    use image_events::testing;
    use serde_json::{Value, json};

    const PUSH: &str = include_str!("../tests/push.json");

    fn decode(body: &str) -> Result<Vec<Artifact>, Fault> {
        DockerHub::decode(&testing::delivery(&[], body), &Config {}, &FakeHost::new())
            .map(testing::artifacts)
    }

    fn changed(pointer: &str, value: Value) -> String {
        let mut body: Value = serde_json::from_str(PUSH).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    }

    #[test]
    fn a_push_is_told_with_its_tag_and_time() {
        let expected = |name: &str| Artifact {
            repository: format!("docker.io/{name}"),
            tag: Some("latest".to_owned()),
            sequence: Some(1_417_566_161_000),
            ..Artifact::default()
        };
        assert_eq!(decode(PUSH).unwrap(), [expected("example/testhook")]);
        let official = changed("/repository/repo_name", json!("debian"));
        assert_eq!(decode(&official).unwrap(), [expected("library/debian")]);
        let with_exponent = PUSH.replace("1417566161", "1.417566161e+09");
        assert_eq!(decode(&with_exponent).unwrap(), [expected("example/testhook")]);
    }

    #[test]
    fn signatures_tell_nothing() {
        let tag = format!("sha256-{}.sig", "0a".repeat(32));
        assert_eq!(decode(&changed("/push_data/tag", json!(tag))).unwrap(), []);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (pointer, value) in [
            ("/push_data/tag", json!("a b")),
            ("/push_data/tag", Value::Null),
            ("/push_data/pushed_at", json!("now")),
            ("/repository/repo_name", json!("a@b")),
            ("/repository", json!(7)),
        ] {
            let fault = decode(&changed(pointer, value)).unwrap_err().to_string();
            assert!(fault.contains(&format!("/body{pointer}")), "{pointer}: {fault}");
        }
    }

    #[test]
    fn whatever_is_delivered_is_told_soundly_or_refused() {
        testing::holds(&[(&[], PUSH)], |delivery| {
            DockerHub::decode(delivery, &Config {}, &FakeHost::new())
        })
        .unwrap();
    }
}
