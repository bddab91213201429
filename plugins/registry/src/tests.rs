//! Deliveries as Distribution and Azure document them.

use super::*;
use deployd_plugin_sdk::testing::FakeHost;
use image_events::testing;
use serde_json::json;

const ENVELOPE: &str = include_str!("../tests/distribution-push.json");
const PULL: &str = include_str!("../tests/distribution-pull.json");
const DELETE: &str = include_str!("../tests/distribution-delete.json");
const AZURE: &str = include_str!("../tests/azure-push.json");
const DIGEST: &str = "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf";

fn decode(body: &str, config: Value) -> Result<Vec<Artifact>, Fault> {
    let kind = [("content-type", "application/vnd.docker.distribution.events.v1+json")];
    let config = serde_json::from_value(config).unwrap();
    Registry::decode(&testing::delivery(&kind, body), &config, &FakeHost::new())
        .map(testing::artifacts)
}

fn changed(body: &str, pointer: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

#[test]
fn pushes_of_manifests_and_indexes_are_told() {
    let pushed = |tag: Option<&str>| Artifact {
        repository: "registrycluster.local/library/test".to_owned(),
        digest: Some(DIGEST.to_owned()),
        tag: tag.map(str::to_owned),
        sequence: Some(1_136_214_245_000),
        ..Artifact::default()
    };
    assert_eq!(decode(ENVELOPE, json!({})).unwrap(), [pushed(Some("1.4"))]);
    let with_untagged = decode(ENVELOPE, json!({"untagged": true})).unwrap();
    assert_eq!(with_untagged, [pushed(None), pushed(Some("1.4"))]);
    for kind in IMAGES {
        let body = changed(ENVELOPE, "/events/3/target/mediaType", json!(kind));
        assert_eq!(decode(&body, json!({})).unwrap().len(), 1, "{kind}");
    }
    let told = decode(ENVELOPE, json!({"registry": "r.example:5000"})).unwrap();
    assert_eq!(told[0].repository, "r.example:5000/library/test");
}

#[test]
fn azure_sends_an_event_without_an_envelope() {
    let expected = Artifact {
        repository: "registry.azurecr.example/hello-world".to_owned(),
        digest: Some(format!("sha256:{}", "80f0d5c8786bb9e621a45ece0db56d11".repeat(2))),
        tag: Some("v1".to_owned()),
        sequence: Some(1_510_937_521_343),
        ..Artifact::default()
    };
    assert_eq!(decode(AZURE, json!({})).unwrap(), [expected]);
    for action in ["ping", "delete", "chart_push", "quarantine", "made-up"] {
        assert_eq!(decode(&json!({"action": action}).to_string(), json!({})).unwrap(), []);
    }
}

#[test]
fn other_events_tell_nothing() {
    for body in [PULL, DELETE, r#"{"events": []}"#] {
        assert_eq!(decode(body, json!({"untagged": true})).unwrap(), []);
    }
    let signature = format!("{}.sig", DIGEST.replace(':', "-"));
    let body = changed(ENVELOPE, "/events/3/target/tag", json!(signature));
    assert_eq!(decode(&body, json!({})).unwrap(), []);
}

#[test]
fn what_does_not_fit_is_named() {
    for (pointer, value) in [
        ("/events/3/target/tag", json!("a b")),
        ("/events/3/target/digest", json!("sha256:0a")),
        ("/events/3/target/digest", Value::Null),
        ("/events/3/target/repository", json!("a@b")),
        ("/events/3/target/repository", Value::Null),
        ("/events/3/request/host", json!("https://x")),
        ("/events/3/timestamp", json!("yesterday")),
        ("/events/0/action", json!(1)),
        ("/events", json!("none")),
    ] {
        let fault = decode(&changed(ENVELOPE, pointer, value), json!({})).unwrap_err();
        assert!(fault.to_string().contains(&format!("/body{pointer}")), "{pointer}: {fault}");
    }
    for body in ["{}", "[]", "7", "", "{\"action\": 1}"] {
        assert!(decode(body, json!({})).unwrap_err().to_string().contains("/body"), "{body}");
    }
}

#[test]
fn whatever_is_delivered_is_told_soundly_or_refused() {
    let config = Config { untagged: true, ..Config::default() };
    testing::holds(&[(&[], ENVELOPE), (&[], AZURE), (&[], PULL), (&[], DELETE)], |delivery| {
        Registry::decode(delivery, &config, &FakeHost::new())
    })
    .unwrap();
}
