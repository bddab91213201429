//! How often one identity may ask.

use std::time::Duration;

use deployd_core::rate::Rate;
use deployd_core::views::TokenScope;
use http::Method;
use serde_json::json;

use super::stage::{HOOK, Stage};
use crate::Options;
use crate::rates::Rates;

/// Three at once, and no more in the time that a test takes.
fn rarely() -> Options {
    let rate = Some(Rate { at_once: 3, each: Duration::from_secs(1_000) });
    Options { rates: Rates { requests: rate, deliveries: rate }, ..Options::default() }
}

#[tokio::test]
async fn each_identity_is_counted_alone() {
    let stage = Stage::with(rarely()).await;
    let who = |scope| stage.ask(Method::GET, "/v1/whoami").scope(scope);
    for _ in 0..3 {
        who(TokenScope::Read).send().await.is(200, "");
    }
    let refused = who(TokenScope::Read).send().await.is(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "1000");
    who(TokenScope::Ci).send().await.is(200, "");

    // Nobody is known by a wrong token, and by none.
    let nobody = || stage.ask(Method::GET, "/v1/whoami");
    let wrong = || nobody().header("authorization", "Bearer dpl_wrong");
    wrong().send().await.is(401, "unauthenticated");
    nobody().send().await.is(401, "unauthenticated");
    stage.ask(Method::GET, "/openapi.json").send().await.is(200, "");
    wrong().send().await.is(429, "rate-limited");
    nobody().send().await.is(429, "rate-limited");
    stage.ask(Method::GET, "/openapi.json").send().await.is(429, "rate-limited");
    who(TokenScope::Ci).send().await.is(200, "");
    // Whoever restarts a daemon that does not answer asks as often as they like.
    for _ in 0..5 {
        stage.ask(Method::GET, "/healthz").send().await.is(200, "");
        stage.ask(Method::GET, "/readyz").send().await.is(200, "");
    }
}

#[tokio::test]
async fn deliveries_are_counted_apart_from_what_is_asked() {
    let stage = Stage::with(rarely()).await;
    stage.apply(&[("hook.yaml", HOOK)]).await.is(200, "");
    for _ in 0..3 {
        stage.ask(Method::GET, "/openapi.json").send().await.is(200, "");
    }
    for _ in 0..3 {
        stage.delivered("wrong", &json!([])).await.is(503, "unavailable");
    }
    stage.delivered("wrong", &json!([])).await.is(429, "rate-limited");
}
