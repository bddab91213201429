//! What is there is compared with what was deployed: when asked, by itself, and
//! with an end where somebody fights.

use std::sync::atomic::Ordering;
use std::time::Duration;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::Origin;
use deployd_core::drift::{Drift, DriftReport, Subject};
use deployd_core::journal::EventRecord;
use deployd_core::ports::ObjectRef;
use deployd_core::{EnvironmentId, Fault, FaultClass};
use deployd_engine::EngineError;
use serde_json::{Value, json};

use crate::checks::check;
use crate::documents::{self, checked_environment_type, subscription};
use crate::fakes::drivers::canary;
use crate::fakes::life::Life;
use crate::world::{Stage, World, assert_succeeded, caller, deployment_of, development, keyed};

const YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;

/// A shop that is checked as it is said here.
pub async fn stage(drift: Value) -> Stage {
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
pub fn meddle(stage: &Stage) -> ObjectRef {
    let mut cluster = stage.world.cluster();
    let found = cluster.objects.iter().find(|(object, _)| object.name == "backend");
    let object = found.map(|(object, _)| object.clone()).expect("a backend");
    cluster.objects.get_mut(&object).unwrap()["spec"] = json!({"by": "hand"});
    object
}

/// What a check finds.
pub async fn asked(stage: &Stage) -> DriftReport {
    stage.engine.check_drift(&caller(), &development()).await.unwrap()
}

pub async fn events(stage: &Stage, kind: &str) -> Vec<EventRecord> {
    stage.world.events().await.into_iter().filter(|record| record.event.kind == kind).collect()
}

fn compared(stage: &Stage) -> usize {
    stage.world.cluster().calls.iter().filter(|call| call.0 == "compare").count()
}

/// How many deployments were there to heal.
pub async fn heals(stage: &Stage) -> usize {
    let page = stage.engine.history(Some(&development()), None, 100).await.unwrap();
    let heals =
        page.deployments.iter().filter(|one| matches!(one.request.origin, Origin::Drift { .. }));
    heals.count()
}

/// Lets time go by.
pub async fn minutes(minutes: u64) {
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

#[tokio::test(start_paused = true)]
async fn a_check_renews_access_that_ends() {
    let stage = Stage::new().await;
    {
        let mut drivers = stage.world.drivers();
        let cluster = drivers.script("k8s-cluster");
        cluster.secrets = vec!["kubeconfig", "expires_at_ms"];
        cluster.lasts_ms = Some(3_600_000);
    }
    let drift = json!({"every": "30m"});
    stage.apply(vec![checked_environment_type("development", drift)]).await;
    assert_succeeded(&stage.deployed("1").await);
    minutes(600).await;
    let report = stage.engine.drift(&development()).await.unwrap();
    assert_eq!((report.summary.unknown, report.summary.drifted), (0, 0), "{report:#?}");
    assert_eq!(stage.world.cluster().refused, 0, "it is renewed before it ends");
    let keys = |world: &World| -> Vec<String> {
        let calls = world.drivers().calls_of("provision", "k8s-cluster");
        calls.into_iter().map(|call| call.request.idempotency_key).collect()
    };
    asked(&stage).await;
    let made = keys(&stage.world);
    assert!((9..=12).contains(&made.len()), "{made:?}");
    assert!(made[1..].iter().all(|key| key.starts_with("drift-shop/development-")), "{made:?}");
    let different: std::collections::BTreeSet<_> = made.iter().collect();
    assert_eq!(different.len(), made.len(), "each is one of its own");
    // Whom the cluster lets in no longer, though there would be time.
    let now = stage.world.now();
    {
        let mut cluster = stage.world.cluster();
        let used = cluster.kubeconfig.clone().unwrap();
        cluster.ends.insert(used, now);
    }
    let report = asked(&stage).await;
    assert_eq!(report.summary.unknown, 0, "{report:#?}");
    assert_eq!((stage.world.cluster().refused, keys(&stage.world).len()), (1, made.len() + 1));
    // Nothing of it is a change of what is recorded.
    assert!(events(&stage, "drift-changed").await.is_empty());
}

/// An application whose resources are so many, of a type that no other has.
fn many(application: &str, count: usize) -> Vec<Document> {
    let resources: serde_json::Map<String, Value> =
        (0..count).map(|n| (format!("box{n}"), json!({"type": "mail"}))).collect();
    let repository = documents::artifact_of(application, "mailer", "1").repository;
    let rules = json!([{"repository": repository, "workload": "mailer"}]);
    let spec = json!({"workloads": ["mailer"], "artifacts": rules, "flow": [
        {"environment": "development", "automatic": {"ref": "refs/heads/main"}},
    ]});
    vec![
        documents::definition("mail", "mail", "template", json!({})),
        documents::workload(application, "mailer", json!({}), Value::Object(resources)),
        documents::document(DocumentKind::Application, application, spec),
        documents::environment(application, "development", "development"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_holds_up_no_check_of_other_environments() {
    let stage = stage(json!({"every": "1m"})).await;
    let hanging: Vec<EnvironmentId> =
        (0..3).map(|n| format!("mail{n}/development").parse().unwrap()).collect();
    stage.world.drivers().script("mail").outputs = json!({"host": "mail.test"});
    for id in &hanging {
        stage.apply(many(id.application.as_str(), 60)).await;
        let artifact = documents::artifact_of(id.application.as_str(), "mailer", "1");
        let announced = stage.engine.announce(&caller(), vec![artifact]).await.unwrap();
        assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
    }
    stage.world.drivers().script("mail").observing_takes_ms = 3_600_000;
    minutes(10).await;
    let of_shop = || {
        let cluster = stage.world.cluster();
        let is_shop = |names: &[String]| names.iter().any(|name| name == "backend");
        cluster.calls.iter().filter(|(what, names)| *what == "compare" && is_shop(names)).count()
    };
    let before = of_shop();
    minutes(30).await;
    assert!((28..=31).contains(&(of_shop() - before)), "{} in 30 minutes", of_shop() - before);
    for id in &hanging {
        let report = stage.engine.drift(id).await.unwrap();
        assert!(report.summary.unknown >= 60, "{report:#?}");
        let age = stage.world.now().ms_since(report.at);
        assert!(age < 15 * 60_000, "its checks come to an end too: {age} ms");
        assert!(report.unknown.iter().all(|one| one.fault.code == "check-timeout"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_environment_is_compared_once_at_a_time() {
    let stage = unchecked().await;
    stage.world.cluster().compare_takes_ms = 10_000;
    let engine = stage.engine.clone();
    let checking = tokio::spawn(async move { engine.check_drift(&caller(), &development()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = stage.engine.check_drift(&caller(), &development()).await.unwrap_err();
    assert!(second.to_string().contains("is being compared already"), "{second}");
    checking.await.unwrap().unwrap();
    assert_eq!(compared(&stage), 1);
    asked(&stage).await;
    // Who gives up asking is in nobody's way.
    let engine = stage.engine.clone();
    let checking = tokio::spawn(async move { engine.check_drift(&caller(), &development()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    checking.abort();
    assert!(checking.await.unwrap_err().is_cancelled());
    asked(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_found_keeps_no_environment_in_memory() {
    let stage = stage(json!({"every": "10m"})).await;
    minutes(3).await;
    assert_eq!(stage.engine.counters().remembered_environments, 0);
    meddle(&stage);
    minutes(15).await;
    assert_eq!(events(&stage, "drift-changed").await.len(), 1);
    assert_eq!(stage.engine.counters().remembered_environments, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_found_goes_with_the_environment() {
    let stage = unchecked().await;
    meddle(&stage);
    assert!(asked(&stage).await.has_drift());
    assert_succeeded(&stage.torn_down(&[]).await);
    stage.apply(vec![documents::environment("shop", "development", "development")]).await;
    assert_eq!(stage.state().await.drift, None);
    let none = stage.engine.drift(&development()).await;
    assert!(matches!(none, Err(EngineError::NotFound { .. })), "{none:?}");
    let mut documents = documents::platform();
    documents.extend(documents::shop("shop"));
    check(&stage.world, &documents).await;
}
