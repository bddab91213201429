//! Creating, reading, changing and deleting.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use serde_json::json;

use crate::stage::{Stage, deployment, pod, read, refusal};

#[tokio::test]
async fn a_created_object_has_metadata_and_defaults() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let object = read(deployment("shop", "shop:1", 2));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let spec = made.spec.unwrap();
    assert_eq!(spec.progress_deadline_seconds, Some(600));
    assert_eq!(spec.revision_history_limit, Some(10));
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let template = spec.template.spec.unwrap();
    assert_eq!(template.restart_policy.as_deref(), Some("Always"));
    assert_eq!(template.containers[0].image_pull_policy.as_deref(), Some("IfNotPresent"));
    let again = refusal(api.create(&PostParams::default(), &object).await);
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(again.message, "deployments.apps \"shop\" already exists");
    let missing = refusal(api.get("none").await);
    assert_eq!(missing.message, "deployments.apps \"none\" not found");
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let object = read(json!({"metadata": {"generateName": "x-"}}));
    let made = api.create(&params, &object).await.unwrap();
    assert!(made.metadata.name.unwrap().starts_with("x-"));
    assert!(made.metadata.uid.is_some());
    assert!(
        stage
            .practice
            .objects()
            .list("configmaps", "a")
            .iter()
            .all(|o| { o["metadata"]["name"] == "kube-root-ca.crt" })
    );
}

#[tokio::test]
async fn a_stale_replacement_is_a_conflict() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let object = read(json!({"metadata": {"name": "x"}, "data": {"a": "1"}}));
    let first = api.create(&PostParams::default(), &object).await.unwrap();
    let mut second = first.clone();
    second.data = Some([("a".to_owned(), "2".to_owned())].into());
    let second = api.replace("x", &PostParams::default(), &second).await.unwrap();
    assert_ne!(first.metadata.resource_version, second.metadata.resource_version);
    let unchanged = api.replace("x", &PostParams::default(), &second).await.unwrap();
    assert_eq!(unchanged.metadata.resource_version, second.metadata.resource_version);
    let status = refusal(api.replace("x", &PostParams::default(), &first).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        "Operation cannot be fulfilled on configmaps \"x\": the object has been modified; please apply your changes to the latest version and try again"
    );
}

#[tokio::test]
async fn the_kinds_of_patch() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let object = read(deployment("shop", "shop:1", 1));
    api.create(&PostParams::default(), &object).await.unwrap();
    let params = PatchParams::default();
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "side:1"}]}}}});
    let found = api.patch("shop", &params, &Patch::Strategic(patch)).await.unwrap();
    let containers = found.spec.unwrap().template.spec.unwrap().containers;
    assert_eq!(containers.len(), 2);
    let patch = json!({"spec": {"replicas": 3}, "status": {"replicas": 99}});
    let found = api.patch("shop", &params, &Patch::Merge(patch)).await.unwrap();
    assert_eq!(found.spec.unwrap().replicas, Some(3));
    assert_ne!(found.status.unwrap_or_default().replicas, Some(99));
    let patch = json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}});
    let status = refusal(api.patch("shop", &params, &Patch::Merge(patch)).await);
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert!(status.message.contains("field is immutable"), "{}", status.message);
}

#[tokio::test]
async fn lists_select_and_come_page_by_page() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    for number in 0..5 {
        let tier = if number % 2 == 0 { "even" } else { "odd" };
        let object = read(json!({"metadata": {"name": format!("c{number}"),
            "labels": {"tier": tier}}}));
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let odd = api.list(&ListParams::default().labels("tier=odd")).await.unwrap();
    assert_eq!(odd.items.len(), 2);
    let one = api.list(&ListParams::default().fields("metadata.name=c3")).await.unwrap();
    assert_eq!(one.items.len(), 1);
    let mut params = ListParams::default().labels("tier").limit(2);
    let mut names = Vec::new();
    loop {
        let page = api.list(&params).await.unwrap();
        names.extend(page.items.into_iter().map(|o| o.metadata.name.unwrap()));
        // What comes later is not in a list that began before.
        let late = read(json!({"metadata": {"generateName": "c9", "labels": {"tier": "late"}}}));
        api.create(&PostParams::default(), &late).await.unwrap();
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(names, ["c0", "c1", "c2", "c3", "c4"]);
    let status = refusal(api.list(&ListParams::default().continue_token("gone")).await);
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn secrets_take_plain_text_and_services_get_addresses() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Secret>::namespaced(stage.client.clone(), "a");
    let object = read(json!({"metadata": {"name": "s"}, "stringData": {"key": "value"}}));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data.unwrap()["key"].0, b"value");
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    let api = Api::<Service>::namespaced(stage.client.clone(), "a");
    let object = read(json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let spec = made.spec.unwrap();
    assert!(spec.cluster_ip.unwrap().starts_with("10.96."));
    let port = &spec.ports.unwrap()[0];
    assert_eq!(port.protocol.as_deref(), Some("TCP"));
}

#[tokio::test]
async fn deletion_follows_owners_and_waits_for_finalizers() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let object = read(deployment("shop", "shop:1", 2));
    api.create(&PostParams::default(), &object).await.unwrap();
    stage.wait("two pods", |o| o.list("pods", "a").len() == 2).await;
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    let deleted = api.delete("shop", &params).await.unwrap();
    let waiting = deleted.left().unwrap();
    assert_eq!(waiting.metadata.finalizers.unwrap(), ["foregroundDeletion"]);
    stage
        .wait("everything gone", |o| {
            o.get("deployments.apps", "a", "shop").is_none()
                && o.list("replicasets.apps", "a").is_empty()
                && o.list("pods", "a").is_empty()
        })
        .await;

    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let object = read(json!({"metadata": {"name": "held", "finalizers": ["x.io/hold"]}}));
    api.create(&PostParams::default(), &object).await.unwrap();
    let held = api.delete("held", &DeleteParams::default()).await.unwrap();
    assert!(held.left().unwrap().metadata.deletion_timestamp.is_some());
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(refusal(api.get("held").await).code, 404);
    let gone = refusal(api.delete("held", &DeleteParams::default()).await);
    assert_eq!(gone.reason, "NotFound");
}

#[tokio::test]
async fn orphans_stay() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let object = read(deployment("shop", "shop:1", 1));
    api.create(&PostParams::default(), &object).await.unwrap();
    stage.wait("a pod", |o| o.list("pods", "a").len() == 1).await;
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    api.delete("shop", &params).await.unwrap();
    stage.wait("the deployment gone", |o| o.get("deployments.apps", "a", "shop").is_none()).await;
    let sets = stage.practice.objects().list("replicasets.apps", "a");
    assert_eq!(sets.len(), 1);
    assert!(sets[0]["metadata"].get("ownerReferences").is_none());
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Pod>::namespaced(stage.client.clone(), "a");
    for name in ["one", "two"] {
        let object = read(pod(name, "x:1"));
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let params = ListParams::default().fields("metadata.name=one");
    api.delete_collection(&DeleteParams::default(), &params).await.unwrap();
    stage.wait("one gone", |o| o.get("pods", "a", "one").is_none()).await;
    assert!(stage.practice.objects().get("pods", "a", "two").is_some());
}

#[tokio::test]
async fn scale_is_read_and_written() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let object = read(deployment("shop", "shop:1", 1));
    api.create(&PostParams::default(), &object).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let scale = api.patch_scale("shop", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(3));
    stage.wait("three pods", |o| o.list("pods", "a").len() == 3).await;
    let scale = api.get_scale("shop").await.unwrap();
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=shop"));
}
