//! Deliveries as GitLab documents them, and as older versions sent them: without the
//! pipeline's number and address.

use super::*;
use deployd_plugin_sdk::receiver::Commit;
use deployd_plugin_sdk::testing::FakeHost;
use image_events::testing;
use serde_json::{Value, json};

const BRANCH: &str = include_str!("../tests/pipeline-branch.json");
const MERGE_REQUEST_BODY: &str = include_str!("../tests/pipeline-merge-request.json");
const EVENT: [(&str, &str); 1] = [("x-gitlab-event", "Pipeline Hook")];
const PUSH: &str = include_str!("../tests/push.json");
const PUSH_EVENT: [(&str, &str); 1] = [("x-gitlab-event", "Push Hook")];
const COMMIT: &str = "bcbb5ec396a2c0f828686f14fac9b80b780504f2";

fn config(mut more: Value) -> Value {
    let image =
        json!({"repository": "registry.example.com/${project}/web", "tag": "${short-commit}"});
    more["images"] = json!([image]);
    more
}

fn decode(body: &str, config: Value) -> Result<Vec<Artifact>, Fault> {
    let config = serde_json::from_value(config).unwrap();
    Gitlab::decode(&testing::delivery(&EVENT, body), &config, &FakeHost::new())
        .map(testing::artifacts)
}

#[test]
fn a_push_tells_of_its_last_commit() {
    let told = |body: &str, more: Value| {
        let config = serde_json::from_value(config(more)).unwrap();
        let delivery = testing::delivery(&PUSH_EVENT, body);
        testing::commits(Gitlab::decode(&delivery, &config, &FakeHost::new()).unwrap())
    };
    let expected = Commit {
        source: "Shop/frontend".to_owned(),
        commit: COMMIT.to_owned(),
        git_ref: Some("refs/heads/master".to_owned()),
        author: Some("Ana Silva <ana@example.com>".to_owned()),
        committed_at: Some("2016-08-12T17:23:21+02:00".to_owned()),
        paths: ["CHANGELOG", "web/app.rb", "web/pages.rb"].map(str::to_owned).to_vec(),
    };
    assert_eq!(told(PUSH, json!({})), std::slice::from_ref(&expected));
    assert_eq!(told(PUSH, json!({"projects": ["other/*"]})), []);
    // Of a longer push, GitLab tells of the last 20 commits.
    let cut = PUSH.replace("\"total_commits_count\": 2", "\"total_commits_count\": 21");
    assert_eq!(told(&cut, json!({})), [Commit { paths: Vec::new(), ..expected }]);
    for (field, value) in
        [("ref", json!("refs/tags/v1")), ("checkout_sha", Value::Null), ("commits", json!([]))]
    {
        let mut body: Value = serde_json::from_str(PUSH).unwrap();
        body[field] = value;
        assert_eq!(told(&body.to_string(), json!({})), [], "{field}");
    }
}

fn changed(pointer: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(BRANCH).unwrap();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

#[test]
fn a_pipeline_that_succeeded_has_built_what_is_configured() {
    let expected = Artifact {
        repository: "registry.example.com/shop/frontend/web".to_owned(),
        tag: Some("bcbb5ec3".to_owned()),
        git_ref: Some("refs/heads/master".to_owned()),
        commit: Some(COMMIT.to_owned()),
        committed_at: Some("2016-08-12T17:23:21+02:00".to_owned()),
        build_url: Some("https://gitlab.example.com/Shop/frontend/-/pipelines/31".to_owned()),
        sequence: Some(3),
        ..Artifact::default()
    };
    assert_eq!(decode(BRANCH, config(json!({}))).unwrap(), [expected]);
}

#[test]
fn tags_are_made_of_what_jobs_know() {
    for (template, tag) in [
        ("${commit}", COMMIT),
        ("v${pipeline}-${pipeline-iid}", "v31-3"),
        ("${ref-slug}", "feature-a-b"),
    ] {
        let body = changed("/object_attributes/ref", json!("Feature/a_b"));
        let images = json!([{"repository": "r.example/web", "tag": template}]);
        let told = decode(&body, json!({"images": images})).unwrap();
        assert_eq!(told[0].tag.as_deref(), Some(tag));
    }
    let body = changed("/object_attributes/tag", json!(true)).replace("\"master\"", "\"v1.4\"");
    let images = json!([{"repository": "r.example/web", "tag": "${ref}"}]);
    let told = decode(&body, json!({"images": images})).unwrap();
    assert_eq!(
        (told[0].tag.as_deref(), told[0].git_ref.as_deref()),
        (Some("v1.4"), Some("refs/tags/v1.4"))
    );
}

#[test]
fn a_merge_request_is_not_taken_for_its_branch() {
    let told = decode(MERGE_REQUEST_BODY, config(json!({}))).unwrap();
    assert_eq!(told[0].git_ref.as_deref(), Some("refs/merge-requests/7/head"));
    assert_eq!(told[0].sequence, None);
    let page = "https://gitlab.example.com/Shop/frontend/-/pipelines/31";
    assert_eq!(told[0].build_url.as_deref(), Some(page));
    let only_master = config(json!({"refs": ["refs/heads/*"]}));
    assert_eq!(decode(MERGE_REQUEST_BODY, only_master).unwrap(), []);
}

#[test]
fn only_configured_projects_and_refs_are_told_of() {
    let told = |more| !decode(BRANCH, config(more)).unwrap().is_empty();
    assert!(told(json!({"projects": ["Shop/*"], "refs": ["refs/heads/master"]})));
    assert!(!told(json!({"projects": ["Other/*"]})));
    assert!(!told(json!({"refs": ["refs/heads/main", "refs/tags/*"]})));
    for status in ["running", "failed", "made-up"] {
        let body = changed("/object_attributes/status", json!(status));
        assert_eq!(decode(&body, config(json!({}))).unwrap(), [], "{status}");
    }
    for event in ["Job Hook", "Release Hook", "Made-up Hook"] {
        let delivery = testing::delivery(&[("x-gitlab-event", event)], "{}");
        let config: Config = serde_json::from_value(config(json!({}))).unwrap();
        assert!(Gitlab::decode(&delivery, &config, &FakeHost::new()).unwrap().is_empty());
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for (pointer, value) in [
        ("/object_attributes/ref", json!("a b")),
        ("/object_attributes/sha", json!("HEAD")),
        ("/object_attributes/url", json!("javascript:alert(1)")),
        ("/object_attributes/id", json!("x")),
        ("/commit/timestamp", json!("yesterday")),
        ("/project/path_with_namespace", Value::Null),
    ] {
        let fault = decode(&changed(pointer, value), config(json!({}))).unwrap_err();
        assert!(fault.to_string().contains(&format!("/body{pointer}")), "{pointer}: {fault}");
    }
    for (image, place) in [
        (json!({"repository": "web", "tag": "x"}), "/config/images/0/repository"),
        (json!({"repository": "r.example/web", "tag": "${x}"}), "/config/images/0/tag"),
        (json!({"repository": "r.example/web", "tag": "a b"}), "/config/images/0/tag"),
        (
            json!({"repository": "r.example/web@sha256:0a", "tag": "x"}),
            "/config/images/0/repository",
        ),
    ] {
        let fault = decode(BRANCH, json!({"images": [image]})).unwrap_err().to_string();
        assert!(fault.contains(place), "{place}: {fault}");
    }
    let images = json!([{"repository": "r.example/web", "tag": "${ref}"}]);
    let body = changed("/object_attributes/ref", json!("feature/a"));
    let fault = decode(&body, json!({"images": images})).unwrap_err().to_string();
    assert!(fault.contains("/body/object_attributes/ref"), "{fault}");
}

#[test]
fn whatever_is_delivered_is_told_soundly_or_refused() {
    let images = json!([
        {"repository": "r.example/${project}", "tag": "${ref}"},
        {"repository": "r.example/web", "tag": "${ref-slug}-${short-commit}"},
    ]);
    let config: Config = serde_json::from_value(json!({"images": images})).unwrap();
    let real = [(&EVENT, BRANCH), (&EVENT, MERGE_REQUEST_BODY), (&PUSH_EVENT, PUSH)];
    let real = real.map(|(headers, body)| (&headers[..], body));
    testing::holds(&real, |delivery| Gitlab::decode(delivery, &config, &FakeHost::new())).unwrap();
}
