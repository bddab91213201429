//! What somebody else has pulled from a repository and applied is compared as well.

use deployd_core::drift::Drift;
use deployd_core::ports::{Applier, Cluster, SensitiveObjects};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::comparing::{change, differs};
use crate::stage::{Stage, on_a_cluster, on_the_practice_cluster};
use crate::things::{config_map, deployment, service};

const FLUX: &str = "kustomize-controller";
const ARGO_CD: &str = "argocd-controller";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What differs from what was committed, by name.
async fn drift(stage: &Stage, committed: &[Value]) -> Vec<(String, Drift)> {
    let objects = SensitiveObjects::new(committed.to_vec());
    let compared = stage.cluster.compare(&stage.target, &objects, Applier::Puller, &stage.log);
    let checks = compared.await.unwrap();
    assert_eq!(checks.len(), committed.len());
    let of = |check: deployd_core::drift::ObjectCheck| {
        let name = check.object.name.clone();
        check.drift.unwrap().into_iter().map(move |drift| (name.clone(), drift))
    };
    checks.into_iter().flat_map(of).collect()
}

fn plural(object: &Value) -> &'static str {
    match object["kind"].as_str().unwrap() {
        "Deployment" => "deployments",
        "Service" => "services",
        "ConfigMap" => "configmaps",
        other => panic!("{other}"),
    }
}

/// Applies as Flux does: with labels of its own.
async fn flux(stage: &Stage, object: &Value) {
    let mut object = object.clone();
    object["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("shop");
    object["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/namespace"] = json!("flux-system");
    stage.apply_as(FLUX, plural(&object), object.clone()).await;
}

/// Makes an object as Argo CD does, with what it applies written down.
async fn argo_cd(stage: &Stage, object: &Value) {
    let mut object = object.clone();
    let id = "shop:apps/Deployment:shop/web";
    object["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = json!(id);
    object["metadata"]["labels"]["app.kubernetes.io/instance"] = json!("shop");
    let applied = object.to_string();
    object["metadata"]["annotations"][LAST_APPLIED] = json!(applied);
    let text = |field: &str| object[field].as_str().unwrap().to_owned();
    let api = stage.api(&text("apiVersion"), &text("kind"), plural(&object)).await;
    let params = PostParams { field_manager: Some(ARGO_CD.to_owned()), ..PostParams::default() };
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&params, &object).await.unwrap();
}

fn web() -> Value {
    let mut web = deployment("web");
    web["spec"]["replicas"] = json!(0);
    web["metadata"]["labels"] = json!({"team": "shop"});
    web["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    web["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    web["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"limits": {"cpu": "1000m", "memory": "64Mi"}});
    web
}

fn without_b(mut web: Value) -> Value {
    web["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
    web
}

#[tokio::test]
async fn what_was_pulled_as_it_was_committed_does_not_differ() {
    on_a_cluster(async |stage| {
        let committed = [web(), service("web"), config_map("map", json!({"a": "1"}))];
        for object in &committed {
            flux(stage, object).await;
        }
        assert_eq!(drift(stage, &committed).await, []);
        // So does what Argo CD has made.
        let mut other = web();
        other["metadata"]["name"] = json!("other");
        argo_cd(stage, &other).await;
        assert_eq!(drift(stage, &[other]).await, []);
        assert_eq!(
            drift(stage, &[config_map("none", json!({}))]).await,
            [("none".to_owned(), Drift::Missing)]
        );
    })
    .await;
}

#[tokio::test]
async fn what_was_not_pulled_yet_is_told_field_by_field() {
    on_a_cluster(async |stage| {
        flux(stage, &web()).await;
        let mut other = web();
        other["metadata"]["name"] = json!("other");
        argo_cd(stage, &other).await;
        for (name, manager) in [("web", FLUX), ("other", ARGO_CD)] {
            let mut newer = without_b(web());
            newer["metadata"]["name"] = json!(name);
            newer["metadata"]["labels"] = json!({"tier": "front"});
            newer["spec"]["replicas"] = json!(2);
            newer["spec"]["template"]["spec"]["containers"][0]["ports"] = Value::Null;
            let before = stage.get("apps/v1", "Deployment", "deployments", name).await;
            let mut found = drift(stage, &[newer.clone()]).await;
            found.sort_by_key(|(_, drift)| format!("{drift:?}"));
            let main = ".spec.template.spec.containers[name=main]";
            let port = match name {
                "web" => (
                    format!("{main}.ports[containerPort=80,protocol=TCP]"),
                    json!({"containerPort": 80, "protocol": "TCP"}),
                ),
                // Of a list that is not wanted at all, nobody knows the keys.
                _ => (format!("{main}.ports"), json!([{"containerPort": 80, "protocol": "TCP"}])),
            };
            let expected = [
                differs(".metadata.labels.team", Value::Null, json!("shop"), &[manager]),
                differs(".metadata.labels.tier", json!("front"), Value::Null, &[]),
                differs(".spec.replicas", json!(2), json!(0), &[manager]),
                differs(
                    &format!("{main}.env[name=B]"),
                    Value::Null,
                    json!({"name": "B", "value": "2"}),
                    &[manager],
                ),
                differs(&port.0, Value::Null, port.1, &[manager]),
            ];
            let mut expected: Vec<(String, Drift)> =
                expected.into_iter().map(|drift| (name.to_owned(), drift)).collect();
            expected.sort_by_key(|(_, drift)| format!("{drift:?}"));
            assert_eq!(found, expected, "{name}");
            let after = stage.get("apps/v1", "Deployment", "deployments", name).await;
            assert_eq!(before, after, "nothing was written");
        }
        // Flux brings it: then it is as committed.
        let newer = without_b(web());
        flux(stage, &newer).await;
        assert_eq!(drift(stage, &[newer]).await, []);
    })
    .await;
}

#[tokio::test]
async fn who_has_changed_what_was_pulled_is_named() {
    on_a_cluster(async |stage| {
        let (web, map) = (web(), config_map("map", json!({"a": "1"})));
        for object in [&web, &map] {
            flux(stage, object).await;
        }
        change(stage, "kubectl-scale", "deployments", &web, json!({"spec": {"replicas": 3}})).await;
        let more = json!({"data": {"a": null, "theirs": "2"}});
        change(stage, "kubectl-edit", "configmaps", &map, more).await;
        let expected = [
            ("web".to_owned(), differs(".spec.replicas", json!(0), json!(3), &["kubectl-scale"])),
            ("map".to_owned(), differs(".data.a", json!("1"), Value::Null, &[])),
        ];
        assert_eq!(drift(stage, &[web, map]).await, expected);
    })
    .await;
}

#[tokio::test]
async fn what_deployd_has_applied_before_is_no_matter() {
    on_a_cluster(async |stage| {
        let committed = web();
        stage.apply(vec![committed.clone()]).await.unwrap();
        assert_eq!(drift(stage, std::slice::from_ref(&committed)).await, []);
        flux(stage, &committed).await;
        assert_eq!(drift(stage, std::slice::from_ref(&committed)).await, []);
    })
    .await;
}

#[tokio::test]
async fn only_dry_runs_are_sent() {
    on_the_practice_cluster(async |stage, practice| {
        flux(stage, &web()).await;
        practice.forget_requests();
        let _ = drift(stage, &[without_b(web()), service("web")]).await;
        let requests = practice.requests();
        let sent: Vec<_> = requests.iter().filter(|request| request.method != "GET").collect();
        assert!(sent.iter().all(|request| request.query.contains("dryRun=All")), "{sent:?}");
        assert_eq!(sent.len(), 1, "what is not there is not sent at all: {sent:?}");
    })
    .await;
}
