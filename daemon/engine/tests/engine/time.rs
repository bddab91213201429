//! Clocks that jump, and claims that are lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use deployd_core::deployment::Outcome;
use deployd_core::journal::StreamId;
use deployd_core::outbox::MessageStatus;
use deployd_core::ports::{Store, WorkerId};

use crate::documents::environment_type;
use crate::fakes::environment::Receiver;
use crate::fakes::life::Life;
use crate::history::judge;
use crate::world::{Stage, World, assert_succeeded, development};
use serde_json::json;

const YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;

fn jump(world: &World, ms: i64) {
    world.clock_off_ms.fetch_add(ms, Ordering::Relaxed);
}

#[tokio::test(start_paused = true)]
async fn i15_a_clock_that_is_set_back_changes_no_order() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    stage.world.drivers().script("dns").takes_ms = 5_000;
    let mut asked = vec![stage.deploy().await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    for ms in [-HOUR_MS, -YEARS_MS, 2 * YEARS_MS] {
        jump(&stage.world, ms);
        asked.push(stage.deploy().await);
    }
    let mut numbers = Vec::new();
    for id in &asked {
        let record = stage.end_of(id).await;
        assert_succeeded(&record);
        numbers.push(record.number);
    }
    assert_eq!(numbers, [2, 3, 4, 5]);
    judge(&stage.world.trace.lock().unwrap().entries).unwrap();
}

#[tokio::test(start_paused = true)]
async fn i15_a_retry_does_not_wait_for_a_clock_that_was_set_back() {
    for ms in [-HOUR_MS, -YEARS_MS, YEARS_MS] {
        let stage = Stage::new().await;
        stage.world.drivers().script("dns").transient = 3;
        stage.world.drivers().script("postgres").pending = 2;
        let begun = tokio::time::Instant::now();
        let id = stage.announce("1").await;
        let failed = |world: &World| !world.drivers().calls_of("provision", "dns").is_empty();
        stage.until("it has failed once", failed).await;
        jump(&stage.world, ms);
        assert_succeeded(&stage.end_of(&id).await);
        assert!(begun.elapsed() < Duration::from_secs(600), "{ms}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn i15_a_message_does_not_wait_for_a_clock_that_was_set_back() {
    let stage = Stage::new().await;
    let refuses = || Receiver::Answers(503);
    stage.world.receivers().script.extend((0..12).map(|_| refuses()));
    stage.deployed("1").await;
    jump(&stage.world, -YEARS_MS);
    let begun = tokio::time::Instant::now();
    stage.all_told().await;
    assert!(begun.elapsed() < Duration::from_secs(2 * 24 * 3_600), "{:?}", begun.elapsed());
    assert_eq!(stage.world.messages(Some(MessageStatus::Delivered)).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn i15_a_clock_that_jumps_during_a_restart_rolls_nothing_back() {
    for ms in [-YEARS_MS, HOUR_MS, YEARS_MS] {
        let mut stage = Stage::new().await;
        stage.apply(vec![environment_type("development", json!({"deadline-ms": 600_000}))]).await;
        assert_succeeded(&stage.deployed("1").await);
        stage.world.cluster().ready_after_ms = 30_000;
        let id = stage.announce("2").await;
        stage
            .until("it waits", |w| w.cluster().calls.iter().filter(|c| c.0 == "await").count() == 5)
            .await;
        stage.engine.abort();
        jump(&stage.world, ms);
        stage.engine = stage.world.engine(&Life::long());
        stage.engine.start().await.unwrap();
        assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::Succeeded), "{ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn i17_a_worker_whose_claim_was_taken_over_appends_nothing() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").takes_ms = 5_000;
    let id = stage.announce("1").await;
    let begun = |world: &World| !world.drivers().calls_of("provision", "dns").is_empty();
    stage.until("it has begun", begun).await;
    let stream = StreamId::environment(&development());
    let other = WorkerId("another".to_owned());
    // The claim has run out, as the other's clock sees it.
    let later = stage.world.now().plus_ms(60_000);
    let claim = stage.world.store.claim(&stream, &other, later, 120_000).await.unwrap();
    let head = stage.world.store.head(&stream).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(
        stage.world.store.head(&stream).await.unwrap(),
        head,
        "it appends under a lost claim"
    );
    stage.world.store.release(claim).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
}
