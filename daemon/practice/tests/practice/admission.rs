//! What is refused, and in which words.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::{Value, json};

use crate::stage::{Stage, condition, deployment, pod, read, refusal};

#[tokio::test]
async fn a_namespace_gets_its_account_and_ends_with_its_contents() {
    let stage = Stage::with_namespace("a").await;
    stage
        .wait("the default account", |o| {
            o.get("serviceaccounts", "a", "default").is_some()
                && o.get("configmaps", "a", "kube-root-ca.crt").is_some()
        })
        .await;
    let maps = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let held = read(json!({"metadata": {"name": "held", "finalizers": ["x.io/hold"]}}));
    maps.create(&PostParams::default(), &held).await.unwrap();
    let namespaces = Api::<Namespace>::all(stage.client.clone());
    let deleted = namespaces.delete("a", &DeleteParams::default()).await.unwrap();
    let status = deleted.left().unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Terminating"));
    let late = read(json!({"metadata": {"name": "late"}}));
    let refused = refusal(maps.create(&PostParams::default(), &late).await);
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        refused.message,
        "configmaps \"late\" is forbidden: unable to create new content in namespace a because it is being terminated"
    );
    assert_eq!(refused.details.unwrap().causes[0].reason, "NamespaceTerminating");
    stage
        .wait("finalizers told", |o| {
            let found = o.get("namespaces", "", "a").unwrap();
            condition(&found, "NamespaceFinalizersRemaining").is_some_and(|c| c.0 == "True")
        })
        .await;
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &patch).await.unwrap();
    stage.wait("the namespace gone", |o| o.get("namespaces", "", "a").is_none()).await;
}

#[tokio::test]
async fn a_quota_holds() {
    let stage = Stage::with_namespace("a").await;
    let quotas = stage.any("", "v1", "ResourceQuota", "a");
    let quota = read(json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}));
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let object = read(deployment("shop", "shop:1", 2));
    api.create(&PostParams::default(), &object).await.unwrap();
    stage
        .wait("a replica failure", |o| {
            let found = o.get("deployments.apps", "a", "shop").unwrap();
            condition(&found, "ReplicaFailure").is_some_and(|c| c.1 == "FailedCreate")
        })
        .await;
    let pods = Api::<Pod>::namespaced(stage.client.clone(), "a");
    let refused = refusal(pods.create(&PostParams::default(), &read(pod("more", "x"))).await);
    assert_eq!(
        refused.message,
        "pods \"more\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
    );
    stage
        .wait("usage told", |o| {
            o.get("resourcequotas", "a", "q").unwrap()["status"]["used"]["pods"] == "1"
        })
        .await;
}

async fn invalid(stage: &Stage, object: Value) -> String {
    let (group, version) =
        object["apiVersion"].as_str().unwrap().split_once('/').unwrap_or(("", "v1"));
    let api = stage.any(group, version, object["kind"].as_str().unwrap(), "a");
    let status = refusal(api.create(&PostParams::default(), &read(object)).await);
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert!(!status.details.unwrap().causes.is_empty());
    status.message
}

#[tokio::test]
async fn invalid_objects_are_told_as_the_api_server_tells_them() {
    let stage = Stage::with_namespace("a").await;
    let mut object = deployment("shop", "shop:1", 1);
    object["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    assert_eq!(
        invalid(&stage, object).await,
        "Deployment.apps \"shop\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template `labels`"
    );
    let mut object = deployment("shop", "shop:1", 1);
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("");
    assert_eq!(
        invalid(&stage, object).await,
        "Deployment.apps \"shop\" is invalid: spec.template.spec.containers[0].image: Required value"
    );
    let mut object = pod("p", "x:1");
    object["spec"]["containers"][0]["ports"] = json!([{"containerPort": 70000}]);
    assert_eq!(
        invalid(&stage, object).await,
        "Pod \"p\" is invalid: spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
    );
    let message = invalid(&stage, pod("Not_A_Name", "x:1")).await;
    assert!(
        message.starts_with("Pod \"Not_A_Name\" is invalid: metadata.name: Invalid value: \"Not_A_Name\": a lowercase RFC 1123 subdomain must consist of"),
        "{message}"
    );
    let services = Api::<Service>::namespaced(stage.client.clone(), "a");
    let status = refusal(
        services
            .create(&PostParams::default(), &read(json!({"metadata": {"name": "s"}, "spec": {}})))
            .await,
    );
    assert_eq!(status.message, "Service \"s\" is invalid: spec.ports: Required value");
}

#[tokio::test]
async fn unknown_fields_are_refused_when_asked_and_types_always() {
    let stage = Stage::with_namespace("a").await;
    let api = stage.any("apps", "v1", "Deployment", "a");
    let mut object = deployment("shop", "shop:1", 1);
    object["spec"]["replica"] = json!(2);
    let strict = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    api.create(&PostParams::default(), &read(deployment("strict", "shop:1", 1))).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"replica": 2}}));
    let status = refusal(api.patch("strict", &strict, &patch).await);
    assert_eq!(
        status.message,
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replica\""
    );
    let made = api.create(&PostParams::default(), &read(object)).await.unwrap();
    assert!(made.data["spec"].get("replica").is_none());
    let mut object = deployment("other", "shop:1", 1);
    object["spec"]["replicas"] = json!("two");
    let status = refusal(api.create(&PostParams::default(), &read(object)).await);
    assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
    assert_eq!(
        status.message,
        "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
}
