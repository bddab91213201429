//! Which objects are Jobs that run once, and what a run of one consists of.

use serde_json::{Value, json};

use super::super::jobs::{JobError, RolloutJob, When, deadline_seconds, of, run, split};
use crate::Digest;
use crate::plan::{Manifest, Manifests, ObjectOwner};

fn job(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "annotations": annotations,
            "labels": {"deployd.dev/workload": "web"}},
        "spec": {"ttlSecondsAfterFinished": 10, "template": {
            "metadata": {"labels": {"app": "web", "deployd.dev/track": "stable"}},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "web:2",
                    "envFrom": [{"secretRef": {"name": "web-env"}}, {"configMapRef": {"name": "other"}}]}],
            },
        }},
    })
}

fn owned(owner: &str, object: Value) -> Manifest {
    let owner = match owner {
        "" => ObjectOwner::Environment,
        name => ObjectOwner::Workload(name.to_owned()),
    };
    Manifest { owner, object }
}

fn manifests(objects: Vec<Manifest>) -> Manifests {
    Manifests { namespace: "shop".to_owned(), objects, ..Manifests::default() }
}

fn of_web(objects: &[Value]) -> Manifests {
    manifests(objects.iter().map(|object| owned("web", object.clone())).collect())
}

fn before() -> Value {
    json!({"deployd.dev/job": "before"})
}

fn undoes(name: &str) -> Value {
    json!({"deployd.dev/undoes": name})
}

#[test]
fn they_are_no_part_of_what_should_be_there() {
    let plain = job("nightly", &json!({}));
    let all = of_web(&[job("migrate", &before()), plain.clone(), job("back", &undoes("migrate"))]);
    let split = split(all).unwrap();
    assert_eq!(split.objects.iter().map(|it| &it.object).collect::<Vec<_>>(), [&plain]);
    assert_eq!(split.references().len(), 1);
    assert_eq!(split.all().count(), 3, "but of what was rendered");
}

#[test]
fn they_run_in_the_order_of_workloads() {
    let after = json!({"deployd.dev/job": "after"});
    let all = manifests(vec![
        owned("web", job("web-after", &after)),
        owned("web", job("web-one", &before())),
        owned("api", job("api-one", &before())),
        owned("web", job("web-two", &before())),
        owned("web", job("web-back", &undoes("web-one"))),
        owned("", job("first", &before())),
    ]);
    let digest = Digest::of(b"these");
    let found = of(&split(all).unwrap(), digest, ["api", "web"]);
    let names: Vec<&str> = found.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["first", "api-one", "web-one", "web-two", "web-after"]);
    let one = found.iter().find(|job| job.name == "web-one").unwrap();
    assert_eq!(one.undone_by.as_deref(), Some("web-back"));
    let back = one.reverse().unwrap();
    let expected = RolloutJob {
        name: "web-back".into(),
        when: When::After,
        manifests: digest,
        undone_by: Some("web-one".into()),
    };
    assert_eq!(back, expected);
    assert_eq!(back.reverse().as_ref(), Some(one));
}

#[test]
fn a_run_has_names_and_configuration_of_its_own() {
    let secret = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name}, "stringData": {"URL": "x"}})
    };
    let mut all = of_web(&[job("migrate", &before()), secret("web-env"), secret("unused")]);
    all.objects.push(owned("api", secret("other")));
    let all = split(all).unwrap();
    let found = run(&all, "migrate", "0123456789");
    assert_eq!(found.len(), 2, "only what it needs: {found:#?}");
    assert_eq!(found[0]["metadata"]["name"], "web-env-0123456789");
    assert_eq!(found[0]["stringData"]["URL"], "x");
    let job = &found[1];
    assert_eq!(job["metadata"]["name"], "migrate-0123456789");
    let from = &job["spec"]["template"]["spec"]["containers"][0]["envFrom"];
    assert_eq!(from[0]["secretRef"]["name"], "web-env-0123456789");
    assert_eq!(from[1]["configMapRef"]["name"], "other", "another's stays");
    // A Service that leads to the workload must not lead here.
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels, &json!({"app": "web", "deployd.dev/track": "0123456789"}));
    assert_eq!(job["spec"].get("ttlSecondsAfterFinished"), None);
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 1_800);
    assert_eq!(deadline_seconds(&all, "migrate"), 1_800);
    assert!(run(&all, "nothing", "x").is_empty());
}

#[test]
fn what_can_not_be_run_is_named() {
    let mut suspended = job("slow", &before());
    suspended["spec"]["suspend"] = json!(true);
    let mut service = job("web", &before());
    service["kind"] = json!("Service");
    let both = json!({"deployd.dev/job": "after", "deployd.dev/undoes": "migrate"});
    let migrate = || job("migrate", &before());
    let many = (0..33).map(|n| job(&format!("job-{n}"), &before())).collect();
    let table: [(Vec<Value>, &str); 7] = [
        (
            vec![job("x", &json!({"deployd.dev/job": "pre-sync"}))],
            "expected \"before\" or \"after\"",
        ),
        (vec![suspended], "Job slow has spec.suspend"),
        (vec![service], "Service web has the annotation deployd.dev/job"),
        (vec![migrate(), job("x", &both)], "take deployd.dev/job away"),
        (
            vec![migrate(), job("x", &undoes("migrat"))],
            "Job x undoes \"migrat\", and there is no Job of that name with the annotation deployd.dev/job; there are: migrate",
        ),
        (
            vec![migrate(), job("x", &undoes("migrate")), job("y", &undoes("migrate"))],
            "Jobs x and y both undo migrate",
        ),
        (many, "33 Jobs run before and after the rollout; at most 32"),
    ];
    for (objects, expected) in table {
        let error: JobError = split(of_web(&objects)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // What a driver makes is the driver's business.
    let uid = crate::graph::Uid("db".into());
    let its = Manifest {
        owner: ObjectOwner::Resource(uid),
        object: job("x", &json!({"deployd.dev/job": "no"})),
    };
    assert_eq!(split(manifests(vec![its])).unwrap().objects.len(), 1);
}
