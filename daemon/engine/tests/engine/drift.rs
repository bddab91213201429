//! What is there is compared with what was deployed: when asked, by itself, and
//! with an end where somebody fights.

use std::sync::atomic::Ordering;
use std::time::Duration;

use deployd_core::deployment::Origin;
use deployd_core::drift::{Drift, DriftReport, Subject};
use deployd_core::journal::EventRecord;
use deployd_core::ports::ObjectRef;
use deployd_core::{Fault, FaultClass};
use deployd_engine::EngineError;
use serde_json::{Value, json};

use crate::checks::check;
use crate::documents::{self, checked_environment_type, subscription};
use crate::fakes::drivers::canary;
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller, development, keyed};

const YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;

async fn stage(drift: Value) -> Stage {
    let stage = Stage::new().await;
    stage.apply(vec![checked_environment_type("development", drift)]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage
}

async fn unchecked() -> Stage {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage
}

/// Somebody changes a workload by hand.
fn meddle(stage: &Stage) -> ObjectRef {
    let mut cluster = stage.world.cluster();
    let found = cluster.objects.iter().find(|(object, _)| object.name == "backend");
    let object = found.map(|(object, _)| object.clone()).expect("a backend");
    cluster.objects.get_mut(&object).unwrap()["spec"] = json!({"by": "hand"});
    object
}

async fn asked(stage: &Stage) -> DriftReport {
    stage.engine.check_drift(&caller(), &development()).await.unwrap()
}

async fn events(stage: &Stage, kind: &str) -> Vec<EventRecord> {
    stage.world.events().await.into_iter().filter(|record| record.event.kind == kind).collect()
}

fn compared(stage: &Stage) -> usize {
    stage.world.cluster().calls.iter().filter(|call| call.0 == "compare").count()
}

/// How many deployments were there to heal.
async fn heals(stage: &Stage) -> usize {
    let page = stage.engine.history(Some(&development()), None, 100).await.unwrap();
    let heals =
        page.deployments.iter().filter(|one| matches!(one.request.origin, Origin::Drift { .. }));
    heals.count()
}

async fn minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
}

#[tokio::test(start_paused = true)]
async fn only_what_is_new_is_an_event_and_told() {
    let stage = unchecked().await;
    stage.apply(vec![subscription("drift", &["drift.*"])]).await;
    let clean = asked(&stage).await;
    assert!(!clean.has_drift(), "{clean:#?}");
    assert!(clean.summary.objects > 0 && clean.summary.resources > 0 && clean.summary.unknown == 0);
    assert!(events(&stage, "drift-changed").await.is_empty());

    let object = meddle(&stage);
    let found = asked(&stage).await;
    assert_eq!(found.findings[0].subject, Subject::Object(object));
    assert_eq!(found.summary.drifted, 1);
    minutes(5).await;
    let again = asked(&stage).await;
    assert_eq!(again.findings[0].since, found.findings[0].since);
    assert_eq!(events(&stage, "drift-changed").await.len(), 1);
    assert_eq!(stage.state().await.drift.unwrap().findings, 1);
    assert_eq!(stage.engine.drift(&development()).await.unwrap(), again);

    let healed = stage.engine.heal_drift(&caller(), &development()).await.unwrap();
    assert_succeeded(&stage.end_of(&healed.id).await);
    assert!(!asked(&stage).await.has_drift());
    assert_eq!(events(&stage, "drift-changed").await.len(), 2);
    stage.all_told().await;
    let told: Vec<Value> =
        stage.world.receivers().received.iter().map(|r| r.event()["type"].clone()).collect();
    let told: Vec<&str> =
        told.iter().filter_map(Value::as_str).filter(|t| t.starts_with("drift")).collect();
    assert_eq!(told, ["drift.found", "drift.gone"]);
    let mut documents = documents::platform();
    documents.extend(documents::shop("shop"));
    documents.push(subscription("drift", &["drift.*"]));
    check(&stage.world, &documents).await;
}

#[tokio::test(start_paused = true)]
async fn i2_the_same_key_compares_once() {
    let stage = unchecked().await;
    let first = stage.engine.check_drift(&keyed("k", ""), &development()).await.unwrap();
    meddle(&stage);
    let again = stage.engine.check_drift(&keyed("k", ""), &development()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(compared(&stage), 1);
}

#[tokio::test(start_paused = true)]
async fn resources_are_compared_by_the_drivers_that_made_them() {
    let stage = unchecked().await;
    let fault =
        Fault::new(FaultClass::Permanent, "plugin-unsupported", "this driver can't observe");
    {
        let mut drivers = stage.world.drivers();
        drivers.script("dns").observed = Some(Err(fault));
        drivers.script("postgres").observed = Some(Ok(Some(json!({"host": "elsewhere"}))));
        let away = Fault::transient("away", "nobody answers");
        drivers.script("service-port").observed = Some(Err(away));
    }
    let report = asked(&stage).await;
    assert_eq!((report.summary.unsupported, report.summary.unknown), (1, 1), "{report:#?}");
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    assert!(
        matches!(&report.findings[0].drift, Drift::OutputDiffers { output, .. } if output == "host")
    );
    stage.world.drivers().script("postgres").observed = Some(Ok(None));
    assert_eq!(asked(&stage).await.findings[0].drift, Drift::Missing);
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_seen_is_not_well() {
    let stage = unchecked().await;
    meddle(&stage);
    assert!(asked(&stage).await.has_drift());
    stage.world.cluster().away = true;
    let blind = asked(&stage).await;
    assert_eq!(blind.summary.unknown, blind.summary.objects);
    assert!(blind.has_drift(), "what was found is not mended by not seeing it");
    assert_eq!(events(&stage, "drift-changed").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_a_deployment_overtakes_is_dropped() {
    let stage = unchecked().await;
    meddle(&stage);
    stage.world.cluster().compare_takes_ms = 10_000;
    let engine = stage.engine.clone();
    let checking = tokio::spawn(async move { engine.check_drift(&caller(), &development()).await });
    minutes(0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = stage.deploy().await;
    let overtaken = checking.await.unwrap();
    assert!(matches!(overtaken, Err(EngineError::Conflict { .. })), "{overtaken:?}");
    // While it is active there is nothing to compare with.
    assert_succeeded(&stage.end_of(&id).await);
    assert!(events(&stage, "drift-changed").await.is_empty());
    let none = stage.engine.drift(&development()).await;
    assert!(matches!(none, Err(EngineError::NotFound { .. })), "{none:?}");
    stage.world.drivers().script("dns").takes_ms = 10_000;
    stage.deploy().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let busy = stage.engine.check_drift(&caller(), &development()).await;
    assert!(matches!(busy, Err(EngineError::Conflict { .. })), "{busy:?}");
}

#[tokio::test(start_paused = true)]
async fn checks_come_as_often_as_the_type_says_and_not_while_something_is_deployed() {
    let stage = stage(json!({"every": "10m"})).await;
    minutes(2).await;
    let begun = compared(&stage);
    assert_eq!(begun, 1, "within two minutes after the first deployment");
    minutes(60).await;
    let checks = compared(&stage) - begun;
    assert!((5..=6).contains(&checks), "{checks} in an hour");
    meddle(&stage);
    minutes(12).await;
    assert_eq!(stage.state().await.drift.unwrap().findings, 1);
    assert_eq!(heals(&stage).await, 0, "nobody wants it healed");
    // A deployment of an hour: nothing is compared meanwhile, and soon after.
    stage.world.drivers().script("dns").takes_ms = 3_600_000;
    let id = stage.deploy().await;
    minutes(1).await;
    let before = compared(&stage);
    minutes(50).await;
    assert_eq!(compared(&stage), before);
    assert_succeeded(&stage.end_of(&id).await);
    minutes(3).await;
    assert_eq!(compared(&stage), before + 1);
}

#[tokio::test(start_paused = true)]
async fn i15_checks_survive_restarts_and_clocks_that_jump() {
    let mut stage = stage(json!({"every": "1h"})).await;
    minutes(3).await;
    assert_eq!(compared(&stage), 1);
    stage.engine.stop().await;
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    minutes(50).await;
    assert_eq!(compared(&stage), 1, "a restart is no reason for a check");
    minutes(15).await;
    assert_eq!(compared(&stage), 2);
    for (jump, expected) in [(-YEARS_MS, 3), (2 * YEARS_MS, 4), (-YEARS_MS, 5)] {
        stage.world.clock_off_ms.fetch_add(jump, Ordering::Relaxed);
        minutes(5).await;
        assert_eq!(compared(&stage), expected, "it is looked at once after a jump of {jump}");
        minutes(30).await;
        assert_eq!(compared(&stage), expected, "and then as ever");
    }
}

#[tokio::test(start_paused = true)]
async fn drift_is_healed_where_the_type_says_so() {
    let stage = stage(json!({"every": "10m", "heal": "automatic"})).await;
    minutes(5).await;
    let object = meddle(&stage);
    minutes(15).await;
    assert_eq!(heals(&stage).await, 1);
    assert_ne!(stage.world.cluster().objects[&object]["spec"], json!({"by": "hand"}));
    minutes(15).await;
    assert_eq!(stage.state().await.drift.unwrap().findings, 0);
    minutes(600).await;
    assert_eq!(heals(&stage).await, 1, "what is well is left alone");
}

#[tokio::test(start_paused = true)]
async fn i15_a_fight_ends_and_somebody_is_told() {
    for jump in [0, -YEARS_MS] {
        let stage = stage(json!({"every": "10m", "heal": "automatic"})).await;
        let object = meddle(&stage);
        let theirs = stage.world.cluster().objects[&object].clone();
        stage.world.cluster().undone.insert(object.name.clone(), theirs);
        minutes(15).await;
        stage.world.clock_off_ms.fetch_add(jump, Ordering::Relaxed);
        minutes(24 * 60).await;
        assert_eq!(heals(&stage).await, 4);
        assert_eq!(events(&stage, "healing-given-up").await.len(), 1);
        assert!(stage.state().await.drift.unwrap().gave_up);
        // Somebody deploys: it is another matter.
        stage.world.cluster().undone.clear();
        assert_succeeded(&stage.deployed("2").await);
        minutes(15).await;
        let drift = stage.state().await.drift.unwrap();
        assert!(!drift.gave_up && drift.findings == 0, "{drift:?}");
        meddle(&stage);
        minutes(15).await;
        assert_eq!(heals(&stage).await, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_gone_is_for_people() {
    let stage = stage(json!({"every": "1m", "heal": "automatic"})).await;
    minutes(3).await;
    stage.world.drivers().script("postgres").observed = Some(Ok(None));
    meddle(&stage);
    minutes(120).await;
    assert_eq!(heals(&stage).await, 0, "an empty database in its place would hide it");
    assert_eq!(stage.state().await.drift.unwrap().findings, 2);
}

#[tokio::test(start_paused = true)]
async fn healing_brings_nothing_that_was_not_deployed() {
    let stage = stage(json!({"every": "1m", "heal": "automatic"})).await;
    minutes(3).await;
    let drift = json!({"every": "1m", "heal": "automatic"});
    let mut changed = checked_environment_type("development", drift);
    if let deployd_core::config::Document::EnvironmentType(envelope) = &mut changed {
        envelope.spec.values.insert("colour".to_owned(), json!("red"));
    }
    stage.apply(vec![changed]).await;
    meddle(&stage);
    minutes(60).await;
    assert_eq!(heals(&stage).await, 0, "a person has to see the new value first");
    assert_eq!(stage.state().await.drift.unwrap().findings, 1);
}

#[tokio::test(start_paused = true)]
async fn i16_no_report_has_a_secret() {
    let stage = unchecked().await;
    for uid in stage.world.drivers().there.keys() {
        assert!(!canary(uid, "password").is_empty());
    }
    meddle(&stage);
    stage.world.drivers().script("postgres").observed =
        Some(Ok(Some(json!({"host": "db.test", "password": "canary-observed"}))));
    let report = serde_json::to_string(&asked(&stage).await).unwrap();
    assert!(!report.contains("canary"), "{report}");
    for record in stage.world.events().await {
        assert!(!record.event.body.to_string().contains("canary"), "{record:?}");
    }
}
