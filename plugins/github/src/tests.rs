//! Deliveries as GitHub documents them; names, and digests that were cut short there,
//! are made up.

use super::*;
use deployd_plugin_sdk::receiver::Artifact;
use deployd_plugin_sdk::testing::FakeHost;
use image_events::testing;
use serde_json::{Value, json};

const UNTAGGED: &str = include_str!("../tests/registry-package-untagged.json");
const TAGGED: &str = include_str!("../tests/package-tagged.json");
const NPM: &str = include_str!("../tests/package-npm.json");
const PING: &str = include_str!("../tests/ping.json");

const DIGEST: &str = "sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b0f5b3c1e2d4a69788796a5b4";
const COMMIT: &str = "6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b";

fn decode(event: &str, body: &str, config: Value) -> Result<Vec<Artifact>, Fault> {
    let delivery = testing::delivery(&[("x-github-event", event)], body);
    let config = serde_json::from_value(config).unwrap();
    Github::decode(&delivery, &config, &FakeHost::new()).map(testing::artifacts)
}

/// The tagged image, with one field of its version changed.
fn changed(pointer: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(TAGGED).unwrap();
    *body.pointer_mut(&format!("/package/package_version/{pointer}")).unwrap() = value;
    body.to_string()
}

#[test]
fn an_image_has_its_digest_tag_and_commit() {
    let expected = Artifact {
        repository: "ghcr.io/example-org/hello-world".to_owned(),
        digest: Some(DIGEST.to_owned()),
        tag: Some("1.4.0".to_owned()),
        git_ref: Some("refs/heads/master".to_owned()),
        commit: Some(COMMIT.to_owned()),
        sequence: Some(1_795_168_801_000),
        ..Artifact::default()
    };
    assert_eq!(decode("package", TAGGED, json!({})).unwrap(), [expected]);
}

#[test]
fn what_was_pushed_by_digest_only_is_told_when_asked_for() {
    assert_eq!(decode("registry_package", UNTAGGED, json!({})).unwrap(), []);
    let told = decode("registry_package", UNTAGGED, json!({"untagged": true})).unwrap();
    let [image] = &told[..] else { panic!("{told:?}") };
    assert_eq!(image.repository, "ghcr.io/example-org/hello-world");
    assert_eq!((image.digest.as_deref(), image.tag.as_deref()), (Some(DIGEST), None));
    // The version has no time that anybody has set: the package has.
    assert_eq!(image.sequence, Some(1_557_444_509_000));
}

#[test]
fn the_default_branch_is_not_taken_for_what_an_image_was_built_from() {
    let other = "0".repeat(40);
    let told = |body: &str, config| {
        let told = decode("package", body, config).unwrap();
        let [image] = &told[..] else { panic!("{told:?}") };
        (image.commit.clone(), image.git_ref.clone())
    };
    let of_other = changed("container_metadata/labels/revision", json!(other));
    assert_eq!(told(&of_other, json!({"defaultBranchOnly": true})), (Some(other), None));
    let without = changed("container_metadata/labels/revision", json!(""));
    assert_eq!(told(&without, json!({})), (None, None));
    assert_eq!(
        told(&without, json!({"defaultBranchOnly": true})),
        (Some(COMMIT.to_owned()), Some("refs/heads/master".to_owned()))
    );
    let no_commit = changed("container_metadata/labels/revision", json!("v1.4"));
    assert_eq!(told(&no_commit, json!({"defaultBranchOnly": true})), (None, None));
}

#[test]
fn other_packages_and_events_tell_nothing() {
    assert_eq!(
        decode(
            "registry_package",
            &NPM.replace("\"package\":", "\"registry_package\":"),
            json!({})
        )
        .unwrap(),
        []
    );
    assert_eq!(decode("package", NPM, json!({})).unwrap(), []);
    for event in ["ping", "push", "workflow_run", "check_suite", "deployment", "made-up"] {
        assert_eq!(decode(event, PING, json!({})).unwrap(), [], "{event}");
    }
    let deleted = TAGGED.replace("\"published\"", "\"deleted\"");
    assert_eq!(decode("package", &deleted, json!({})).unwrap(), []);
    let chart = changed(
        "container_metadata/manifest/config/media_type",
        json!("application/vnd.cncf.helm.config.v1+json"),
    );
    assert_eq!(decode("package", &chart, json!({})).unwrap(), []);
    let signature = format!("{}.sig", DIGEST.replace(':', "-"));
    let signature = changed("container_metadata/tag/name", json!(signature));
    assert_eq!(decode("package", &signature, json!({})).unwrap(), []);
}

#[test]
fn what_does_not_fit_is_named() {
    for (pointer, value) in [
        ("container_metadata/tag/name", json!("a b")),
        ("container_metadata/tag/digest", json!("sha256:0a")),
        ("package_url", json!("ghcr.io/a b/c:1")),
        ("package_url", json!(7)),
        ("package_url", Value::Null),
        ("updated_at", json!("yesterday")),
        ("target_commitish", json!("a b")),
    ] {
        let fault = decode("package", &changed(pointer, value), json!({})).unwrap_err();
        let expected = format!("/body/package/package_version/{pointer}");
        assert!(fault.to_string().contains(&expected), "{expected}: {fault}");
    }
    let fault = decode("registry_package", TAGGED, json!({})).unwrap_err().to_string();
    assert!(fault.contains("/body/registry_package"), "{fault}");
    assert!(decode("package", "{", json!({})).is_err());
    let headless = testing::delivery(&[], TAGGED);
    let fault = Github::decode(&headless, &Config::default(), &FakeHost::new()).unwrap_err();
    assert!(fault.to_string().contains("/headers/x-github-event"), "{fault}");
}

#[test]
fn whatever_is_delivered_is_told_soundly_or_refused() {
    let tagged = [("x-github-event", "package")];
    let untagged = [("x-github-event", "registry_package")];
    let config = Config { untagged: true, default_branch_only: true };
    testing::holds(&[(&tagged, TAGGED), (&untagged, UNTAGGED), (&tagged, NPM)], |delivery| {
        Github::decode(delivery, &config, &FakeHost::new())
    })
    .unwrap();
}
