//! Pods that misbehave, and their logs.

use deployd_practice::{Behaviour, Objects, PodMatch};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams, PostParams};
use serde_json::{Value, json};

use crate::stage::{GUARD, Stage, condition, pod, read, refusal};

fn status(objects: Objects<'_>, name: &str) -> Value {
    objects.get("pods", "a", name).map_or(Value::Null, |pod| pod["status"].clone())
}

fn waiting(objects: Objects<'_>, name: &str) -> String {
    let reason = &status(objects, name)["containerStatuses"][0]["state"]["waiting"]["reason"];
    reason.as_str().unwrap_or_default().to_owned()
}

async fn create(stage: &Stage, object: Value) -> Api<Pod> {
    let api = Api::<Pod>::namespaced(stage.client.clone(), "a");
    api.create(&PostParams::default(), &read(object)).await.unwrap();
    api
}

#[tokio::test]
async fn a_crash_loop() {
    let stage = Stage::with_namespace("a").await;
    let api = create(&stage, pod("crash", "registry.test/practice/crash-loop:1")).await;
    stage
        .wait("a crash loop", |o| {
            waiting(o, "crash") == "CrashLoopBackOff"
                && status(o, "crash")["containerStatuses"][0]["restartCount"].as_u64() >= Some(1)
        })
        .await;
    let found = status(stage.practice.objects(), "crash");
    let last = &found["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(1), &json!("Error")));
    assert_eq!(found["phase"], "Running");
    let params = LogParams { previous: true, ..LogParams::default() };
    let log = api.logs("crash", &params).await.unwrap();
    assert!(log.contains("fatal: cannot start"), "{log}");
    let events = stage.practice.objects().events("a", "crash");
    assert!(events.iter().any(|(reason, message)| reason == "BackOff"
        && message.starts_with("Back-off restarting failed container app in pod crash_a(")));
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled() {
    let stage = Stage::with_namespace("a").await;
    stage.practice.behaviours().set(
        PodMatch::any().namespace("a").label("tier", "web"),
        Behaviour::ImagePullError { message: "denied".to_owned() },
    );
    let mut object = pod("pull", "registry.test/shop:9");
    object["metadata"]["labels"] = json!({"tier": "web"});
    let api = create(&stage, object).await;
    stage.wait("a back-off", |o| waiting(o, "pull") == "ImagePullBackOff").await;
    assert_eq!(status(stage.practice.objects(), "pull")["phase"], "Pending");
    let events = stage.practice.objects().events("a", "pull");
    assert!(events.iter().any(|(reason, message)| reason == "Failed"
        && message.contains("Failed to pull image \"registry.test/shop:9\"")
        && message.ends_with("denied")));
    let refused = refusal(api.logs("pull", &LogParams::default()).await);
    assert_eq!(
        refused.message,
        "container \"app\" in pod \"pull\" is waiting to start: trying and failing to pull image"
    );
    stage.practice.behaviours().clear();
    stage.wait("ready once the image is there", |o| status(o, "pull")["phase"] == "Running").await;
}

#[tokio::test]
async fn a_pod_that_no_node_takes() {
    let stage = Stage::with_namespace("a").await;
    create(&stage, pod("big", "practice/unschedulable")).await;
    stage
        .wait("unschedulable", |o| {
            o.get("pods", "a", "big").is_some_and(|pod| {
                condition(&pod, "PodScheduled")
                    == Some(("False".to_owned(), "Unschedulable".to_owned()))
            })
        })
        .await;
    let events = stage.practice.objects().events("a", "big");
    assert_eq!(events[0].0, "FailedScheduling");
    assert!(events[0].1.starts_with("0/1 nodes are available: "));
    let mut picky = pod("picky", "x:1");
    picky["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    create(&stage, picky).await;
    stage
        .wait("unschedulable by selector", |o| {
            o.events("a", "picky")
                .iter()
                .any(|(_, message)| message.contains("didn't match Pod's node affinity/selector"))
        })
        .await;
}

#[tokio::test]
async fn a_missing_secret_keeps_a_pod_from_starting() {
    let stage = Stage::with_namespace("a").await;
    let mut object = pod("needy", "x:1");
    object["spec"]["containers"][0]["env"] = json!([{"name": "KEY",
        "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}}]);
    create(&stage, object).await;
    stage
        .wait("a configuration error", |o| waiting(o, "needy") == "CreateContainerConfigError")
        .await;
    let secrets = stage.any("", "v1", "Secret", "a");
    let secret = read(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "keys"}, "stringData": {"key": "x"}}));
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    stage.wait("running", |o| status(o, "needy")["phase"] == "Running").await;
}

#[tokio::test]
async fn init_containers_run_first_and_logs_are_followed() {
    let stage = Stage::with_namespace("a").await;
    let mut object = pod("two", "x:1");
    object["spec"]["initContainers"] = json!([{"name": "first", "image": "y:1"}]);
    let api = create(&stage, object).await;
    stage.wait("running", |o| status(o, "two")["phase"] == "Running").await;
    let found = status(stage.practice.objects(), "two");
    assert_eq!(found["initContainerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    let params = LogParams { follow: true, tail_lines: Some(1), ..LogParams::default() };
    let mut lines = api.log_stream("two", &params).await.unwrap().lines();
    let first = lines.try_next().await.unwrap().unwrap();
    assert!(first.ends_with("listening on port 8080"), "{first}");
    api.delete("two", &kube::api::DeleteParams::default()).await.unwrap();
    let rest = tokio::time::timeout(GUARD, lines.try_collect::<Vec<_>>()).await;
    let rest = rest.unwrap().unwrap();
    assert!(rest[0].contains("received SIGTERM"), "{rest:?}");
    let refused = refusal(
        api.logs("two", &LogParams { container: Some("nope".to_owned()), ..LogParams::default() })
            .await,
    );
    assert!([400, 404].contains(&refused.code));
}
