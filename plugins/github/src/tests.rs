//! Deliveries as GitHub documents them; names, and digests that were cut short there,
//! are made up.

use super::*;
use deployd_plugin_sdk::receiver::{Artifact, Commit};
use deployd_plugin_sdk::testing::FakeHost;
use image_events::testing;
use serde_json::{Value, json};

const UNTAGGED: &str = include_str!("../tests/registry-package-untagged.json");
const TAGGED: &str = include_str!("../tests/package-tagged.json");
const NPM: &str = include_str!("../tests/package-npm.json");
const RUN: &str = include_str!("../tests/workflow-run.json");
const SUITE: &str = include_str!("../tests/check-suite.json");
const PUSH: &str = include_str!("../tests/push.json");
const DEPLOYMENT: &str = include_str!("../tests/deployment.json");
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
    for event in ["ping", "workflow_run", "check_suite", "made-up"] {
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

fn images() -> Value {
    json!([{"repository": "r.test/${repository}", "tag": "${commit}"},
        {"repository": "r.test/web", "tag": "${ref-slug}-${short-commit}"}])
}

/// A run, with fields of it changed.
fn run(patch: &Value) -> String {
    let mut body: Value = serde_json::from_str(RUN).unwrap();
    for (field, value) in patch.as_object().unwrap() {
        body["workflow_run"][field] = value.clone();
    }
    body.to_string()
}

#[test]
fn what_a_workflow_has_built_is_what_is_configured() {
    let told = decode("workflow_run", RUN, json!({"images": images()})).unwrap();
    let expected = Artifact {
        repository: "r.test/example-org/hello-world".to_owned(),
        tag: Some(COMMIT.to_owned()),
        git_ref: Some("refs/heads/main".to_owned()),
        commit: Some(COMMIT.to_owned()),
        committed_at: Some("2026-11-20T09:58:41Z".to_owned()),
        build_url: Some(
            "https://github.com/Example-Org/hello-world/actions/runs/5904696764".to_owned(),
        ),
        sequence: Some(1_795_168_800_000),
        ..Artifact::default()
    };
    let web = Artifact {
        repository: "r.test/web".to_owned(),
        tag: Some("main-6c62fb4".to_owned()),
        ..expected.clone()
    };
    assert_eq!(told, [expected, web]);
    let of = |patch: Value, filter: Value| {
        let mut config = json!({"images": images()});
        config.as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
        decode("workflow_run", &run(&patch), config).unwrap().len()
    };
    assert_eq!(of(json!({}), json!({"workflows": ["rel*"], "refs": ["refs/heads/main"]})), 2);
    assert_eq!(of(json!({}), json!({"workflows": ["tests"]})), 0);
    assert_eq!(of(json!({}), json!({"refs": ["refs/heads/v2"]})), 0);
    assert_eq!(of(json!({"conclusion": "failure"}), json!({})), 0);
    assert_eq!(
        of(json!({"event": "release", "head_branch": "v1.4"}), json!({"refs": ["refs/tags/v*"]})),
        2
    );
}

#[test]
fn what_a_fork_has_built_is_never_of_a_branch_of_ours() {
    let fork = json!({"head_repository": {"full_name": "mallory/hello-world"}});
    let mut request = fork.clone();
    request["pull_requests"] = json!([{"number": 7}]);
    request["event"] = json!("pull_request");
    let main = json!({"images": images(), "refs": ["refs/heads/*"]});
    for patch in [&fork, &request] {
        assert_eq!(decode("workflow_run", &run(patch), main.clone()).unwrap(), []);
    }
    let told = decode("workflow_run", &run(&request), json!({"images": images()})).unwrap();
    assert_eq!(told[0].git_ref.as_deref(), Some("refs/pull/7/head"));
}

#[test]
fn a_check_suite_tells_of_the_images_of_its_commit() {
    let told = decode("check_suite", SUITE, json!({"images": images()})).unwrap();
    assert_eq!(told[0].repository, "r.test/codertocat/hello-world");
    assert_eq!(told[1].tag.as_deref(), Some("changes-ec26c3e"));
    assert_eq!(told[0].git_ref.as_deref(), Some("refs/heads/changes"));
    let other = json!({"images": images(), "workflows": ["octocoders-*"]});
    assert_eq!(decode("check_suite", SUITE, other).unwrap().len(), 2);
    for (patch, at) in [
        (json!({"head_sha": "v1"}), "/body/workflow_run/head_sha"),
        (json!({"head_branch": "a b"}), "/body/workflow_run/head_branch"),
        (json!({"html_url": "javascript:x"}), "/body/workflow_run/html_url"),
        (json!({"created_at": "now"}), "/body/workflow_run/created_at"),
    ] {
        let fault = decode("workflow_run", &run(&patch), json!({"images": images()})).unwrap_err();
        assert!(fault.to_string().contains(at), "{fault}");
    }
    let number = json!({"images": [{"repository": "r.test/web", "tag": "${run-number}"}]});
    let fault = decode("check_suite", SUITE, number).unwrap_err().to_string();
    assert!(fault.contains("${run-number}"), "{fault}");
}

/// A body with fields of a part of it changed.
fn patched(body: &str, part: &str, patch: &Value) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let of = body.pointer_mut(part).unwrap();
    for (field, value) in patch.as_object().unwrap() {
        of[field] = value.clone();
    }
    body.to_string()
}

#[test]
fn a_push_tells_of_its_last_commit() {
    let told = |body: &str| {
        let delivery = testing::delivery(&[("x-github-event", "push")], body);
        let told = Github::decode(&delivery, &Config::default(), &FakeHost::new());
        testing::commits(told.unwrap())
    };
    let expected = Commit {
        source: "Example-Org/hello-world".to_owned(),
        commit: COMMIT.to_owned(),
        git_ref: Some("refs/heads/main".to_owned()),
        author: Some("Ana Silva <ana@example.com>".to_owned()),
        committed_at: Some("2026-11-20T10:58:41+01:00".to_owned()),
        paths: [
            "README.md",
            "services/web/main.rs",
            "services/web/old.rs",
            "services/web/pages.rs",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    assert_eq!(told(PUSH), std::slice::from_ref(&expected));
    // A branch that is made of commits which are known says nothing of paths.
    let bare = Commit { paths: Vec::new(), ..expected };
    assert_eq!(told(&patched(PUSH, "", &json!({"commits": []}))), [bare]);
    for patch in [
        json!({"deleted": true, "head_commit": null}),
        json!({"deleted": true}),
        json!({"ref": "refs/tags/v1.4", "commits": []}),
    ] {
        assert_eq!(told(&patched(PUSH, "", &patch)), [], "{patch}");
    }
    for (part, patch, at) in [
        ("/head_commit", json!({"id": "6c62fb4"}), "/body/head_commit/id"),
        ("/head_commit", json!({"timestamp": "now"}), "/body/head_commit/timestamp"),
        ("", json!({"ref": "refs/heads/a b"}), "/body/ref"),
    ] {
        let fault = decode("push", &patched(PUSH, part, &patch), json!({})).unwrap_err();
        assert!(fault.to_string().contains(at), "{fault}");
    }
}

#[test]
fn a_deployment_tells_of_the_images_in_its_payload() {
    let told = |patch: Value, config: Value| {
        decode("deployment", &patched(DEPLOYMENT, "/deployment", &patch), config).unwrap()
    };
    let expected = Artifact {
        repository: "ghcr.io/example-org/hello-world".to_owned(),
        digest: Some(DIGEST.to_owned()),
        tag: Some("1.4.0".to_owned()),
        git_ref: Some("refs/heads/main".to_owned()),
        commit: Some(COMMIT.to_owned()),
        sequence: Some(1_795_169_400_000),
        ..Artifact::default()
    };
    let worker = Artifact {
        repository: "ghcr.io/example-org/worker".to_owned(),
        digest: None,
        ..expected.clone()
    };
    assert_eq!(told(json!({}), json!({})), [expected.clone(), worker]);
    let image = format!("ghcr.io/example-org/hello-world@{DIGEST}");
    let text = json!({"payload": json!({"image": image}).to_string(), "ref": COMMIT});
    assert_eq!(told(text, json!({})), [Artifact { tag: None, git_ref: None, ..expected }]);
    let of_tag = told(json!({"ref": "refs/tags/v1.4"}), json!({"refs": ["refs/tags/*"]}));
    assert_eq!(of_tag[0].git_ref.as_deref(), Some("refs/tags/v1.4"));
    assert_eq!(told(json!({}), json!({"refs": ["refs/tags/*"]})), []);
    // As the notifier `github-deployments` writes it; and as others do who name no images.
    let own = json!({"deployment": "01JD0000000000000000000000", "link": null, "image": image});
    for payload in [own, json!({}), json!(""), json!("text"), json!({"images": []}), Value::Null] {
        assert_eq!(told(json!({"payload": payload}), json!({})), [], "{payload}");
    }
    let body = DEPLOYMENT.replace("\"created\"", "\"deleted\"");
    assert_eq!(decode("deployment", &body, json!({})).unwrap(), []);
}

#[test]
fn who_deploys_nothing_that_has_a_name_is_told_why() {
    let host = FakeHost::new();
    let body = patched(DEPLOYMENT, "/deployment", &json!({"payload": {}}));
    let delivery = testing::delivery(&[("x-github-event", "deployment")], &body);
    Github::decode(&delivery, &Config::default(), &host).unwrap();
    assert!(format!("{:?}", host.lines()).contains("whose payload names no images"));
    for (payload, at) in [
        (json!({"image": "ghcr.io/example-org/web"}), "payload/image"),
        (json!({"images": ["ghcr.io/a/b:1", 7]}), "payload/images/1"),
        (json!({"image": "ghcr.io/a/b@sha256:0a"}), "payload/image"),
    ] {
        let body = patched(DEPLOYMENT, "/deployment", &json!({"payload": payload}));
        let fault = decode("deployment", &body, json!({})).unwrap_err();
        assert!(fault.to_string().contains(at), "{fault}");
    }
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
    let run = [("x-github-event", "workflow_run")];
    let suite = [("x-github-event", "check_suite")];
    let config = json!({"untagged": true, "defaultBranchOnly": true, "images": images()});
    let config: Config = serde_json::from_value(config).unwrap();
    let push = [("x-github-event", "push")];
    let deployment = [("x-github-event", "deployment")];
    let real = [
        (&tagged, TAGGED),
        (&untagged, UNTAGGED),
        (&tagged, NPM),
        (&run, RUN),
        (&suite, SUITE),
        (&push, PUSH),
        (&deployment, DEPLOYMENT),
    ];
    let real = real.map(|(headers, body)| (&headers[..], body));
    testing::holds(&real, |delivery| Github::decode(delivery, &config, &FakeHost::new())).unwrap();
}
