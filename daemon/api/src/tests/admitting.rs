//! What admission does around operations: time, panics, room.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::stage::Stage;
use crate::access::Access;
use crate::answer::Done;
use crate::api::Api;
use crate::asked::Asked;
use crate::limits::{LARGE_BODIES_MAX, PLUGIN_BYTES_MAX, STREAMS_MAX};
use crate::operation::{Operation, Operations, Verb};
use crate::problem::Problem;

/// Operations that hang until they are told, one that reads and one that
/// writes, and one that panics.
fn misbehaving(api: &Api, go_on: &Arc<Notify>, done: &Arc<Notify>) -> Router {
    let hang = |done: Arc<Notify>| {
        let go_on = go_on.clone();
        move |_: Api, _: Asked| {
            let (go_on, done) = (go_on.clone(), done.clone());
            async move {
                go_on.notified().await;
                done.notify_one();
                Ok::<_, Box<Problem>>(Done)
            }
        }
    };
    let read = Operation::new(Verb::Get, "/hang", Access::Open, "read", "");
    let write = Operation::new(Verb::Post, "/hang", Access::Open, "write", "");
    let panics = Operation::new(Verb::Get, "/panic", Access::Open, "panics", "");
    let panics_writing = Operation::new(Verb::Put, "/panic", Access::Open, "panicsWriting", "");
    async fn panic(_: Api, _: Asked) -> Result<Done, Box<Problem>> {
        panic!("something inside")
    }
    let operations = Operations::new()
        .add(read, hang(Arc::default()))
        .add(write, hang(done.clone()))
        .add(panics, panic)
        .add(panics_writing, panic);
    crate::routes::assemble(api.clone(), operations)
}

async fn send(router: &Router, method: Method, path: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn time_runs_out_and_writes_go_on() {
    let stage = Stage::empty().await;
    let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = misbehaving(&stage.api, &go_on, &done);
    let (status, problem) = send(&router, Method::GET, "/hang").await;
    assert_eq!((status, &problem["code"]), (503, &json!("timed-out")));
    let (status, problem) = send(&router, Method::POST, "/hang").await;
    assert_eq!((status, &problem["code"]), (503, &json!("timed-out")));
    assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"));
    go_on.notify_waiters();
    done.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_outlives_its_client() {
    let stage = Stage::empty().await;
    let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = misbehaving(&stage.api, &go_on, &done);
    let second = Duration::from_secs(1);
    // The client goes away.
    let gone = tokio::time::timeout(second, send(&router, Method::POST, "/hang")).await;
    assert!(gone.is_err());
    go_on.notify_waiters();
    done.notified().await;
}

#[tokio::test]
async fn a_panic_is_a_problem_without_details() {
    let stage = Stage::empty().await;
    let router = misbehaving(&stage.api, &Arc::default(), &Arc::default());
    for method in [Method::GET, Method::PUT] {
        let (status, problem) = send(&router, method, "/panic").await;
        assert_eq!((status, &problem["code"]), (500, &json!("internal")));
        assert!(!problem.to_string().contains("something inside"));
    }
}

#[tokio::test]
async fn nothing_runs_without_admission() {
    let stage = Stage::empty().await;
    // The routes alone, without the layers: a mistake that must not open a door.
    let (router, _, _) = crate::routes::operations(false).finish();
    let router = router.with_state(stage.api.clone());
    let (status, problem) = send(&router, Method::GET, "/v1/tokens").await;
    assert_eq!((status, &problem["code"]), (500, &json!("internal")));
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let stage = Stage::shop().await;
    let id = stage.deployed().await;
    let events = format!("/v1/deployments/{id}/events");
    let shared = stage.api.shared();
    assert_eq!(shared.streams.available_permits(), STREAMS_MAX);
    let all = shared.streams.acquire_many(STREAMS_MAX as u32).await.unwrap();
    let got = stage.get(&events).send().await.is(503, "busy");
    assert_eq!(got.header("retry-after"), "2");
    drop(all);
    stage.get(&events).send().await.is(200, "");

    let _all = shared.large_bodies.acquire_many(LARGE_BODIES_MAX as u32).await.unwrap();
    let large = || vec![b' '; crate::limits::BODY_BYTES_MAX + 1];
    stage.post("/v1/plugins").body(large()).send().await.is(503, "busy");
    // Small ones are not in their way.
    stage.post("/v1/plugins").body("{}").send().await.is(415, "unsupported-media-type");
    let too_large = vec![b' '; PLUGIN_BYTES_MAX + 1];
    stage.post("/v1/plugins").body(too_large).send().await.is(413, "body-too-large");
}
