//! Environments that end by themselves, and clocks that are wrong.

use std::sync::atomic::Ordering;
use std::time::Duration;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::{Mode, Origin, Outcome};
use deployd_core::outbox::MessageStatus;
use serde_json::json;

use crate::documents::{document, subscription};
use crate::fakes::life::Life;
use crate::world::{Stage, World, assert_succeeded, caller, development, end_of, request};

const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_MS: i64 = 3_600_000;
const YEARS_MS: i64 = 10 * 365 * 24 * HOUR_MS;

fn with_ttl(ttl: &str) -> Document {
    let spec = json!({"application": "shop", "type": "development", "ttl": ttl});
    document(DocumentKind::Environment, "development", spec)
}

fn jump(world: &World, ms: i64) {
    world.clock_off_ms.fetch_add(ms, Ordering::Relaxed);
}

impl Stage {
    async fn is_there(&self) -> bool {
        self.engine.environment(&development()).await.is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn an_environment_ends_by_itself_and_whoever_wants_to_know_is_told() {
    let stage = Stage::new().await;
    stage.apply(vec![with_ttl("48h"), subscription("ends", &["teardown.*"])]).await;
    tokio::time::sleep(40 * HOUR).await;
    assert_succeeded(&stage.deployed("1").await);
    // It counts from the last deployment.
    tokio::time::sleep(47 * HOUR).await;
    let view = stage.engine.environment(&development()).await.unwrap();
    let ended = view.state.touched.unwrap();
    assert_eq!(view.ends.unwrap().ms_since(ended), 48 * HOUR_MS as u64);
    assert!(view.ends.unwrap() > stage.world.now());
    tokio::time::sleep(2 * HOUR).await;
    assert!(!stage.is_there().await);
    crate::teardown::assert_gone(&stage).await;
    let history = stage.engine.history(Some(&development()), None, 10).await.unwrap().deployments;
    let last = &history[0];
    assert_eq!(last.outcome, Some(Outcome::Succeeded));
    assert_eq!(last.actor.0, "deployd");
    assert_eq!(last.request.mode, Mode::Manual);
    assert_eq!(last.request.origin, Origin::Expired { at: view.ends.unwrap() });
    stage.all_told().await;
    let told = stage.world.messages(Some(MessageStatus::Delivered)).await;
    assert_eq!(told.iter().filter(|one| one.subscription.as_str() == "ends").count(), 4);
}

#[tokio::test(start_paused = true)]
async fn types_have_times_to_live_too_and_environments_their_own() {
    let stage = Stage::new().await;
    let mut of_type = crate::documents::environment_type("development", json!({}));
    if let Document::EnvironmentType(d) = &mut of_type {
        d.spec.ttl = Some("1d".parse().unwrap());
    }
    stage.apply(vec![of_type, with_ttl("never")]).await;
    assert_succeeded(&stage.deployed("1").await);
    tokio::time::sleep(30 * HOUR).await;
    assert!(stage.is_there().await, "its own counts");
    let production = "shop/production".parse().unwrap();
    assert!(stage.engine.environment(&production).await.is_err(), "the type's counts");
}

#[tokio::test(start_paused = true)]
async fn what_is_used_does_not_end_and_what_could_not_end_is_tried_again_later() {
    let stage = Stage::new().await;
    stage.apply(vec![with_ttl("1h")]).await;
    stage.world.drivers().script("dns").takes_ms = 5 * HOUR_MS as u64;
    let id = stage.announce("1").await;
    assert_succeeded(&stage.end_of(&id).await);
    assert!(stage.is_there().await, "a deployment is not interrupted");
    let no = deployd_core::Fault::denied("data-is-there", "no");
    stage.world.drivers().script("postgres").destroy_fault = Some(no);
    tokio::time::sleep(Duration::from_secs(80 * 60)).await;
    assert!(stage.is_there().await);
    let count = |stage: &Stage| {
        let engine = stage.engine.clone();
        async move { engine.history(Some(&development()), None, 50).await.unwrap().deployments.len() }
    };
    assert_eq!(count(&stage).await, 2, "it was tried once");
    stage.world.drivers().script("postgres").destroy_fault = None;
    tokio::time::sleep(Duration::from_secs(80 * 60)).await;
    assert!(!stage.is_there().await, "and once more an hour later");
    assert_eq!(count(&stage).await, 3);
}

#[tokio::test(start_paused = true)]
async fn i15_a_clock_that_jumps_ahead_and_back_ends_nothing() {
    for ms in [3 * HOUR_MS, YEARS_MS] {
        let stage = Stage::new().await;
        stage.apply(vec![with_ttl("2h")]).await;
        assert_succeeded(&stage.deployed("1").await);
        jump(&stage.world, ms);
        tokio::time::sleep(HOUR).await;
        jump(&stage.world, -ms);
        tokio::time::sleep(HOUR / 2).await;
        assert!(stage.is_there().await, "{ms}");
        // What is over then is over by every clock.
        tokio::time::sleep(25 * HOUR).await;
        assert!(!stage.is_there().await, "{ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn i15_a_start_with_a_clock_ahead_ends_nothing_until_it_was_seen_for_a_while() {
    let mut stage = Stage::new().await;
    stage.apply(vec![with_ttl("2h")]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.engine.stop().await;
    jump(&stage.world, YEARS_MS);
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    assert!(stage.is_there().await);
    // Somebody has set it right.
    jump(&stage.world, -YEARS_MS);
    tokio::time::sleep(HOUR).await;
    assert!(stage.is_there().await);
}

#[tokio::test(start_paused = true)]
async fn i15_a_clock_that_is_set_back_ends_nothing_and_one_that_stays_ahead_ends_it_a_day_later() {
    let stage = Stage::new().await;
    stage.apply(vec![with_ttl("2h")]).await;
    assert_succeeded(&stage.deployed("1").await);
    jump(&stage.world, -24 * HOUR_MS);
    tokio::time::sleep(10 * HOUR).await;
    assert!(stage.is_there().await, "by the clock its time has not come");
    jump(&stage.world, 48 * HOUR_MS);
    tokio::time::sleep(23 * HOUR).await;
    assert!(stage.is_there().await);
    tokio::time::sleep(2 * HOUR).await;
    assert!(!stage.is_there().await);
}

#[tokio::test(start_paused = true)]
async fn i15_an_environment_that_is_deployed_to_at_the_last_moment_does_not_end() {
    let stage = Stage::new().await;
    stage.apply(vec![with_ttl("1h")]).await;
    assert_succeeded(&stage.deployed("1").await);
    let engine = stage.engine.clone();
    stage.world.before("append deployment-queued", async move {
        let record = engine.deploy(&caller(), request()).await.unwrap();
        assert_succeeded(&end_of(&engine, &record.id).await);
    });
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(stage.state().await.accepted, 2, "it was deployed to, and not taken away");
    assert!(stage.is_there().await);
    tokio::time::sleep(HOUR).await;
    assert!(!stage.is_there().await, "and an hour later nobody uses it");
}

#[tokio::test(start_paused = true)]
async fn i15_an_environment_that_is_wanted_for_longer_at_the_last_moment_does_not_end() {
    let stage = Stage::new().await;
    let spec = json!({"application": "shop", "type": "development", "ttl": "1h"});
    let production = document(DocumentKind::Environment, "production", spec);
    stage.apply(vec![with_ttl("1h"), production]).await;
    // Development ends first; meanwhile somebody wants production to stay.
    let engine = stage.engine.clone();
    stage.world.before("append deployment-queued", async move {
        let spec = json!({"application": "shop", "type": "development", "ttl": "9h"});
        let longer = document(DocumentKind::Environment, "production", spec);
        engine.apply(&caller(), vec![longer], false).await.unwrap();
    });
    tokio::time::sleep(2 * HOUR).await;
    assert!(!stage.is_there().await);
    let production = "shop/production".parse().unwrap();
    assert!(stage.engine.environment(&production).await.is_ok());
}
