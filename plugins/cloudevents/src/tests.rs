//! Deliveries as CDEvents and CloudEvents document them.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_plugin_sdk::receiver::Artifact;
use deployd_plugin_sdk::testing::FakeHost;
use image_events::testing;
use serde_json::{Value, json};

const BARE: &str = include_str!("../tests/cdevent.json");
const GOLANG: &str = include_str!("../tests/cdevent-golang.json");
const STRUCTURED: &str = include_str!("../tests/structured.json");
const BATCH: &str = include_str!("../tests/batch.json");

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const STRUCTURED_KIND: [(&str, &str); 1] =
    [("content-type", "application/cloudevents+json; charset=utf-8")];
const BATCH_KIND: [(&str, &str); 1] = [("content-type", "application/cloudevents-batch+json")];
const BINARY: [(&str, &str); 6] = [
    ("content-type", "application/json"),
    ("ce-specversion", "1.0"),
    ("ce-id", "271069a8-fc18-44f1-b38f-9d70a1695819"),
    ("ce-type", "dev.cdevents.artifact.published.0.3.0"),
    ("ce-time", "2023-03-20T14:27:05.315384Z"),
    ("ce-subject", PURL),
];
const PURL: &str = "pkg:oci/myapp@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427?repository_url=registry.example.com/shop%26tag=1.4";
const DIGEST: &str = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";

type Headers<'a> = &'a [(&'a str, &'a str)];

fn decode(headers: Headers<'_>, body: &str) -> Result<Vec<Artifact>, Fault> {
    CloudEvents::decode(&testing::delivery(headers, body), &Config::default(), &FakeHost::new())
        .map(testing::artifacts)
}

fn expected() -> Artifact {
    Artifact {
        repository: "registry.example.com/shop/myapp".to_owned(),
        digest: Some(DIGEST.to_owned()),
        tag: Some("1.4".to_owned()),
        sequence: Some(1_679_322_425_315),
        ..Artifact::default()
    }
}

fn changed(body: &str, pointer: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

#[test]
fn an_artifact_is_told_in_each_form() {
    for (headers, body) in [
        (&JSON[..], BARE),
        (&JSON, STRUCTURED),
        (&JSON, BATCH),
        (&STRUCTURED_KIND, STRUCTURED),
        (&BATCH_KIND, BATCH),
        (&BINARY, BARE),
        (&BINARY, ""),
    ] {
        assert_eq!(decode(headers, body).unwrap(), [expected()], "{headers:?} {body}");
    }
    let mut encoded: Value = serde_json::from_str(STRUCTURED).unwrap();
    encoded["data"] = Value::Null;
    encoded["data_base64"] = json!(STANDARD.encode(BARE));
    assert_eq!(decode(&STRUCTURED_KIND, &encoded.to_string()).unwrap(), [expected()]);
}

#[test]
fn headers_are_decoded() {
    let with = |name, value| {
        let header = |known: (&'static str, _)| if known.0 == name { (name, value) } else { known };
        BINARY.map(header)
    };
    let quoted = with("ce-type", r#""dev.cdevents.artifact\.published%2e0.2.0""#);
    assert_eq!(decode(&quoted, BARE).unwrap(), [expected()]);
    let odd = with("ce-type", "%C0%A0");
    assert!(decode(&odd, BARE).unwrap_err().to_string().contains("/headers/ce-type"));
    let later = with("ce-specversion", "2.0");
    assert!(decode(&later, BARE).unwrap_err().to_string().contains("/headers/ce-specversion"));
    // What is of no interest can have any body.
    assert_eq!(decode(&with("ce-type", "com.example.other"), "no JSON").unwrap(), []);
}

#[test]
fn package_urls_are_read_as_they_are_written() {
    let told = |id: &str| {
        let config = Config { registry: Some("r.example/own".to_owned()) };
        let body = changed(BARE, "/subject/id", json!(id));
        let told = CloudEvents::decode(&testing::delivery(&JSON, &body), &config, &FakeHost::new());
        let told = testing::artifacts(told.unwrap());
        let [image] = &told[..] else { panic!("{id}: {told:?}") };
        (image.repository.clone(), image.digest.is_some(), image.tag.clone().unwrap_or_default())
    };
    let version = DIGEST.replace(':', "%3A");
    for (id, repository, has_digest, tag) in [
        (
            format!("pkg:oci/web@{version}?repository_url=r.example/shop/web"),
            "r.example/shop/web",
            true,
            "",
        ),
        (
            format!("pkg:oci/web@{version}?repository_url=https://r.example/shop/"),
            "r.example/shop/web",
            true,
            "",
        ),
        (
            format!("pkg:oci/web@{version}?repository_url=r.example:5000"),
            "r.example:5000/web",
            true,
            "",
        ),
        (
            format!("pkg:oci/web@{version}?repository_url=r.example/my-web"),
            "r.example/my-web/web",
            true,
            "",
        ),
        (format!("pkg:oci/web@{DIGEST}?tag=1.4"), "r.example/own/web", true, "1.4"),
        ("pkg:oci/web?tag=1.4".to_owned(), "r.example/own/web", false, "1.4"),
        (
            format!("pkg:docker/shop/web@{version}?repository_url=r.example"),
            "r.example/shop/web",
            true,
            "",
        ),
        ("pkg:docker/debian@12".to_owned(), "docker.io/library/debian", false, "12"),
        (
            "pkg:docker/shop/web@1.4?repository_url=hub.docker.com".to_owned(),
            "docker.io/shop/web",
            false,
            "1.4",
        ),
    ] {
        assert_eq!(told(&id), (repository.to_owned(), has_digest, tag.to_owned()), "{id}");
    }
}

#[test]
fn a_commit_is_told_where_the_source_names_one() {
    let told = |source: &str| {
        let id = format!(
            "{}&vcs_url=git%2Bhttps://git.example/shop.git{source}",
            PURL.replace("%26", "&")
        );
        decode(&JSON, &changed(BARE, "/subject/id", json!(id))).unwrap().remove(0).commit
    };
    let commit = "0a".repeat(20);
    assert_eq!(told(&format!("%40{commit}")), Some(commit));
    assert_eq!((told("%40v1.4"), told("")), (None, None));
}

#[test]
fn other_events_and_artifacts_tell_nothing() {
    assert_eq!(decode(&JSON, GOLANG).unwrap(), []);
    let other = changed(STRUCTURED, "/type", json!("dev.cdevents.artifact.packaged.0.3.0"));
    assert_eq!(decode(&STRUCTURED_KIND, &other).unwrap(), []);
    assert_eq!(decode(&BATCH_KIND, "[]").unwrap(), []);
}

#[test]
fn what_does_not_fit_is_named() {
    for (id, why) in [
        (json!("no purl"), "package URL"),
        (json!("pkg:oci/web@sha256%3A0a?repository_url=r.example"), "a digest"),
        (json!("pkg:oci/web@1.4?repository_url=r.example"), "a digest"),
        (json!("pkg:oci/web?repository_url=r.example"), "a digest or a tag"),
        (json!("pkg:oci/web?repository_url=r.example&tag=a%20b"), "a tag"),
        (json!("pkg:oci/web?repository_url=r.example/a%40b&tag=1"), "a repository"),
        (json!("pkg:oci/web?tag=1"), "repository_url"),
        (json!(7), "string"),
    ] {
        let body = changed(BATCH, "/1/data/subject/id", id.clone());
        let fault = decode(&BATCH_KIND, &body).unwrap_err().to_string();
        assert!(fault.contains("/body/1/data/subject/id") && fault.contains(why), "{id}: {fault}");
    }
    for (pointer, value) in [
        ("/specversion", json!("0.3")),
        ("/type", Value::Null),
        ("/data/context/timestamp", json!("yesterday")),
    ] {
        let fault = decode(&STRUCTURED_KIND, &changed(STRUCTURED, pointer, value)).unwrap_err();
        assert!(fault.to_string().contains(&format!("/body{pointer}")), "{pointer}: {fault}");
    }
    for (headers, body) in [
        (&JSON[..], "{}"),
        (&JSON, ""),
        (&BINARY, "{"),
        (&STRUCTURED_KIND, "[]"),
        (&BATCH_KIND, "{}"),
    ] {
        assert!(decode(headers, body).unwrap_err().to_string().contains("/body"), "{body}");
    }
}

#[test]
fn whatever_is_delivered_is_told_soundly_or_refused() {
    let config = Config { registry: Some("r.example".to_owned()) };
    let real: [(Headers<'_>, &str); 6] = [
        (&JSON, BARE),
        (&JSON, GOLANG),
        (&STRUCTURED_KIND, STRUCTURED),
        (&BATCH_KIND, BATCH),
        (&BINARY, BARE),
        (&BINARY, ""),
    ];
    testing::holds(&real, |delivery| CloudEvents::decode(delivery, &config, &FakeHost::new()))
        .unwrap();
}
