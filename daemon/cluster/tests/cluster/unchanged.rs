//! Applying what is there already: not sent again, but looked at, so that what
//! others have changed is found.

use std::time::Duration;

use deployd_core::FaultClass;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::{Stage, on_a_cluster, on_a_simulated_cluster, on_the_practice_cluster};
use crate::things::{config_map, deployment, service, widgets};
use crate::wire::{Act, cut};

/// More of each kind than are applied one by one in any case.
fn objects() -> Vec<Value> {
    let secret = |name: String| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"password": "hunter2"}, "type": "Opaque"})
    };
    let role = |name: String| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": name}, "rules": [
                {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]})
    };
    let idle = |name: String| {
        let mut idle = deployment(&name);
        idle["spec"]["replicas"] = json!(0);
        let container = &mut idle["spec"]["template"]["spec"]["containers"][0];
        container["ports"] = json!([{"containerPort": 80}, {"containerPort": 81}]);
        container["env"] = json!([{"name": "POD", "valueFrom": {"fieldRef":
            {"fieldPath": "metadata.name"}}}, {"name": "A", "value": "1"}]);
        container["resources"] = json!({"requests": {"cpu": "100m", "memory": "64Mi"}});
        container["volumeMounts"] = json!([{"name": "scratch", "mountPath": "/scratch"}]);
        container["readinessProbe"] = json!({"httpGet": {"path": "/", "port": 80}});
        idle["spec"]["template"]["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
        idle
    };
    (0..5)
        .flat_map(|n| {
            [
                config_map(&format!("map-{n}"), json!({"a": "1", "b": "2"})),
                secret(format!("secret-{n}")),
                service(&format!("service-{n}")),
                role(format!("role-{n}")),
                idle(format!("idle-{n}")),
            ]
        })
        .collect()
}

fn said(stage: &Stage, part: &str) -> bool {
    stage.lines().iter().any(|line| line.contains(part))
}

#[tokio::test]
async fn nothing_is_sent_when_nothing_has_changed() {
    on_the_practice_cluster(async |stage, practice| {
        let first = stage.apply(objects()).await.unwrap();
        practice.forget_requests();
        stage.lines();
        assert_eq!(stage.apply(objects()).await.unwrap(), first);
        let seen = practice.requests();
        let sent: Vec<_> = seen.iter().filter(|request| request.method != "GET").collect();
        assert!(sent.is_empty(), "{sent:#?}");
        assert!(said(stage, "5 objects of kind Deployment unchanged"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn all_kinds_are_looked_at_together_however_far_the_cluster_is_away() {
    on_a_simulated_cluster(async |stage, wire| {
        let first = stage.apply(objects()).await.unwrap();
        stage.practiced().forget_requests();
        wire.rule(|_, _| Some(Act::Late(Duration::from_secs(1))));
        let begun = Instant::now();
        assert_eq!(stage.apply(objects()).await.unwrap(), first);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "five lists, one after the other: {took:?}");
        assert_eq!(stage.practiced().requests().len(), 5);
    })
    .await;
}

#[tokio::test]
async fn what_was_just_made_is_there_before_what_is_in_it_is_looked_at() {
    on_the_practice_cluster(async |stage, practice| {
        let namespace = format!("{}-more", stage.namespace());
        let (definition, widget) = widgets("example.com");
        let named = |object: &Value, n: usize| {
            let mut object = object.clone();
            object["metadata"]["name"] = json!(format!("object-{n}"));
            object["metadata"]["namespace"] = json!(namespace);
            object
        };
        let map = config_map("map", json!({"a": "1"}));
        let mut all: Vec<Value> =
            (0..6).flat_map(|n| [named(&map, n), named(&widget, n)]).collect();
        all.push(definition);
        all.push(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace}}));
        practice.forget_requests();
        let first = stage.apply(all.clone()).await.unwrap();
        assert_eq!(first.len(), 14);
        let lists = |practice: &deployd_practice::Practice| {
            practice
                .requests()
                .iter()
                .filter(|r| r.query.contains("limit=500") && r.query.contains("labelSelector"))
                .count()
        };
        assert_eq!(lists(practice), 0, "there is nothing in a namespace that was just made");
        practice.forget_requests();
        assert_eq!(stage.apply(all).await.unwrap(), first);
        let seen = practice.requests();
        let sent: Vec<_> = seen.iter().filter(|r| r.method == "PATCH").map(|r| &r.path).collect();
        assert_eq!(sent.len(), 2, "the namespace and the definition: {sent:?}");
        assert_eq!(lists(practice), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_cut_off_says_nothing() {
    on_a_simulated_cluster(async |stage, wire| {
        let map = |n| config_map(&format!("map-{n}"), json!({"a": "1"}));
        let maps = || (0..9).map(map).collect();
        stage.apply(maps()).await.unwrap();
        stage.practiced().forget_requests();
        // Most of its items can be read.
        wire.rule(|method, path| {
            let is_list = method == "GET" && path.contains("configmaps?");
            is_list.then(|| Act::Change(Box::new(|answer| cut(answer, 3_000))))
        });
        stage.apply(maps()).await.unwrap();
        let seen = stage.practiced().requests();
        assert_eq!(seen.iter().filter(|request| request.method == "PATCH").count(), 9);
    })
    .await;
}

#[tokio::test]
async fn only_what_has_changed_is_sent() {
    on_the_practice_cluster(async |stage, practice| {
        stage.apply(objects()).await.unwrap();
        practice.forget_requests();
        let mut changed = objects();
        changed[0]["data"] = json!({"a": "1"});
        changed[1]["stringData"]["password"] = json!("another");
        changed[4]["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"] = json!("2");
        stage.apply(changed).await.unwrap();
        let seen = practice.requests();
        let mut sent: Vec<&str> = seen
            .iter()
            .filter(|request| request.method != "GET")
            .filter_map(|request| request.path.rsplit('/').next())
            .collect();
        sent.sort_unstable();
        assert_eq!(sent, ["idle-0", "map-0", "secret-0"]);
        let map = stage.get("v1", "ConfigMap", "configmaps", "map-0").await;
        assert_eq!(map["data"], json!({"a": "1"}), "what is left out is taken away");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_left_out_of_a_secret_is_taken_away() {
    on_a_cluster(async |stage| {
        let secret = |data: Value| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
                "stringData": data})
        };
        stage.apply(vec![secret(json!({"a": "1", "b": "2"}))]).await.unwrap();
        stage.apply(vec![secret(json!({"a": "1"}))]).await.unwrap();
        let found = stage.get("v1", "Secret", "secrets", "s").await;
        assert_eq!(found["data"], json!({"a": "MQ=="}));
    })
    .await;
}

#[tokio::test]
async fn what_others_have_changed_is_found_and_repaired() {
    on_a_cluster(async |stage| {
        stage.apply(objects()).await.unwrap();
        let map = ("v1", "ConfigMap", "configmaps");
        stage.merge(map, "map-0", json!({"data": {"a": "theirs"}})).await;
        stage.merge(map, "map-1", json!({"data": {"a": null}})).await;
        stage.merge(map, "map-2", json!({"metadata": {"labels": null}})).await;
        stage.delete(map.0, map.1, map.2, "map-3").await.unwrap();
        stage.merge(map, "map-4", json!({"data": {"theirs": "1"}})).await;
        let image = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image",
            "value": "theirs:1"}]);
        let idle = stage.api("apps/v1", "Deployment", "deployments").await;
        let patch: kube::api::Patch<()> =
            kube::api::Patch::Json(serde_json::from_value(image).unwrap());
        idle.patch("idle-0", &Default::default(), &patch).await.unwrap();

        // Values of others are theirs until we are told to take them over.
        let fault = stage.apply(objects()).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Conflict, "field-conflict"));
        stage.apply_with(objects(), true).await.unwrap();

        let data = async |name: &str| stage.get(map.0, map.1, map.2, name).await["data"].clone();
        for name in ["map-0", "map-1", "map-2", "map-3"] {
            assert_eq!(data(name).await, json!({"a": "1", "b": "2"}), "{name}");
        }
        // What nobody asked us about is not ours.
        assert_eq!(data("map-4").await, json!({"a": "1", "b": "2", "theirs": "1"}));
        let labelled = stage.get(map.0, map.1, map.2, "map-2").await;
        assert_eq!(labelled["metadata"]["labels"]["app.kubernetes.io/managed-by"], "deployd");
        let idle = stage.get("apps/v1", "Deployment", "deployments", "idle-0").await;
        assert_ne!(idle["spec"]["template"]["spec"]["containers"][0]["image"], "theirs:1");
    })
    .await;
}

#[tokio::test]
async fn who_may_not_list_applies_one_by_one() {
    on_the_practice_cluster(async |stage, practice| {
        stage.apply(objects()).await.unwrap();
        let lists = deployd_practice::RequestMatch::any().method("GET").path("limit=");
        practice.faults().always(lists, deployd_practice::Fault::Forbidden);
        stage.apply(objects()).await.unwrap();
    })
    .await;
}
