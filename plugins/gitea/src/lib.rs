//! Receiver `gitea`: images that were pushed to the registry of Gitea or Forgejo, and
//! commits that were pushed to its repositories.
//!
//! ```yaml
//! receiver:
//!   plugin: gitea
//!   config:
//!     registry: git.example.com:5000   # if it is not the host of the package's page
//!     untagged: false                  # images pushed by digest only
//! ```
//!
//! The webhook is that of the organisation, user or repository which the package
//! belongs to, with the event "Package" and the content type `application/json`. It
//! tells neither commit nor ref, and the tag's digest is asked of the registry.
//!
//! Of the event "Push", it tells of the last commit: who has made it, when, and what has
//! changed with the push. Images of that commit that are announced with it get that from
//! there, if the push comes before them. Other events are known and of no interest.

mod push;

use deployd_plugin_sdk::receiver::{Artifact, Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver};
use serde::Deserialize;

/// The receiver.
pub struct Gitea;

export_receiver!(Gitea);

/// What is told of, and where it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    registry: Option<String>,
    untagged: bool,
}

#[derive(Deserialize)]
struct Body {
    action: String,
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    owner: Owner,
    r#type: String,
    name: String,
    version: String,
    #[serde(default)]
    html_url: String,
}

#[derive(Deserialize)]
struct Owner {
    login: String,
}

impl Receiver for Gitea {
    type Config = Config;

    fn decode(
        delivery: &Delivery,
        config: &Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault> {
        let event = image_events::header(delivery, "x-gitea-event")?;
        if event == "push" {
            return push::commits(&image_events::body(delivery)?, log);
        }
        if event != "package" {
            log.debug(&format!("event {event}: of no interest"));
            return Ok(Vec::new());
        }
        let Body { action, package } = image_events::body(delivery)?;
        if action != "created" || package.r#type != "container" {
            log.debug(&format!(
                "a package of type {} was {action}: of no interest",
                package.r#type
            ));
            return Ok(Vec::new());
        }
        let Some((tag, digest)) = version(&package.version, config)? else {
            log.debug("a part of an image, or what belongs to one: of no interest");
            return Ok(Vec::new());
        };
        let registry = match &config.registry {
            Some(registry) => image_events::registry("/config/registry", registry)?,
            None => image_events::registry("/body/package/html_url", host(&package.html_url))?,
        };
        // Names of owners can have capitals; their images are found without.
        let name = format!("{}/{}", package.owner.login, package.name).to_lowercase();
        let repository = format!("{registry}/{name}");
        Ok(vec![Received::Artifact(Artifact {
            repository: image_events::repository("/body/package/name", &repository)?,
            digest,
            tag,
            ..Artifact::default()
        })])
    }
}

type TagOrDigest = (Option<String>, Option<String>);

/// A version is a tag, or the digest of what was pushed without one.
fn version(version: &str, config: &Config) -> Result<Option<TagOrDigest>, Fault> {
    const AT: &str = "/body/package/version";
    if image_events::is_of_another_image(version) {
        return Ok(None);
    }
    if !version.starts_with("sha256:") {
        return Ok(Some((Some(image_events::tag(AT, version)?), None)));
    }
    let digest = image_events::digest(AT, version)?;
    Ok(config.untagged.then_some((None, Some(digest))))
}

/// The host of a page's address, with its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    //! A delivery as Gitea's own tests have it, in the form that it is written in.

    use super::*;
    use deployd_plugin_sdk::receiver::Commit;
    use deployd_plugin_sdk::testing::FakeHost;
    use image_events::testing;
    use serde_json::{Value, json};

    const PACKAGE: &str = include_str!("../tests/package-created.json");
    const PUSH: &str = include_str!("../tests/push.json");
    const EVENT: [(&str, &str); 1] = [("x-gitea-event", "package")];
    const PUSH_EVENT: [(&str, &str); 1] = [("x-gitea-event", "push")];

    fn decode(body: &str, config: Value) -> Result<Vec<Artifact>, Fault> {
        let config = serde_json::from_value(config).unwrap();
        Gitea::decode(&testing::delivery(&EVENT, body), &config, &FakeHost::new())
            .map(testing::artifacts)
    }

    fn changed(pointer: &str, value: Value) -> String {
        let mut body: Value = serde_json::from_str(PACKAGE).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    }

    #[test]
    fn an_image_is_found_by_owner_and_name() {
        let expected = |host: &str| Artifact {
            repository: format!("{host}/user1/giteacontainer"),
            tag: Some("latest".to_owned()),
            ..Artifact::default()
        };
        assert_eq!(decode(PACKAGE, json!({})).unwrap(), [expected("localhost:3000")]);
        let config = json!({"registry": "registry.example.com"});
        assert_eq!(decode(PACKAGE, config).unwrap(), [expected("registry.example.com")]);
    }

    #[test]
    fn what_was_pushed_by_digest_only_is_told_when_asked_for() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let body = changed("/package/version", json!(digest));
        assert_eq!(decode(&body, json!({})).unwrap(), []);
        let told = decode(&body, json!({"untagged": true})).unwrap();
        assert_eq!((told[0].digest.as_ref(), told[0].tag.as_ref()), (Some(&digest), None));
    }

    #[test]
    fn other_packages_and_events_tell_nothing() {
        let signature = format!("sha256-{}.sig", "0a".repeat(32));
        for (pointer, value) in
            [("/action", "deleted"), ("/package/type", "npm"), ("/package/version", &signature)]
        {
            assert_eq!(decode(&changed(pointer, json!(value)), json!({})).unwrap(), []);
        }
        for event in ["release", "made-up"] {
            let delivery = testing::delivery(&[("x-gitea-event", event)], "{}");
            let told = Gitea::decode(&delivery, &Config::default(), &FakeHost::new());
            assert!(told.unwrap().is_empty());
        }
    }

    #[test]
    fn a_push_tells_of_its_last_commit() {
        let told = |body: &str| {
            let delivery = testing::delivery(&PUSH_EVENT, body);
            let told = Gitea::decode(&delivery, &Config::default(), &FakeHost::new());
            testing::commits(told.unwrap())
        };
        let expected = Commit {
            source: "user1/web".to_owned(),
            commit: "6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b".to_owned(),
            git_ref: Some("refs/heads/main".to_owned()),
            author: Some("Ana Silva <ana@example.com>".to_owned()),
            committed_at: Some("2026-11-20T10:58:41+01:00".to_owned()),
            paths: ["main.go", "old.go", "pages.go"].map(str::to_owned).to_vec(),
        };
        assert_eq!(told(PUSH), std::slice::from_ref(&expected));
        // Gitea tells of some commits of a long push.
        let cut = PUSH.replace("\"total_commits\": 2", "\"total_commits\": 40");
        assert_eq!(told(&cut), [Commit { paths: Vec::new(), ..expected }]);
        for (pointer, value) in [
            ("/ref", json!("refs/tags/v1")),
            ("/after", json!("0".repeat(40))),
            ("/commits", Value::Null),
        ] {
            let mut body: Value = serde_json::from_str(PUSH).unwrap();
            *body.pointer_mut(pointer).unwrap() = value;
            body["head_commit"] = Value::Null;
            assert_eq!(told(&body.to_string()), [], "{pointer}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (pointer, value) in [
            ("/package/version", json!("a b")),
            ("/package/version", json!("sha256:0a")),
            ("/package/name", json!("a@b")),
            ("/package/html_url", json!("")),
            ("/package/owner/login", json!(7)),
            ("/package", Value::Null),
        ] {
            let fault = decode(&changed(pointer, value), json!({})).unwrap_err().to_string();
            assert!(fault.contains(&format!("/body{pointer}")), "{pointer}: {fault}");
        }
        let fault = decode(PACKAGE, json!({"registry": "https://x"})).unwrap_err().to_string();
        assert!(fault.contains("/config/registry"), "{fault}");
    }

    #[test]
    fn whatever_is_delivered_is_told_soundly_or_refused() {
        let config = Config { untagged: true, ..Config::default() };
        testing::holds(&[(&EVENT, PACKAGE), (&PUSH_EVENT, PUSH)], |delivery| {
            Gitea::decode(delivery, &config, &FakeHost::new())
        })
        .unwrap();
    }
}
