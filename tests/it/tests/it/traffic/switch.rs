//! Blue and green, and back, under load: no request fails.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::clients::{Clients, Told};
use super::{Checks, Shop};
use crate::rollouts::{Health, run};
use crate::stage::ENVIRONMENT;

/// Clients at a time.
const CLIENTS: usize = 4;

/// Requests that show who answers: many for each client.
const ENOUGH: u64 = 400;

/// Nothing has failed, and nobody else has answered; some requests were answered
/// by each.
#[track_caller]
fn answered_by(told: &Told, versions: &[&str]) {
    assert!(told.failed.is_empty(), "{} failed: {:?}", told.failed.len(), told.failed.first());
    let found: Vec<&str> = told.versions.keys().map(String::as_str).collect();
    assert_eq!(found, versions, "{told:?}");
}

/// Switches, switches back when a check fails, and when a person wants it.
async fn there_and_back(shop: Shop) {
    let health = Health::start().await;
    let stage = &shop.stage;
    let checks = |url: &str| Checks {
        plugin: "http",
        port: health.port,
        checks: json!({"healthy": {
            "plugin": "http", "config": {"url": url}, "intervalMs": 100, "count": 3,
        }}),
        afterwards: None,
    };
    let url = format!("http://127.0.0.1:{}/healthz", health.port);
    shop.rolls_out("blue-green", &json!({"after": ["healthy"]}), &checks(&url)).await;
    stage.deployed('1').await;
    let clients = Clients::start(CLIENTS, shop.gateway.address);
    clients.settled("1").await;
    answered_by(&clients.next(ENOUGH).await, &["1"]);

    // There.
    stage.deployed('2').await;
    answered_by(&clients.turn(), &["1", "2"]);
    answered_by(&clients.next(ENOUGH).await, &["2"]);

    // There, and back because of a check.
    health.well.store(false, Ordering::Relaxed);
    let id = stage.announce('3').await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(record["fault"]["code"], "checks-failed", "{record:#}");
    answered_by(&clients.turn(), &["2", "3"]);
    answered_by(&clients.next(ENOUGH).await, &["2"]);

    // There, and back because a person says so.
    health.well.store(true, Ordering::Relaxed);
    let config = json!({"after": ["healthy"], "scale_down_delay": "1h"});
    shop.rolls_out("blue-green", &config, &checks(&url)).await;
    let id = stage.announce('4').await;
    shop.reached(&id, "the old version is kept for an hour", |step| {
        step["action"]["for-ms"] == 3_600_000 && step["status"] == "pending"
    })
    .await;
    answered_by(&clients.turn(), &["2", "4"]);
    answered_by(&clients.next(ENOUGH).await, &["4"]);
    let said = run(stage, ["abort", ENVIRONMENT, "-m", "seen enough"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "cancelled", "{record:#}");
    answered_by(&clients.turn(), &["2", "4"]);
    answered_by(&clients.next(ENOUGH).await, &["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_route_switches_to_a_new_version_and_back() {
    let shop = Shop::with_processes().await;
    shop.by_route().await;
    there_and_back(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_service_switches_to_a_new_version_and_back() {
    there_and_back(Shop::with_processes().await).await;
}
