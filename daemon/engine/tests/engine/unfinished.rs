//! What was begun and never finished is not left behind: not when another driver
//! or other inputs have taken its place since.

use std::collections::BTreeSet;

use deployd_core::Fault;
use deployd_core::config::Document;
use deployd_core::deployment::{Outcome, Teardown};
use deployd_core::views::DeployRequest;
use serde_json::json;

use crate::documents::{definition, plugin};
use crate::teardown::assert_gone;
use crate::world::{Stage, assert_succeeded, caller, development, request};

/// The database at a place, by a driver.
fn database(driver: &str, place: &str, size: u32) -> Document {
    definition("postgres", "postgres", driver, json!({"place": place, "size": size}))
}

impl Stage {
    /// Deploys a version in which the database is made, and that is not said.
    async fn deployed_half(&self, version: &str) {
        let lost = Fault::permanent("lost", "the answer was lost");
        self.world.drivers().script("postgres").made_and = Some(lost);
        assert_eq!(self.deployed(version).await.outcome, Some(Outcome::Failed));
        self.world.drivers().script("postgres").made_and = None;
    }

    fn places(&self) -> BTreeSet<String> {
        let drivers = self.world.drivers();
        drivers.places.iter().map(|(driver, place)| format!("{driver} {place}")).collect()
    }
}

fn at(places: &[&str]) -> BTreeSet<String> {
    places.iter().map(|place| (*place).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn i8_what_one_driver_has_begun_goes_although_another_has_taken_its_place() {
    let stage = Stage::new().await;
    stage.apply(vec![database("postgres", "here", 1), plugin("mysql", "driver", json!({}))]).await;
    stage.deployed_half("1").await;
    stage.apply(vec![database("mysql", "here", 1)]).await;
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(stage.places(), at(&["mysql here", "postgres here"]));
    {
        let made = stage.world.drivers().calls_of("provision", "postgres");
        assert_ne!(made[0].request.uid, made[1].request.uid, "they are not taken for each other");
    }
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_eq!(stage.places(), at(&[]));
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn i8_what_was_begun_with_other_inputs_beside_what_is_there_goes_with_it() {
    let stage = Stage::new().await;
    stage.apply(vec![database("postgres", "old", 1)]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![database("postgres", "new", 1)]).await;
    let lost = Fault::permanent("lost", "the answer was lost");
    stage.world.drivers().script("postgres").made_and = Some(lost);
    let confirmed = DeployRequest { confirm_replace: true, ..request() };
    let id = stage.engine.deploy(&caller(), confirmed).await.unwrap().id;
    assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::Failed));
    assert_eq!(stage.places(), at(&["postgres new", "postgres old"]));
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_eq!(stage.places(), at(&[]));
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn i8_what_was_begun_with_wrong_inputs_goes_after_what_was_made_with_the_right_ones() {
    let stage = Stage::new().await;
    for (place, version) in [("typo", "1"), ("tyop", "2"), ("tyop", "3")] {
        stage.apply(vec![database("postgres", place, 1)]).await;
        stage.deployed_half(version).await;
    }
    stage.apply(vec![database("postgres", "right", 1)]).await;
    assert_succeeded(&stage.deployed("4").await);
    let begun = stage.state().await.begun;
    assert_eq!(begun.values().map(Vec::len).sum::<usize>(), 2, "each once: {begun:?}");
    // What is in use is not touched, whatever else was begun.
    assert_succeeded(&stage.deployed("5").await);
    assert!(stage.places().contains("postgres right"));
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_eq!(stage.places(), at(&[]));
    let destroyed = stage.world.drivers().calls_of("destroy", "postgres");
    let order: Vec<(bool, &str)> = destroyed
        .iter()
        .map(|call| (call.request.state.is_some(), call.request.inputs["place"].as_str().unwrap()))
        .collect();
    assert_eq!(order, [(true, "right"), (false, "typo"), (false, "tyop")]);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_at_the_same_place_is_what_is_there_and_goes_as_that_does() {
    let stage = Stage::new().await;
    stage.apply(vec![database("postgres", "here", 1)]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![database("postgres", "here", 2)]).await;
    stage.deployed_half("2").await;
    assert_eq!(stage.state().await.begun.len(), 1);
    assert_succeeded(&stage.torn_down(&[]).await);
    let destroyed = stage.world.drivers().calls_of("destroy", "postgres");
    assert_eq!(destroyed.len(), 1, "not once more with other inputs");
    assert_eq!(destroyed[0].request.inputs["size"], 1);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_and_of_which_nobody_can_tell_is_left_by_who_has_looked() {
    let stage = Stage::new().await;
    stage.apply(vec![database("postgres", "nowhere", 1)]).await;
    stage.deployed_half("1").await;
    stage.apply(vec![database("postgres", "here", 1)]).await;
    assert_succeeded(&stage.deployed("2").await);
    let view = stage.engine.plan_teardown(&development(), &Teardown::default()).await.unwrap();
    let begun: Vec<String> = view
        .plan
        .unused
        .iter()
        .flat_map(|unused| &unused.unfinished)
        .map(|begun| begun.name.clone())
        .collect();
    let [name] = begun.as_slice() else { panic!("{begun:?}") };
    let unknown = Fault::denied("host-not-granted", "no grant names the host");
    stage.world.drivers().script("postgres").plan_faults = vec![unknown];
    let record = stage.torn_down(&[]).await;
    assert_eq!(record.outcome, Some(Outcome::NeedsOperator));
    let fault = record.fault.unwrap();
    assert!(fault.message.contains(&format!("--keep {name}")), "{}", fault.message);
    assert_eq!(stage.places(), at(&["postgres nowhere"]), "what was in use is gone all the same");
    assert_succeeded(&stage.torn_down(&[name]).await);
    assert!(stage.engine.environment(&development()).await.is_err());
}
