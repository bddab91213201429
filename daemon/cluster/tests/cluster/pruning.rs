//! Removing what we have applied.

use serde_json::json;

use crate::stage::on_a_cluster;
use crate::things::{claim, config_map, deployment, service};

#[tokio::test]
async fn dependents_first_and_until_all_is_gone() {
    on_a_cluster(async |stage| {
        let objects = vec![config_map("settings", json!({})), service("web"), deployment("web")];
        let applied = stage.roll_out(objects).await;
        let removed = stage.prune(&applied).await.unwrap();
        let kinds: Vec<&str> = removed.iter().map(|object| object.kind.as_str()).collect();
        assert_eq!(kinds, ["Deployment", "Service", "ConfigMap"]);
        assert!(stage.get("apps/v1", "Deployment", "deployments", "web").await.is_null());
        let pods = stage.api("v1", "Pod", "pods").await.list(&Default::default()).await.unwrap();
        let left = pods.items.iter().filter(|p| p.metadata.deletion_timestamp.is_none()).count();
        assert_eq!(left, 0);
        // Again: nothing to do.
        assert_eq!(stage.prune(&applied).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn what_others_made_is_left_alone() {
    on_a_cluster(async |stage| {
        let applied = stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        let mut theirs = applied[0].clone();
        theirs.name = "theirs".to_owned();
        stage.apply_as("somebody", "configmaps", config_map("theirs", json!({}))).await;
        let removed = stage.prune(&[applied[0].clone(), theirs]).await.unwrap();
        assert_eq!(removed, applied);
        assert!(!stage.get("v1", "ConfigMap", "configmaps", "theirs").await.is_null());
        let lines = stage.lines();
        assert!(
            lines.iter().any(|l| l.contains("theirs is kept: deployd has not applied")),
            "{lines:#?}"
        );
    })
    .await;
}

#[tokio::test]
async fn annotations_decide() {
    on_a_cluster(async |stage| {
        let annotated = |mut object: serde_json::Value, wish: &str| {
            object["metadata"]["annotations"] = json!({"deployd.dev/prune": wish});
            object
        };
        let applied = stage
            .apply(vec![
                annotated(config_map("keep", json!({})), "keep"),
                claim("data"),
                annotated(claim("cache"), "delete"),
            ])
            .await
            .unwrap();
        let removed = stage.prune(&applied).await.unwrap();
        let names: Vec<&str> = removed.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["cache"]);
        assert!(!stage.get("v1", "ConfigMap", "configmaps", "keep").await.is_null());
        let claims = ("v1", "PersistentVolumeClaim", "persistentvolumeclaims");
        assert!(!stage.get(claims.0, claims.1, claims.2, "data").await.is_null());
    })
    .await;
}

#[tokio::test]
async fn what_is_held_by_a_finalizer_is_waited_for() {
    on_a_cluster(async |stage| {
        let applied = stage.apply(vec![config_map("held", json!({}))]).await.unwrap();
        let kind = ("v1", "ConfigMap", "configmaps");
        let finalizers = |list: serde_json::Value| json!({"metadata": {"finalizers": list}});
        stage.merge(kind, "held", finalizers(json!(["example.com/hold"]))).await;
        let pruning = stage.prune(&applied);
        let releasing = async {
            let leaving = async || {
                let held = stage.get(kind.0, kind.1, kind.2, "held").await;
                held["metadata"]["deletionTimestamp"].is_string()
            };
            stage.until(leaving).await;
            stage.merge(kind, "held", finalizers(json!(null))).await;
        };
        let (removed, ()) = tokio::join!(pruning, releasing);
        assert_eq!(removed.unwrap(), applied);
    })
    .await;
}

#[tokio::test]
async fn what_is_on_its_way_out_is_applied_after_it_is_gone() {
    on_a_cluster(async |stage| {
        let map = config_map("held", json!({"a": "1"}));
        stage.apply(vec![map.clone()]).await.unwrap();
        let kind = ("v1", "ConfigMap", "configmaps");
        let finalizers = |list: serde_json::Value| json!({"metadata": {"finalizers": list}});
        stage.merge(kind, "held", finalizers(json!(["example.com/hold"]))).await;
        let before = stage.get(kind.0, kind.1, kind.2, "held").await;
        stage.delete(kind.0, kind.1, kind.2, "held").await.unwrap();
        let applying = stage.apply(vec![map]);
        let releasing = async {
            stage.until_line("is being deleted; waiting").await;
            stage.merge(kind, "held", finalizers(json!(null))).await;
        };
        let (applied, ()) = tokio::join!(applying, releasing);
        applied.unwrap();
        let after = stage.get(kind.0, kind.1, kind.2, "held").await;
        assert!(after["metadata"]["uid"].is_string(), "{after}");
        assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
    })
    .await;
}
