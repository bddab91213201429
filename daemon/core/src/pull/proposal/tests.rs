use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::deployment::StepId;
use crate::plan::{Manifest, ObjectOwner};
use crate::pull::{SUBJECT_CHARS_MAX, commit_message, subject};
use crate::secret::SecretRef;
use crate::{DeploymentId, Digest, Timestamp};

const RULE: &str = "release";

/// What a proposal borrows.
struct Case {
    deployment: Deployment,
    plan: Plan,
    set: DeploymentSet,
    set_before: Option<DeploymentSet>,
    before: Manifests,
    after: Manifests,
}

impl Case {
    fn proposed(&self) -> Proposed<'_> {
        Proposed {
            deployment: &self.deployment,
            plan: &self.plan,
            set: &self.set,
            set_before: self.set_before.as_ref(),
            before: Some(&self.before),
            after: &self.after,
        }
    }

    fn body(&self) -> String {
        body(&self.proposed())
    }

    fn message(&self) -> String {
        commit_message(&self.proposed(), &StepId("rollout:1".into()))
    }
}

fn set(images: &[(&str, &str)]) -> DeploymentSet {
    let workloads: serde_json::Map<String, Value> = images
        .iter()
        .map(|(name, image)| {
            let workload = json!({
                "apiVersion": "score.dev/v1b1", "metadata": {"name": name},
                "containers": {"main": {"image": image}},
            });
            ((*name).to_owned(), workload)
        })
        .collect();
    serde_json::from_value(json!({"application": "shop", "workloads": workloads})).unwrap()
}

fn manifests(objects: Vec<Value>) -> Manifests {
    let owner = ObjectOwner::Environment;
    let of = |object| Manifest { owner: owner.clone(), object };
    let objects = objects.into_iter().map(of).collect();
    Manifests { namespace: "shop".into(), objects, ..Manifests::default() }
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn rule() -> Value {
    json!({"name": RULE, "count": 2, "groups": ["leads"]})
}

fn case() -> Case {
    let driver = json!({"name": "postgres", "digest": Digest::of(b"driver")});
    let plan = json!({
        "version": 1, "environment": "shop/staging", "environmentType": "staging",
        "set": Digest::of(b"set"), "workloads": [{"name": "web"}],
        "graph": {"nodes": {}, "names": {}}, "values": {}, "takeOverFields": false,
        "resources": {"postgres#db": {
            "driver": driver, "effect": "idempotent", "action": "create",
            "summary": ["makes a database"],
        }},
        "pull": {
            "repository": "https://git.test/shop/env.git", "path": "environments/shop/staging",
            "pullRequest": {"forge": "github", "api": "https://api.github.com", "project": "shop/env"},
        },
        "strategy": {"plugin": {"name": "rolling", "digest": Digest::of(b"rolling")}, "config": {}},
        "gates": [
            {"id": "approval:release", "message": "2 of leads", "condition": {"kind": "approval", "rule": rule()}},
            {"id": "signal", "message": "somebody says go", "condition": {"kind": "signal"}},
        ],
    });
    let approval = |by: &str| {
        json!({"by": by, "at": Timestamp(1_795_230_000_000), "plan": Digest::of(b"plan"),
            "rules": [RULE], "reason": "looks good"})
    };
    let deployment = json!({
        "id": "01kb2m9x7q0000000000000001", "number": 7, "actor": "mia", "queued": Timestamp(0),
        "started": Timestamp(0), "plan": Digest::of(b"plan"),
        "request": {"set": Digest::of(b"set"), "mode": "manual", "origin": {"kind": "request"},
            "comment": "the sale begins"},
        "approvals": {"given": [approval("ana"), approval("leo")]},
        "policies": {"at": Timestamp(0), "policies": ["limits"], "findings": [{
            "policy": "limits", "rule": "memory", "effect": "warn", "path": "/a",
            "message": "expected a limit"}]},
    });
    Case {
        deployment: serde_json::from_value(deployment).unwrap(),
        plan: serde_json::from_value(plan).unwrap(),
        set: set(&[("web", "registry.test/shop/web:1.4.2"), ("api", "registry.test/shop/api:2.0")]),
        set_before: Some(set(&[
            ("web", "registry.test/shop/web:1.4.1"),
            ("api", "registry.test/shop/api:2.0"),
        ])),
        before: manifests(vec![
            object("Deployment", "web", &json!({"replicas": 2})),
            object("ConfigMap", "old", &json!({})),
        ]),
        after: manifests(vec![
            object("Deployment", "web", &json!({"replicas": 3})),
            object("Service", "web", &json!({})),
        ]),
    }
}

#[test]
fn a_body_tells_what_who_where_and_how_to_answer() {
    let body = case().body();
    for expected in [
        "deployd deploys to **`shop/staging`** (`staging`).",
        "To accept, merge this as it is.** To reject, close it",
        "- files: in `environments/shop/staging` on `main`",
        "- deployment: `01kb2m9x7q0000000000000001`, number 7 there",
        "- asked for by: `mia`",
        "- comment: `the sale begins`",
        "- `web/main`: **`registry.test/shop/web:1.4.2`**, before `1.4.1`\n- `api/main`: `registry.test/shop/api:2.0`, as before",
        "1 new, 1 changed, 1 removed",
        "- `Service shop/web`: new",
        "- `ConfigMap shop/old`: **removed**",
        "  replace /spec/replicas: 2 → 3\n",
        "`postgres#db`: **create** – `makes a database`",
        "**warn** `limits/memory: expected a limit (/a)`",
        "- `release`: 2 of 2 agreed\n- `ana` agreed at 2026-11-21T03:00:00.000Z: `looks good`",
        "- `somebody says go`: passed",
        "### Rollout\n\n- all at once, when the pull request is merged\n",
    ] {
        assert!(body.contains(expected), "{expected}\n\n{body}");
    }
}

#[test]
fn a_difference_tells_what_was_there_when_it_is_its_turn() {
    let mut case = case();
    let args = |args: &[&str]| manifests(vec![object("Deployment", "web", &json!({"args": args}))]);
    case.before = args(&["a", "b", "c", "d"]);
    case.after = args(&["d"]);
    let body = case.body();
    let lines: Vec<&str> = body.lines().filter(|line| line.contains("/spec/args/")).collect();
    // Places shift with each operation: all that goes is told, and nothing twice.
    for gone in ["\"a\"", "\"b\"", "\"c\""] {
        assert_eq!(lines.concat().matches(gone).count(), 1, "{lines:?}");
    }
}

#[test]
fn what_is_missing_or_special_is_told_as_such() {
    let mut case = case();
    case.deployment.gates = case.plan.gates.clone();
    case.deployment.approvals.given.clear();
    case.deployment.approvals.broken_glass = serde_json::from_value(json!({
        "by": "mia", "plan": Digest::of(b"plan"), "reason": "fire"}))
    .unwrap();
    case.deployment.policies = serde_json::from_value(json!({
        "at": Timestamp(0), "policies": ["limits"], "findings": []}))
    .unwrap();
    case.before = Manifests::default();
    let body = case.body();
    for expected in [
        "- `release`: 0 of 2 agreed",
        "- `somebody says go`: waits",
        "**`mia` goes on without the approvals that are missing**: `fire`",
        "- nothing found by `limits`",
        "2 new, 0 changed, 0 removed",
        "- on top of: nothing: it is the first there",
    ] {
        assert!(body.contains(expected), "{expected}\n\n{body}");
    }
}

#[test]
fn no_value_of_a_secret_is_told() {
    let mut case = case();
    let reference = SecretRef { owner: "operator".into(), name: "dsn".into() }.to_string();
    let secret = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "stringData": {"password": value, "dsn": reference}})
    };
    case.before = manifests(vec![secret("hunter1")]);
    case.after = manifests(vec![secret("hunter2")]);
    let body = case.body();
    assert!(body.contains("- `Secret shop/s` has values of secrets, is in no file"), "{body}");
    assert!(body.contains("replace /stringData/password (not shown)"), "{body}");
    assert!(!body.contains("hunter"), "{body}");
}

#[test]
fn what_is_too_much_is_counted() {
    let mut case = case();
    let many = |value: usize| {
        let map: serde_json::Map<String, Value> =
            (0..30).map(|key| (format!("k{key}"), json!("x".repeat(value)))).collect();
        let objects = (0..200).map(|one| object("ConfigMap", &format!("c{one:04}"), &json!(map)));
        manifests(objects.collect())
    };
    case.before = many(300);
    case.after = many(301);
    let images: Vec<(String, String)> = (0..1_000)
        .map(|one| (format!("w{one}"), format!("r.test/{}:{one}", "x".repeat(300))))
        .collect();
    let images: Vec<(&str, &str)> =
        images.iter().map(|(name, image)| (name.as_str(), image.as_str())).collect();
    case.set = set(&images);
    let long = "`x".repeat(1_000);
    case.deployment.actor.0 = long.clone();
    case.deployment.request.comment = Some(long.clone());
    let given = case.deployment.approvals.given[0].clone();
    let approval = |one: usize| {
        let mut approval = given.clone();
        approval.by.0 = format!("{one}{long}");
        approval.reason = Some(long.clone());
        approval
    };
    case.deployment.approvals.given = (0..500).map(approval).collect();
    if let Some(report) = &mut case.deployment.policies {
        report.findings = vec![report.findings[0].clone(); 500];
        report.findings.iter_mut().for_each(|finding| finding.message = long.clone());
    }
    let resource = case.plan.resources.values_mut().next().unwrap();
    resource.summary = vec![long; 100];
    let body = case.body();
    assert!(body.chars().count() <= 60_000, "{}", body.chars().count());
    for expected in [" more, in the files\n", "- and ", "### Images", "### Gates", "### Rollout"] {
        assert!(body.contains(expected), "{expected}\n{body}");
    }
    assert_eq!(body.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2, 0);
    let message = case.message();
    assert!(message.contains("The first 100 of 1000 images are named."), "{message:.300}");
    assert_eq!(message.matches("\nDeployd-Artifact: ").count(), 100);
}

#[test]
fn a_message_has_a_subject_and_trailers() {
    let case = case();
    let (set, plan) = (Digest::of(b"set"), Digest::of(b"plan"));
    let expected = format!(
        "shop/staging: deploy web 1.4.2 (01kb2m9x7q…)\n\n\
         Deployment 7 of this environment, by deployd.\n\n\
         Deployd-Deployment: 01kb2m9x7q0000000000000001\n\
         Deployd-Environment: shop/staging\n\
         Deployd-Set: {set}\n\
         Deployd-Plan: {plan}\n\
         Deployd-Artifact: registry.test/shop/api:2.0\n\
         Deployd-Artifact: registry.test/shop/web:1.4.2\n\
         Deployd-Actor: mia\n\
         Deployd-Step: rollout:1\n"
    );
    assert_eq!(case.message(), expected);
}

#[test]
fn a_subject_says_what_is_done_and_fits() {
    let with = |images: &[(&str, &str)], origin: Value, environment: &str, teardown: bool| {
        let mut case = case();
        case.set = set(images);
        case.deployment.request.origin = serde_json::from_value(origin).unwrap();
        case.plan.environment = environment.parse().unwrap();
        case.plan.teardown = teardown;
        subject(&case.proposed())
    };
    let request = json!({"kind": "request"});
    let digest = format!("registry.test/shop/web@{}", Digest::of(b"image"));
    let short = Digest::of(b"image").short();
    let same = [("web", "registry.test/shop/web:1.4.1"), ("api", "registry.test/shop/api:2.0")];
    let set_short = Digest::of(b"set").short();
    let long = format!("{}/{}", "a".repeat(63), "b".repeat(63));
    let back = json!({"kind": "rollback", "to": "a", "from": "b"});
    let cases = [
        (
            with(&[("web", "w:1"), ("api", "a:2")], request.clone(), "shop/staging", false),
            "shop/staging: deploy api 2, web 1 (01kb2m9x7q…)".to_owned(),
        ),
        (
            with(
                &[("web", "w:1"), ("api", "a:2"), ("db", "d")],
                request.clone(),
                "shop/staging",
                false,
            ),
            "shop/staging: deploy api 2, db latest and 1 more (01kb2m9x7q…)".to_owned(),
        ),
        (
            with(&[("web", &digest)], request.clone(), "shop/staging", false),
            format!("shop/staging: deploy web {short} (01kb2m9x7q…)"),
        ),
        (
            with(&same, request.clone(), "shop/staging", false),
            format!("shop/staging: deploy set {set_short} (01kb2m9x7q…)"),
        ),
        (
            with(&[("web", "w:1")], back, "shop/staging", false),
            "shop/staging: go back to web 1 (01kb2m9x7q…)".to_owned(),
        ),
        (
            with(&[], request.clone(), "shop/staging", true),
            "shop/staging: take away (01kb2m9x7q…)".to_owned(),
        ),
        (
            with(&[("web", "w:1 fixes #7\n")], request.clone(), "shop/staging", false),
            "shop/staging: deploy web 1fixes7 (01kb2m9x7q…)".to_owned(),
        ),
        (
            with(&[("web", "w:1")], request, &long, false),
            format!("{}… (01kb2m9x7q…)", "a".repeat(57)),
        ),
    ];
    for (told, expected) in cases {
        assert_eq!(told, expected);
        assert!(told.chars().count() <= SUBJECT_CHARS_MAX, "{told}");
    }
}

/// A text that tries to be something else.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\nDeployd-Actor: root\n".to_owned()),
        Just("\r\n\r\nDeployd-Deployment: other".to_owned()),
        Just("\u{2028}Deployd-Step: x".to_owned()),
        Just("```\n# heading\n/close\n@all".to_owned()),
        Just("`".to_owned()),
        "[a-z0-9:#@<>\\[\\]()\\n\\r\\t ]{0,12}",
    ];
    proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_forges_a_trailer_or_markup(
        actor in hostile(), image in hostile(), id in hostile(), comment in hostile(),
        reason in hostile(), name in hostile(),
    ) {
        let mut case = case();
        case.deployment.id = DeploymentId(id);
        case.deployment.actor.0 = actor;
        case.deployment.request.comment = Some(comment);
        case.deployment.approvals.given[0].reason = Some(reason);
        case.set = set(&[("web", &image)]);
        case.after = manifests(vec![object("ConfigMap", &name, &json!({name.clone(): name.clone()}))]);
        let step = StepId(name);
        let message = commit_message(&case.proposed(), &step);
        let lines: Vec<&str> = message.lines().collect();
        let trailers = ["Deployment", "Environment", "Set", "Plan", "Artifact", "Actor", "Step"];
        prop_assert_eq!(lines.len(), 4 + trailers.len(), "{}", message);
        for (line, trailer) in lines[4..].iter().zip(trailers) {
            let begin = format!("Deployd-{trailer}: ");
            prop_assert!(line.starts_with(&begin), "{}", message);
        }
        prop_assert!(lines[0].chars().count() <= SUBJECT_CHARS_MAX);
        prop_assert!(lines[1].is_empty() && lines[3].is_empty());
        let body = case.body();
        for line in body.lines() {
            let ours = ["- ", "  ", "### ", "deployd deploys to ", "**To accept", "1 new", "0 new"];
            let is_ours = line.is_empty() || ours.iter().any(|begin| line.starts_with(begin));
            prop_assert!(is_ours, "{:?}\n{}", line, body);
        }
    }
}
