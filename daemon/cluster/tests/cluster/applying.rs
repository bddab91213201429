//! Server-side apply.

use deployd_core::FaultClass;
use serde_json::json;

use crate::stage::on_a_cluster;
use crate::things::{config_map, deployment, service, widgets};

#[tokio::test]
async fn objects_go_in_order_and_are_marked() {
    on_a_cluster(async |stage| {
        let objects = vec![
            deployment("web"),
            service("web"),
            config_map("settings", json!({"a": "1"})),
            stage.namespace_object(),
        ];
        let applied = stage.apply(objects.clone()).await.unwrap();
        let kinds: Vec<&str> = applied.iter().map(|object| object.kind.as_str()).collect();
        assert_eq!(kinds, ["Namespace", "ConfigMap", "Service", "Deployment"]);
        assert_eq!(applied[0].namespace, None);
        assert_eq!(applied[1].namespace.as_deref(), Some(stage.namespace()));
        let found = stage.get("v1", "ConfigMap", "configmaps", "settings").await;
        assert_eq!(found["metadata"]["labels"]["app.kubernetes.io/managed-by"], "deployd");
        assert_eq!(found["metadata"]["managedFields"][0]["manager"], "deployd");
        // The same again changes nothing.
        stage.apply(objects).await.unwrap();
        let again = stage.get("v1", "ConfigMap", "configmaps", "settings").await;
        assert_eq!(again["metadata"]["resourceVersion"], found["metadata"]["resourceVersion"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_left_out_is_taken_away() {
    on_a_cluster(async |stage| {
        stage.apply(vec![config_map("a", json!({"x": "1", "y": "2"}))]).await.unwrap();
        stage.apply(vec![config_map("a", json!({"x": "1"}))]).await.unwrap();
        let found = stage.get("v1", "ConfigMap", "configmaps", "a").await;
        assert_eq!(found["data"], json!({"x": "1"}));
    })
    .await;
}

#[tokio::test]
async fn conflicts_name_fields_and_owners() {
    on_a_cluster(async |stage| {
        stage.apply_as("somebody", "configmaps", config_map("a", json!({"x": "1"}))).await;
        stage.apply_as("another", "configmaps", config_map("b", json!({"x": "1"}))).await;
        let ours = vec![config_map("a", json!({"x": "2"})), config_map("b", json!({"x": "2"}))];
        let fault = stage.apply(ours.clone()).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Conflict, "field-conflict"));
        assert!(fault.message.contains(".data.x"), "{}", fault.message);
        assert!(fault.message.contains("\"somebody\""), "{}", fault.message);
        let conflicts = fault.detail["conflicts"].as_array().unwrap();
        assert_eq!(conflicts.len(), 2, "{conflicts:#?}");
        assert_eq!(conflicts[0]["object"]["name"], "a");
        assert_eq!(conflicts[0]["field"], ".data.x");
        assert_eq!(conflicts[1]["manager"], "another");

        stage.apply_with(ours, true).await.unwrap();
        let found = stage.get("v1", "ConfigMap", "configmaps", "a").await;
        assert_eq!(found["data"]["x"], "2");
    })
    .await;
}

#[tokio::test]
async fn invalid_fields_are_named() {
    on_a_cluster(async |stage| {
        let mut wrong = deployment("web");
        wrong["spec"]["replicas"] = json!(-1);
        let fault = stage.apply(vec![wrong]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Invalid, "object-invalid"));
        assert!(fault.message.contains("spec.replicas"), "{}", fault.message);
        assert_eq!(fault.detail["causes"][0]["field"], "spec.replicas", "{fault:?}");
        assert_eq!(fault.detail["object"]["name"], "web");
    })
    .await;
}

#[tokio::test]
async fn unknown_fields_are_refused() {
    on_a_cluster(async |stage| {
        let mut wrong = deployment("web");
        wrong["spec"]["replicsa"] = json!(1);
        let fault = stage.apply(vec![wrong]).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Invalid, "{fault:?}");
        assert!(fault.message.contains("replicsa"), "{}", fault.message);
    })
    .await;
}

#[tokio::test]
async fn immutable_fields_say_what_to_do() {
    on_a_cluster(async |stage| {
        stage.apply(vec![deployment("web")]).await.unwrap();
        let mut other = deployment("web");
        other["spec"]["selector"] = json!({"matchLabels": {"app": "web", "tier": "x"}});
        other["spec"]["template"]["metadata"]["labels"]["tier"] = json!("x");
        let fault = stage.apply(vec![other]).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Invalid, "{fault:?}");
        assert!(fault.message.contains("give the new one another name"), "{}", fault.message);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_kind_is_found_before_anything_is_applied() {
    on_a_cluster(async |stage| {
        let widget = json!({"apiVersion": "nowhere.example.com/v1", "kind": "Widget",
            "metadata": {"name": "a"}});
        let objects = vec![config_map("first", json!({})), widget];
        let fault = stage.apply(objects).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Invalid, "unknown-kind"));
        assert!(fault.message.contains("nowhere.example.com/v1/Widget"), "{}", fault.message);
        assert!(fault.message.contains("Install"), "{}", fault.message);
        assert!(stage.get("v1", "ConfigMap", "configmaps", "first").await.is_null());
    })
    .await;
}

#[tokio::test]
async fn a_definition_and_its_objects_go_together() {
    on_a_cluster(async |stage| {
        let group = format!("{}.example.com", stage.namespace());
        let (definition, widget) = widgets(&group);
        let applied = stage.roll_out(vec![widget, definition]).await;
        assert_eq!(applied[0].kind, "CustomResourceDefinition");
        assert_eq!(applied[1].kind, "Widget");
        assert_eq!(applied[1].namespace.as_deref(), Some(stage.namespace()));
        let removed = stage.prune(&applied).await.unwrap();
        assert_eq!(removed.len(), 2);
        // Its kind is gone, so is the object: nothing left to do.
        assert_eq!(stage.prune(&applied[1..]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_missing_namespace_is_named() {
    on_a_cluster(async |stage| {
        let mut lost = config_map("a", json!({}));
        lost["metadata"]["namespace"] = json!("deployd-test-nowhere");
        let fault = stage.apply(vec![lost]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Invalid, "namespace-missing"));
    })
    .await;
}

#[tokio::test]
async fn many_objects() {
    on_a_cluster(async |stage| {
        let objects: Vec<_> = (0..120)
            .map(|n| config_map(&format!("m-{n:03}"), json!({"n": n.to_string()})))
            .collect();
        let applied = stage.roll_out(objects).await;
        let names: Vec<&str> = applied.iter().map(|object| object.name.as_str()).collect();
        assert!(names.is_sorted());
        assert_eq!(stage.prune(&applied).await.unwrap().len(), 120);
    })
    .await;
}

#[tokio::test]
async fn quotas_are_in_force_before_workloads() {
    on_a_cluster(async |stage| {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}});
        stage.roll_out(vec![deployment("web"), quota]).await;
        let quota = stage.get("v1", "ResourceQuota", "resourcequotas", "q").await;
        assert_eq!(quota["status"]["hard"]["pods"], "5");
    })
    .await;
}
