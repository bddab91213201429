//! Deployments on their way.

use deployd_practice::{Behaviour, PodMatch};
use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;

use crate::stage::{GUARD, Stage, condition, deployment, is_rolled_out, read};

#[tokio::test]
async fn a_deployment_becomes_ready_and_a_watch_sees_it() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let params = PatchParams::apply("one");
    let config = deployment("shop", "shop:1", 3);
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    let done = await_condition(api.clone(), "shop", conditions::is_deployment_completed());
    tokio::time::timeout(GUARD, done).await.unwrap().unwrap();
    stage.wait("rolled out", |o| is_rolled_out(o, "a", "shop")).await;
    let objects = stage.practice.objects();
    let found = objects.get("deployments.apps", "a", "shop").unwrap();
    assert_eq!(
        condition(&found, "Available").unwrap(),
        ("True".to_owned(), "MinimumReplicasAvailable".to_owned())
    );
    assert_eq!(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    let events = objects.events("a", "shop");
    assert_eq!(events[0].0, "ScalingReplicaSet");
    let sets = objects.list("replicasets.apps", "a");
    let hash = sets[0]["metadata"]["labels"]["pod-template-hash"].as_str().unwrap();
    assert_eq!(sets[0]["metadata"]["name"], format!("shop-{hash}"));
    let pods = objects.list("pods", "a");
    assert!(
        pods[0]["status"]["containerStatuses"][0]["imageID"]
            .as_str()
            .unwrap()
            .starts_with("shop@sha256:")
    );
}

#[tokio::test]
async fn a_rolling_update_keeps_within_its_bounds() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let params = PatchParams::apply("one");
    let mut config = deployment("shop", "shop:1", 4);
    config["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}});
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    stage.wait("rolled out", |o| is_rolled_out(o, "a", "shop")).await;
    let deployments = watcher(api.clone(), watcher::Config::default()).applied_objects();
    config["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop:2");
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    let watch = async {
        let mut deployments = std::pin::pin!(deployments);
        while let Some(found) = deployments.try_next().await.unwrap() {
            let status = found.status.unwrap_or_default();
            let available = status.available_replicas.unwrap_or_default();
            let total = status.replicas.unwrap_or_default();
            assert!(available >= 3, "{available} available");
            assert!(total <= 5, "{total} in all");
            if status.observed_generation == Some(2)
                && status.updated_replicas == Some(4)
                && total == 4
                && available == 4
            {
                return;
            }
        }
    };
    tokio::time::timeout(GUARD, watch).await.unwrap();
    let objects = stage.practice.objects();
    let sets = objects.list("replicasets.apps", "a");
    assert_eq!(sets.len(), 2);
    let found = objects.get("deployments.apps", "a", "shop").unwrap();
    assert_eq!(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");

    // Back to the first template: its replica set is used again.
    config["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop:1");
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    stage.wait("rolled back", |o| is_rolled_out(o, "a", "shop")).await;
    let found = objects.get("deployments.apps", "a", "shop").unwrap();
    assert_eq!(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    assert_eq!(objects.list("replicasets.apps", "a").len(), 2);
}

#[tokio::test]
async fn a_rollout_that_stalls_exceeds_its_deadline() {
    let stage = Stage::with_namespace("a").await;
    stage.practice.behaviours().set(PodMatch::any().image("shop:2"), Behaviour::NeverReady);
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let params = PatchParams::apply("one");
    let mut config = deployment("shop", "shop:1", 2);
    config["spec"]["progressDeadlineSeconds"] = json!(1);
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    stage.wait("rolled out", |o| is_rolled_out(o, "a", "shop")).await;
    config["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop:2");
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    stage
        .wait("deadline exceeded", |o| {
            let found = o.get("deployments.apps", "a", "shop").unwrap();
            condition(&found, "Progressing")
                == Some(("False".to_owned(), "ProgressDeadlineExceeded".to_owned()))
        })
        .await;
    let found = stage.practice.objects().get("deployments.apps", "a", "shop").unwrap();
    assert_eq!(found["status"]["availableReplicas"], 2);

    // The rule changes, the pods become ready, the rollout goes on.
    stage.practice.behaviours().clear();
    stage.wait("rolled out after all", |o| is_rolled_out(o, "a", "shop")).await;
}

#[tokio::test]
async fn recreate_removes_before_it_makes() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<Deployment>::namespaced(stage.client.clone(), "a");
    let params = PatchParams::apply("one");
    let mut config = deployment("shop", "shop:1", 2);
    config["spec"]["strategy"] = json!({"type": "Recreate"});
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    stage.wait("rolled out", |o| is_rolled_out(o, "a", "shop")).await;
    config["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop:2");
    api.patch("shop", &params, &Patch::Apply(&config)).await.unwrap();
    stage
        .wait("rolled out anew", |o| {
            let pods = o.list("pods", "a");
            let of = |image: &str| {
                pods.iter().filter(|pod| pod["spec"]["containers"][0]["image"] == image).count()
            };
            assert!(of("shop:1") == 0 || of("shop:2") == 0);
            is_rolled_out(o, "a", "shop") && of("shop:2") == 2
        })
        .await;
}

#[tokio::test]
async fn stateful_sets_daemon_sets_and_jobs() {
    let stage = Stage::with_namespace("a").await;
    let template = |policy: &str| {
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": policy,
            "containers": [{"name": "app", "image": "x:1"}]}})
    };
    let params = PatchParams::apply("one");
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    let objects = [
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
            "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"a": "b"}},
                "template": template("Always"), "volumeClaimTemplates": [claim]}}),
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template("Always")}}),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "task"},
            "spec": {"completions": 2, "template": {"spec": template("Never")["spec"]}}}),
    ];
    for object in objects {
        let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
        let api = stage.any(group, version, object["kind"].as_str().unwrap(), "a");
        let name = object["metadata"]["name"].as_str().unwrap();
        api.patch(name, &params, &Patch::Apply(&object)).await.unwrap();
    }
    stage
        .wait("the stateful set ready", |o| {
            let found = o.get("statefulsets.apps", "a", "db").unwrap();
            found["status"]["readyReplicas"] == 2
                && o.get("pods", "a", "db-0").is_some()
                && o.get("pods", "a", "db-1").is_some()
                && o.get("persistentvolumeclaims", "a", "data-db-1").is_some()
        })
        .await;
    stage
        .wait("the daemon set ready", |o| {
            o.get("daemonsets.apps", "a", "agent").unwrap()["status"]["numberReady"] == 1
        })
        .await;
    stage
        .wait("the job complete", |o| {
            let found = o.get("jobs.batch", "a", "task").unwrap();
            condition(&found, "Complete").is_some() && found["status"]["succeeded"] == 2
        })
        .await;
}

#[tokio::test]
async fn what_a_quota_refuses_does_not_keep_others_waiting() {
    let stage = Stage::with_namespace("a").await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"pods": "0"}}});
    let created = stage.any("", "v1", "ResourceQuota", "a");
    created.create(&PostParams::default(), &read(quota)).await.unwrap();
    let deployments = stage.any("apps", "v1", "Deployment", "a");
    let over = deployment("web", "nginx", 2);
    deployments.create(&PostParams::default(), &read(over)).await.unwrap();
    stage
        .wait("the deployment's refusal", |objects| {
            objects.get("deployments.apps", "a", "web").is_some_and(|found| {
                condition(&found, "ReplicaFailure").is_some_and(|(_, why)| why == "FailedCreate")
            })
        })
        .await;
    let mut set = deployment("db", "postgres", 1);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("db");
    let sets = stage.any("apps", "v1", "StatefulSet", "a");
    sets.create(&PostParams::default(), &read(set)).await.unwrap();
    stage
        .wait("the stateful set's turn", |objects| {
            let told = objects.events("a", "db");
            objects
                .get("statefulsets.apps", "a", "db")
                .is_some_and(|found| found["status"]["observedGeneration"] == 1)
                && told.iter().any(|(reason, _)| reason == "FailedCreate")
        })
        .await;
}
