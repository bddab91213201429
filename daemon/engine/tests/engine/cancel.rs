//! Ended by a person, at any point.

use std::time::Duration;

use deployd_core::deployment::Outcome;
use deployd_engine::EngineError;

use crate::checks::check;
use crate::documents::{self, image};
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller};

fn all() -> Vec<deployd_core::config::Document> {
    documents::platform().into_iter().chain(documents::shop("shop")).collect()
}

/// Everything takes its time, so that there is a moment for each phase.
fn slow(stage: &Stage) {
    for script in stage.world.drivers().scripts.values_mut() {
        script.takes_ms = 500;
    }
    stage.world.drivers().script("postgres").pending = 3;
    stage.world.cluster().ready_after_ms = 1_000;
}

#[tokio::test(start_paused = true)]
async fn i7_a_deployment_can_be_cancelled_at_any_time() {
    let (mut cancelled, mut refused) = (0, 0);
    for after in (0..14_000).step_by(330) {
        let stage = Stage::new().await;
        let first = stage.deployed("1").await;
        slow(&stage);
        let second = stage.announce("2").await;
        tokio::time::sleep(Duration::from_millis(after)).await;
        match stage.engine.cancel(&caller(), &second, Some("not today".to_owned())).await {
            Ok(_) => {
                let record = stage.end_of(&second).await;
                assert_eq!(record.outcome, Some(Outcome::Cancelled), "after {after} ms");
                assert_eq!(record.fault.unwrap().message, "not today");
                assert_eq!(stage.state().await.deployed.unwrap().deployment, first.id);
                let cluster = stage.world.cluster();
                let backend = cluster.object("Deployment", "backend").unwrap();
                assert_eq!(backend["spec"]["images"][0], image("backend", "1"), "after {after} ms");
                cancelled += 1;
            }
            Err(EngineError::Conflict { .. }) => {
                assert_succeeded(&stage.end_of(&second).await);
                refused += 1;
            }
            Err(error) => panic!("after {after} ms: {error}"),
        }
        stage.all_told().await;
        check(&stage.world, &all()).await;
    }
    assert!(cancelled > 20 && refused > 0, "{cancelled} cancelled, {refused} refused");
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_left_at_once_when_the_deployment_is_cancelled() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.world.cluster().stuck.insert(image("backend", "2"));
    let second = stage.announce("2").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    stage.engine.cancel(&caller(), &second, None).await.unwrap();
    let asked = stage.world.now();
    let record = stage.end_of(&second).await;
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
    assert!(record.ended.unwrap().ms_since(asked) < 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_queued_one_is_gone_at_once_and_an_ended_one_stays_as_it_is() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").takes_ms = 10_000;
    let first = stage.announce("1").await;
    let second = stage.deploy().await;
    let record = stage.engine.cancel(&caller(), &second, None).await.unwrap();
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
    assert_succeeded(&stage.end_of(&first).await);
    for id in [&first, &second] {
        let error = stage.engine.cancel(&caller(), id, None).await.unwrap_err();
        assert!(matches!(error, EngineError::Conflict { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_cancellation_is_not_lost() {
    let stage = Stage::new().await;
    stage.world.drivers().script("postgres").pending = 1;
    let id = stage.announce("1").await;
    stage
        .until("it is pending", |world| {
            world.drivers().calls_of("provision", "postgres").len() == 1
        })
        .await;
    stage.world.drivers().script("postgres").takes_ms = 5_000;
    stage
        .until("it is polled", |world| world.drivers().calls_of("provision", "postgres").len() == 2)
        .await;
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::Cancelled));
    let resources = stage.engine.resources(&crate::world::development()).await.unwrap();
    assert!(resources.iter().any(|r| r.name == "postgres#backend.db"), "it is there, and known");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_deployment_ends_although_the_process_did() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").takes_ms = 10_000;
    let id = stage.announce("1").await;
    stage
        .until("dns is asked", |world| !world.drivers().calls_of("provision", "dns").is_empty())
        .await;
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    stage.engine.abort();
    // Recording what was interrupted fails at first.
    stage.world.store_faults.lock().unwrap().extend(vec![
        Some(
            deployd_core::ports::StoreError::Busy
        );
        20
    ]);
    let engine = stage.world.engine(&Life::long());
    while engine.start().await.is_err() {}
    let record = crate::world::end_of(&engine, &id).await;
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_waits_at_once_and_the_next_start_goes_on() {
    let stage = Stage::new().await;
    stage.world.cluster().ready_after_ms = 55_000;
    let id = stage.announce("1").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = stage.world.now();
    stage.engine.stop().await;
    assert!(stage.world.now().ms_since(before) < 1_000, "nobody waits for a wait");
    let engine = stage.world.engine(&Life::long());
    engine.start().await.unwrap();
    assert_succeeded(&crate::world::end_of(&engine, &id).await);
}
