//! What goes wrong in the middle of a rollout, and what its strategy makes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Outcome, StepId};
use deployd_core::steering::Steering;
use deployd_core::{DeploymentId, Fault};
use serde_json::{Value, json};

use crate::documents::{document, image, plugin};
use crate::fakes::pods::Pods;
use crate::rollouts::{apply, pause, ready, retire, running, shift};
use crate::world::{Stage, assert_succeeded, caller};

/// A type whose strategy does what a program says, and this when something fails.
fn wild(actions: Value, on_failure: &str) -> Document {
    let wild = json!({"actions": actions, "onFailure": on_failure});
    let spec = json!({
        "templater": {"plugin": "templater", "baseline": "the platform's"},
        "strategy": {"plugin": "rolling", "config": {"wild": wild}},
    });
    document(DocumentKind::EnvironmentType, "development", spec)
}

async fn stage(actions: Value, on_failure: &str) -> Stage {
    let stage = running(json!([]), json!({})).await;
    stage.apply(vec![wild(actions, on_failure)]).await;
    stage
}

fn refuse(stage: &Stage, name: &str) {
    let fault = Fault::invalid("invalid", "the cluster refuses it");
    stage.world.cluster().apply_faults.insert(name.to_owned(), vec![fault]);
}

fn refused(record: &DeploymentRecord) -> (Outcome, &str) {
    (record.outcome.unwrap(), &record.fault.as_ref().unwrap().code)
}

#[tokio::test(start_paused = true)]
async fn i8_what_the_cluster_has_refused_does_not_pass_for_the_new_version() {
    let stage = stage(json!([apply("stable"), ready("stable")]), "go-on").await;
    let before = stage.world.cluster().objects.clone();
    refuse(&stage, "frontend");
    let record = stage.deployed("2").await;
    assert_eq!(refused(&record), (Outcome::RolledBack, "rollout-unfinished"));
    assert_eq!(stage.world.cluster().objects, before);
}

#[tokio::test(start_paused = true)]
async fn i8_pods_that_are_why_it_goes_back_hold_up_no_rollback() {
    let rolls_back = json!({"do": "roll-back", "reason": "it does not do well"});
    let stage = stage(json!([apply("canary"), apply("stable"), rolls_back]), "roll-back").await;
    let before = stage.world.cluster().objects.clone();
    stage.world.cluster().broken.insert(image("frontend", "2"));
    let record = stage.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::RolledBack), "{:#?}", record.fault);
    assert_eq!(stage.world.cluster().objects, before);
}

#[tokio::test(start_paused = true)]
async fn traffic_that_could_not_be_led_elsewhere_is_when_somebody_has_it_tried_again() {
    let before = json!({"do": "pause", "message": "nothing is led there yet"});
    let actions = json!([
        apply("canary"),
        ready("canary"),
        before,
        shift(25),
        pause(),
        apply("stable"),
        ready("stable"),
        shift(0),
        retire(),
    ]);
    let stage = stage(actions, "pause").await;
    let id = stage.announce("2").await;
    let divided = |stage: &Stage| {
        let cluster = stage.world.cluster();
        let service = cluster.object("Service", "frontend").unwrap();
        service["spec"]["selector"] == json!({"app": "frontend"})
    };
    let mut steered = 0;
    loop {
        let record = stage.engine.deployment(&id).await.unwrap();
        if record.outcome.is_some() {
            assert_succeeded(&record);
            break;
        }
        if record.work.as_ref().is_some_and(|work| work.paused().is_some()) {
            let stopped = record.work.unwrap().paused().unwrap().message.clone();
            match stopped.as_deref() {
                Some("nothing is led there yet") => {
                    refuse(&stage, "frontend");
                    steer(&stage, &id, Steering::Resume).await;
                }
                Some("look at it") => {
                    assert!(divided(&stage), "a quarter goes to the canary");
                    steer(&stage, &id, Steering::Resume).await;
                }
                _ => steer(&stage, &id, Steering::Retry).await,
            }
            steered += 1;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(steered == 3, "it has stopped upon the refusal, too");
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_not_ready_get_no_traffic_although_nobody_has_waited_for_them() {
    let stage = stage(json!([apply("canary"), shift(25), pause()]), "roll-back").await;
    stage.world.cluster().broken.insert(image("frontend", "2"));
    let changes = changes_of(&stage);
    let record = stage.deployed("2").await;
    assert_eq!(refused(&record), (Outcome::RolledBack, "crash-loop"));
    let changes = changes.lock().unwrap();
    let led = |it: &&(String, Value)| {
        it.0 == "Service frontend" && it.1["spec"]["selector"] == json!({"app": "frontend"})
    };
    assert_eq!(changes.iter().find(led), None);
}

async fn steer(stage: &Stage, id: &DeploymentId, how: Steering) {
    stage.engine.steer(&caller(), id, how, None).await.unwrap();
}

/// What is applied from now on, in its order.
fn changes_of(stage: &Stage) -> Arc<Mutex<Vec<(String, Value)>>> {
    let changes: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let seen = changes.clone();
    let onlooker = move |sight: &crate::fakes::pods::Sight<'_>| {
        let object = sight.objects.get(sight.changed).cloned().unwrap_or_default();
        let name = format!("{} {}", sight.changed.kind, sight.changed.name);
        seen.lock().unwrap().push((name, object));
    };
    stage.world.cluster().pods = Some(Pods::new(Duration::from_secs(5), Box::new(onlooker)));
    changes
}

#[tokio::test(start_paused = true)]
async fn i8_all_pods_of_before_are_there_before_all_traffic_comes_back_to_them() {
    let stage = stage(json!([apply("canary"), ready("canary"), shift(75), pause()]), "pause").await;
    let changes = changes_of(&stage);
    let id = stage.announce("2").await;
    while stage.engine.deployment(&id).await.unwrap().work.is_none_or(|it| it.paused().is_none()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    changes.lock().unwrap().clear();
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::Cancelled));
    let changes = changes.lock().unwrap();
    let first = |name: &str| changes.iter().position(|(it, _)| it == name).unwrap();
    let (pods, service) = (first("Deployment frontend"), first("Service frontend"));
    assert!(pods < service, "{changes:#?}");
    assert_eq!(changes[pods].1["spec"]["replicas"], 4);
}

#[tokio::test(start_paused = true)]
async fn who_asks_a_person_about_pods_that_have_failed_is_not_told_of_them_again() {
    let stage = stage(json!([apply("canary"), ready("canary"), shift(25)]), "pause").await;
    {
        let mut cluster = stage.world.cluster();
        cluster.broken.insert(image("frontend", "2"));
        cluster.crashed.insert(image("frontend", "2"));
    }
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let record = stage.paused(&id).await;
    let rounds = record.work.unwrap().rollout.unwrap().round;
    assert_eq!(rounds, 3, "apply, wait, ask");
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_new_workload_that_is_not_there_is_told_so_and_the_images_are_not_blamed() {
    let stage = Stage::new().await;
    let tracks = plugin("templater", "templater", json!({"tracks": true}));
    stage.apply(vec![tracks, wild(json!([ready("stable")]), "roll-back")]).await;
    let record = stage.deployed("1").await;
    let fault = record.fault.unwrap();
    assert_eq!(fault.code, "track-unknown");
    assert!(fault.message.contains("which it has not applied"), "{fault}");
    let place = crate::world::development();
    assert!(stage.engine.quarantine(&place).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_is_not_tried_again_while_a_person_has_paused_it() {
    let stage = stage(json!([apply("canary"), ready("canary"), retire()]), "roll-back").await;
    let away = Fault::transient("unreachable", "nobody answers");
    let faults = vec![away.clone(), away.clone(), away];
    stage.world.cluster().apply_faults.insert("frontend-canary".to_owned(), faults);
    let id = stage.announce("2").await;
    let attempts = || async {
        let work = stage.engine.deployment(&id).await.unwrap().work;
        let step = work.as_ref().and_then(|work| work.step(&StepId("rollout:1".to_owned())));
        step.map_or(0, |step| step.attempts)
    };
    while attempts().await < 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.engine.steer(&caller(), &id, Steering::Pause, None).await.unwrap();
    let before = attempts().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(attempts().await <= before + 1, "one may be under way");
    let before = attempts().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(attempts().await, before);
    stage.engine.steer(&caller(), &id, Steering::Resume, None).await.unwrap();
    while attempts().await == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    stage.end_of(&id).await;
}
