//! Server-side apply.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::stage::{Stage, deployment, refusal};

#[tokio::test]
async fn applying_creates_then_changes_nothing() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let params = PatchParams::apply("one");
    let config = deployment("shop", "shop:1", 1);
    let made = api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    stage.wait("rolled out", |o| crate::stage::is_rolled_out(o, "a", "shop")).await;
    let settled = api.get("shop").await.unwrap();
    let again = api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    assert_eq!(again.metadata.resource_version, settled.metadata.resource_version);
    let owners = again.metadata.managed_fields.unwrap();
    let ours: Vec<_> =
        owners.iter().filter(|entry| entry.manager.as_deref() == Some("one")).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].operation.as_deref(), Some("Apply"));
}

#[tokio::test]
async fn conflicts_name_the_other_manager() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let config = deployment("shop", "shop:1", 1);
    let ours = PatchParams::apply("one");
    api.patch("shop", &ours, &Patch::Apply(&config)).await.unwrap();
    let theirs = PatchParams::apply("two");
    let other = deployment("shop", "shop:2", 1);
    let status = refusal(api.patch("shop", &theirs, &Patch::Apply(&other)).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.template.spec.containers[name=\"app\"].image"
    );
    let causes = status.details.unwrap().causes;
    assert_eq!(causes[0].reason, "FieldManagerConflict");
    assert_eq!(causes[0].message, "conflict with \"one\"");
    let forced = api.patch("shop", &theirs.force(), &Patch::Apply(&other)).await.unwrap();
    let containers = forced.spec.unwrap().template.spec.unwrap().containers;
    assert_eq!(containers[0].image.as_deref(), Some("shop:2"));

    let scaled = json!({"spec": {"replicas": 4}});
    let by_hand =
        PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
    api.patch("shop", &by_hand, &Patch::Merge(scaled)).await.unwrap();
    let status =
        refusal(api.patch("shop", &ours, &Patch::Apply(&deployment("shop", "shop:2", 1))).await);
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"somebody\" using apps/v1: .spec.replicas"
    );
}

#[tokio::test]
async fn a_dropped_field_goes_and_its_default_returns() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let params = PatchParams::apply("one");
    let mut config = deployment("shop", "shop:1", 3);
    config["spec"]["revisionHistoryLimit"] = json!(2);
    config["metadata"]["labels"] = json!({"team": "red"});
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    config["spec"].as_object_mut().unwrap().remove("revisionHistoryLimit");
    config["spec"].as_object_mut().unwrap().remove("replicas");
    config["metadata"].as_object_mut().unwrap().remove("labels");
    let found = api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    let spec = found.spec.unwrap();
    assert_eq!((spec.revision_history_limit, spec.replicas), (Some(10), Some(1)));
    assert_eq!(found.metadata.labels, None);
    assert_eq!(found.metadata.name.as_deref(), Some("shop"));
}

#[tokio::test]
async fn a_configuration_of_the_wrong_form_is_refused() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let mut config = deployment("shop", "shop:1", 1);
    config["spec"]["replica"] = json!(1);
    let params = PatchParams::apply("one");
    let status = refusal(api.patch("shop", &params, &Patch::Apply(&config)).await);
    assert_eq!(status.code, 500);
    assert_eq!(
        status.message,
        "failed to create typed patch object (a/shop; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema"
    );
}

#[tokio::test]
async fn an_apply_in_a_missing_namespace_is_not_found() {
    let stage = Stage::new().await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "nowhere");
    let config = deployment("shop", "shop:1", 1);
    let params = PatchParams::apply("one");
    let status = refusal(api.patch("shop", &params, &Patch::Apply(&config)).await);
    assert_eq!(status.code, 404);
    assert_eq!(status.message, "namespaces \"nowhere\" not found");
}

#[tokio::test]
async fn a_status_is_applied_through_its_own_door() {
    let stage = Stage::with_namespace("a").await;
    let api =
        Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(stage.client.clone(), "a");
    let config = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"services": "3"}}, "status": {"hard": {"services": "9"}}});
    let params = PatchParams::apply("one");
    let made = api.patch("q", &params, &Patch::Apply(&config)).await.unwrap();
    assert!(made.status.and_then(|s| s.hard).is_none());
}
