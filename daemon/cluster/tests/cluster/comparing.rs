//! What others have changed is found, named with who did it, and left as it is.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::drift::{Difference, Drift, ObjectCheck};
use deployd_core::ports::{Applier, Cluster, SensitiveObjects};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::stage::{Stage, on_a_cluster, on_a_simulated_cluster, on_the_practice_cluster};
use crate::things::{claim, config_map, deployment, service, widgets};
use crate::wire::Act;

async fn compared(stage: &Stage, objects: Vec<Value>) -> Result<Vec<ObjectCheck>, Fault> {
    let objects = SensitiveObjects::new(objects);
    stage.cluster.compare(&stage.target, &objects, Applier::Deployd, &stage.log).await
}

/// What differs, by name.
async fn drift(stage: &Stage, objects: &[Value]) -> Vec<(String, Drift)> {
    let checks = compared(stage, objects.to_vec()).await.unwrap();
    assert_eq!(checks.len(), objects.len());
    let of = |check: ObjectCheck| {
        let name = check.object.name.clone();
        check.drift.unwrap().into_iter().map(move |drift| (name.clone(), drift))
    };
    checks.into_iter().flat_map(of).collect()
}

pub(crate) fn differs(path: &str, recorded: Value, live: Value, by: &[&str]) -> Drift {
    let some = |value: Value| Some(value).filter(|value| !value.is_null());
    let values = Difference { recorded: some(recorded), live: some(live), hidden: false };
    let by = by.iter().map(|&name| name.to_owned()).collect();
    Drift::FieldDiffers { path: path.to_owned(), values, by }
}

/// Changes an object by the tool of this name.
pub(crate) async fn change(
    stage: &Stage,
    manager: &str,
    plural: &str,
    object: &Value,
    patch: Value,
) {
    let text = |field: &str| object[field].as_str().unwrap();
    let api = stage.api(text("apiVersion"), text("kind"), plural).await;
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &params, &Patch::Merge(&patch)).await.unwrap();
}

fn web() -> Value {
    let mut web = deployment("web");
    web["spec"]["replicas"] = json!(0);
    web["metadata"]["labels"] = json!({"team": "shop"});
    web
}

fn secret() -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
        "stringData": {"password": "hunter2-password", "user": "app"}})
}

#[tokio::test]
async fn what_was_just_applied_does_not_differ() {
    on_a_cluster(async |stage| {
        let objects =
            [web(), service("web"), secret(), config_map("map", json!({"a": "1"})), claim("data")];
        stage.apply(objects.to_vec()).await.unwrap();
        assert_eq!(drift(stage, &objects).await, []);
        // A status, a node port, a revision: what controllers add is theirs.
        let ready = stage.apply(objects.to_vec()).await.unwrap();
        stage.await_ready(&ready[..1], Duration::from_secs(60)).await.unwrap();
        assert_eq!(drift(stage, &objects).await, []);
    })
    .await;
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_found_with_who_it_was() {
    on_a_cluster(async |stage| {
        let objects = [web(), service("web"), config_map("map", json!({"a": "1", "b": "2"}))];
        stage.apply(objects.to_vec()).await.unwrap();
        change(
            stage,
            "kubectl-scale",
            "deployments",
            &objects[0],
            json!({"spec": {"replicas": 3}}),
        )
        .await;
        let label = json!({"metadata": {"labels": {"team": "others"}}});
        change(stage, "kubectl-edit", "deployments", &objects[0], label).await;
        let container =
            json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 9}}}});
        change(stage, "lens", "deployments", &objects[0], container).await;
        change(stage, "kubectl-edit", "configmaps", &objects[2], json!({"data": {"a": null}}))
            .await;
        stage.delete("v1", "Service", "services", "web").await.unwrap();
        let before = stage.get("apps/v1", "Deployment", "deployments", "web").await;
        let found = drift(stage, &objects).await;
        let web = |drift| ("web".to_owned(), drift);
        let expected = [
            web(differs(
                ".metadata.labels.team",
                json!("shop"),
                json!("others"),
                &["kubectl-edit"],
            )),
            web(differs(".spec.replicas", json!(0), json!(3), &["kubectl-scale"])),
            web(differs(
                ".spec.template.spec.terminationGracePeriodSeconds",
                json!(1),
                json!(9),
                &["lens"],
            )),
            web(Drift::Missing),
            ("map".to_owned(), differs(".data.a", json!("1"), Value::Null, &[])),
        ];
        assert_eq!(found, expected);
        let after = stage.get("apps/v1", "Deployment", "deployments", "web").await;
        assert_eq!(before["spec"], after["spec"], "it was a rehearsal");
        assert_eq!(stage.get("v1", "Service", "services", "web").await, Value::Null);
        // What is applied over it is well again.
        stage.apply_with(objects.to_vec(), true).await.unwrap();
        assert_eq!(drift(stage, &objects).await, []);
    })
    .await;
}

#[tokio::test]
async fn what_others_add_is_theirs_and_no_drift() {
    on_a_cluster(async |stage| {
        let mut scaled = web();
        scaled["spec"].as_object_mut().unwrap().remove("replicas");
        let map = config_map("map", json!({"a": "1"}));
        let objects = [scaled.clone(), service("web"), map.clone()];
        stage.apply(objects.to_vec()).await.unwrap();
        let notes = json!({"metadata": {"annotations": {"seen.by/robot": "yes"},
            "labels": {"cost-centre": "7"}}});
        change(stage, "robot", "deployments", &scaled, notes).await;
        // Nobody has said how many there are to be: an autoscaler does.
        change(
            stage,
            "horizontal-pod-autoscaler",
            "deployments",
            &scaled,
            json!({"spec": {"replicas": 0}}),
        )
        .await;
        change(stage, "robot", "configmaps", &map, json!({"data": {"more": "2"}})).await;
        let sidecar = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": stage.namespace()},
            "spec": {"template": {"spec": {"containers":
                [{"name": "sidecar", "image": crate::things::image()}]}}}});
        stage.apply_as("mesh", "deployments", sidecar).await;
        assert_eq!(drift(stage, &objects).await, []);
    })
    .await;
}

#[tokio::test]
async fn who_owns_a_field_that_was_deployed_is_told_also_when_its_value_is_right() {
    on_a_cluster(async |stage| {
        let objects = [web()];
        stage.apply(objects.to_vec()).await.unwrap();
        for replicas in [1, 0] {
            let patch = json!({"spec": {"replicas": replicas}});
            change(stage, "kubectl-scale", "deployments", &objects[0], patch).await;
        }
        let by = vec!["kubectl-scale".to_owned()];
        let taken = Drift::TakenOver { path: ".spec.replicas".to_owned(), by };
        assert_eq!(drift(stage, &objects).await, [("web".to_owned(), taken)]);
    })
    .await;
}

#[tokio::test]
async fn an_object_that_somebody_made_in_place_of_ours_is_not_ours() {
    on_a_cluster(async |stage| {
        let objects = [config_map("map", json!({"a": "1"}))];
        stage.apply(objects.to_vec()).await.unwrap();
        stage.delete("v1", "ConfigMap", "configmaps", "map").await.unwrap();
        stage.apply_as("helm", "configmaps", objects[0].clone()).await;
        let uid = stage.get("v1", "ConfigMap", "configmaps", "map").await["metadata"]["uid"]
            .as_str()
            .unwrap()
            .to_owned();
        let replaced = Drift::Replaced { uid, by: vec!["helm".to_owned()] };
        assert_eq!(drift(stage, &objects).await, [("map".to_owned(), replaced)]);
    })
    .await;
}

#[tokio::test]
async fn i16_of_secrets_only_that_they_differ_is_told() {
    on_a_cluster(async |stage| {
        let map = config_map("map", json!({"url": "postgres://db"}));
        let objects = [secret(), map.clone()];
        stage.apply(objects.to_vec()).await.unwrap();
        let stolen = json!({"stringData": {"password": "another-secret-value"}});
        change(stage, "kubectl-edit", "secrets", &objects[0], stolen).await;
        let leaked = json!({"data": {"url": "postgres://app:hunter2-password@db"}});
        change(stage, "kubectl-edit", "configmaps", &map, leaked).await;
        let found = drift(stage, &objects).await;
        let hidden = Difference { recorded: None, live: None, hidden: true };
        let by = vec!["kubectl-edit".to_owned()];
        let path = ".data.password".to_owned();
        assert_eq!(found[0].1, Drift::FieldDiffers { path, values: hidden, by });
        let shown = json!("postgres://(hidden):(hidden)@db");
        assert_eq!(
            found[1].1,
            differs(".data.url", json!("postgres://db"), shown, &["kubectl-edit"])
        );
        let said = format!("{found:?}{:?}", stage.lines());
        for value in ["another-secret-value", "hunter2-password", "aHVudGVyMi1wYXNzd29yZA=="] {
            assert!(!said.contains(value), "{said}");
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_but_for_what_may_differ() {
    on_the_practice_cluster(async |stage, practice| {
        let mut objects: Vec<Value> =
            (0..20).map(|n| config_map(&format!("map-{n}"), json!({"a": "1"}))).collect();
        objects.extend((0..6).map(|n| service(&format!("service-{n}"))));
        stage.apply(objects.clone()).await.unwrap();
        practice.forget_requests();
        assert_eq!(drift(stage, &objects).await, []);
        assert_eq!(practice.requests().len(), 2, "one list for each kind");
        change(stage, "kubectl-edit", "configmaps", &objects[3], json!({"data": {"a": "2"}})).await;
        practice.forget_requests();
        assert_eq!(drift(stage, &objects).await.len(), 1);
        let requests = practice.requests();
        let sent: Vec<_> = requests.iter().filter(|request| request.method != "GET").collect();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(sent[0].query.contains("dryRun=All"), "{sent:?}");
    })
    .await;
}

#[tokio::test]
async fn objects_go_with_the_definition_of_their_kind() {
    on_a_cluster(async |stage| {
        let group = format!("{}.example.com", stage.namespace());
        let (definition, mut widget) = widgets(&group);
        widget["metadata"]["namespace"] = json!(stage.namespace());
        stage.apply(vec![definition.clone(), widget.clone()]).await.unwrap();
        let objects = [definition.clone(), widget];
        assert_eq!(drift(stage, &objects).await, []);
        let name = definition["metadata"]["name"].as_str().unwrap();
        let kind = "CustomResourceDefinition";
        let plural = "customresourcedefinitions";
        stage.delete("apiextensions.k8s.io/v1", kind, plural, name).await.unwrap();
        stage
            .until(async || {
                let found = drift(stage, &objects).await;
                found.len() == 2 && found.iter().all(|(_, drift)| *drift == Drift::Missing)
            })
            .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_seen_is_a_fault_and_not_well() {
    on_a_simulated_cluster(async |stage, wire| {
        let maps: Vec<Value> =
            (0..3).map(|n| config_map(&format!("map-{n}"), json!({"a": "1"}))).collect();
        stage.apply(maps.clone()).await.unwrap();
        change(stage, "kubectl-edit", "configmaps", &maps[1], json!({"data": {"a": "2"}})).await;
        // One object can't be looked at: the others are compared all the same.
        wire.rule(|_, path| {
            let refused = json!({"kind": "Status", "code": 403, "reason": "Forbidden",
                "message": "configmaps \"map-0\" is forbidden"});
            path.ends_with("/map-0").then(|| Act::Status(403, refused))
        });
        let checks = compared(stage, maps.clone()).await.unwrap();
        assert!(checks[0].drift.is_err(), "{checks:?}");
        assert_eq!(checks[1].drift.as_ref().unwrap().len(), 1);
        assert_eq!(checks[2].drift.as_ref().unwrap().len(), 0);
        // Nobody answers: nothing is known of any.
        wire.rule(|_, _| Some(Act::Refuse(std::io::ErrorKind::ConnectionRefused)));
        let begun = tokio::time::Instant::now();
        let fault = compared(stage, maps).await.unwrap_err();
        assert_eq!(fault.code, "cluster-unreachable");
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_has_its_namespace_also_where_nobody_knows_its_kind() {
    on_a_simulated_cluster(async |stage, wire| {
        let gadget = |group: &str| {
            json!({"apiVersion": format!("{group}/v1"), "kind": "Gadget",
                "metadata": {"name": "a"}})
        };
        wire.rule(|_, path| {
            let refused = json!({"kind": "Status", "code": 403, "reason": "Forbidden",
                "message": "not for you"});
            path.contains("/refused.example.com/").then(|| Act::Status(403, refused))
        });
        let objects = vec![gadget("gone.example.com"), gadget("refused.example.com")];
        let checks = compared(stage, objects).await.unwrap();
        assert_eq!(checks[0].drift.as_ref().unwrap(), &[Drift::Missing]);
        assert!(checks[1].drift.is_err(), "{checks:?}");
        for check in checks {
            assert_eq!(check.object.namespace.as_deref(), Some(stage.namespace()), "{check:?}");
        }
    })
    .await;
}
