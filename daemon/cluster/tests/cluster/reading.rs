//! Objects are read as they are, but for the values of Secrets.

use deployd_core::ports::{Cluster, ObjectRef};
use serde_json::{Value, json};

use crate::stage::{on_a_cluster, on_a_simulated_cluster};
use crate::things::{config_map, widgets};
use crate::wire::Act;

fn reference(version: &str, kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: version.to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn objects_are_read_in_the_order_that_was_asked_for() {
    on_a_cluster(async |stage| {
        let group = format!("{}.example.com", stage.namespace());
        let (definition, widget) = widgets(&group);
        let widget_version = widget["apiVersion"].as_str().unwrap().to_owned();
        let map = config_map("map", json!({"a": "1"}));
        stage.apply(vec![definition, widget, map]).await.unwrap();
        let (own, elsewhere) = (reference("v1", "ConfigMap", "map"), "default".to_owned());
        let objects = [
            reference(&widget_version, "Widget", "one"),
            reference("v1", "ConfigMap", "none"),
            ObjectRef { namespace: Some(elsewhere), ..own.clone() },
            own,
            reference("unheard.example.com/v1", "Gadget", "one"),
            reference(&widget_version, "Gadget", "one"),
            reference("v1", "Namespace", stage.namespace()),
        ];
        let found = stage.cluster.read(&stage.target, &objects).await.unwrap();
        assert_eq!(found.len(), objects.len());
        let there: Vec<bool> = found.iter().map(Option::is_some).collect();
        assert_eq!(there, [true, false, false, true, false, false, true]);
        let of = |place: usize, pointer: &str| {
            found[place].as_ref().unwrap().pointer(pointer).cloned().unwrap_or(Value::Null)
        };
        assert_eq!(of(0, "/spec/size"), 1);
        assert_eq!((of(3, "/data/a"), of(3, "/kind")), (json!("1"), json!("ConfigMap")));
        assert!(of(3, "/metadata/uid").is_string(), "what the server adds is there as well");
        assert_eq!(of(6, "/status/phase"), "Active");
    })
    .await;
}

#[tokio::test]
async fn i16_values_of_secrets_are_left_out_when_they_are_read() {
    on_a_cluster(async |stage| {
        let value = "canary-5a1e7-value";
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db",
            "labels": {"team": "shop"}, "annotations": {"note": "kept",
                "kubectl.kubernetes.io/last-applied-configuration": value}},
            "data": {"binary": "Y2FuYXJ5LTVhMWU3LXZhbHVl"}, "stringData": {"text": value}});
        stage.apply(vec![secret]).await.unwrap();
        let objects = [reference("v1", "Secret", "db")];
        let found = stage.cluster.read(&stage.target, &objects).await.unwrap();
        let said = format!("{found:?}");
        assert!(!said.contains("canary") && !said.contains("Y2FuYXJ5"), "{said}");
        let found = found[0].as_ref().unwrap();
        assert_eq!(found["metadata"]["labels"]["team"], "shop");
        assert_eq!(found["metadata"]["annotations"]["note"], "kept");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_read_is_a_fault_and_not_missing() {
    on_a_simulated_cluster(async |stage, wire| {
        stage.apply(vec![config_map("map", json!({}))]).await.unwrap();
        wire.rule(|_, path| {
            let refused = json!({"kind": "Status", "code": 403, "reason": "Forbidden",
                "message": "configmaps \"map\" is forbidden"});
            path.ends_with("/map").then(|| Act::Status(403, refused))
        });
        let objects = [reference("v1", "ConfigMap", "map")];
        let fault = stage.cluster.read(&stage.target, &objects).await.unwrap_err();
        assert!(fault.message.contains("is forbidden"), "{fault:?}");
        wire.rule(|_, _| Some(Act::Refuse(std::io::ErrorKind::ConnectionRefused)));
        let fault = stage.cluster.read(&stage.target, &objects).await.unwrap_err();
        assert_eq!((fault.code.as_str(), fault.is_transient()), ("cluster-unreachable", true));
    })
    .await;
}
