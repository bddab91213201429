//! Faults that a test asks for.

use std::time::{Duration, Instant};

use deployd_practice::{Fault, RequestMatch};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use crate::stage::{Stage, read, refusal};

#[tokio::test]
async fn a_fault_strikes_as_often_as_asked() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let posts = RequestMatch::any().method("POST").path("/configmaps");
    let faults = stage.practice.faults();
    faults.inject(posts.clone(), Fault::InternalError, 1);
    faults.inject(posts, Fault::Conflict, 1);
    let object = read(json!({"metadata": {"name": "x"}}));
    let params = PostParams::default();
    assert_eq!(refusal(api.create(&params, &object).await).code, 500);
    assert_eq!(refusal(api.create(&params, &object).await).reason, "Conflict");
    api.create(&params, &object).await.unwrap();
    let seen: Vec<u16> = stage
        .practice
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST" && request.path.ends_with("/configmaps"))
        .map(|request| request.status)
        .collect();
    assert_eq!(seen, [500, 409, 201]);
}

#[tokio::test]
async fn latency_delays_and_lets_pass() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let wait = Duration::from_millis(60);
    let faults = stage.practice.faults();
    faults.inject(RequestMatch::any(), Fault::Latency(wait), 1);
    let begin = Instant::now();
    api.list(&ListParams::default()).await.unwrap();
    assert!(begin.elapsed() >= wait);
}

#[tokio::test]
async fn the_api_goes_away_and_comes_back() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    api.list(&ListParams::default()).await.unwrap();
    stage.practice.faults().go_away();
    let address = stage.practice.url().replace("http://", "");
    // The listener closes a moment later.
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(api.list(&ListParams::default()).await.is_err());
    stage.practice.faults().come_back();
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        tokio::task::yield_now().await;
    }
    api.list(&ListParams::default()).await.unwrap();
}
