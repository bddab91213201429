//! What fails while a rollout only waits: found out at once, and not when the
//! wait is over.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::deployment::{DeploymentRecord, Outcome};
use deployd_core::journal::StreamId;
use deployd_core::ports::{ObjectRef, Store as _, StoreError, WorkerId};
use deployd_core::steering::Steering;
use serde_json::{Value, json};

use crate::documents::image;
use crate::fakes::life::Life;
use crate::rollouts::{apply, canary, ready, retire, running, shift};
use crate::world::{Stage, assert_succeeded, caller};

/// Far longer than it takes to find out, far shorter than what the rollouts here
/// wait for.
const SOON_MS: u64 = 30_000;

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// A canary that waits for hours in one action.
fn waiting(action: Value) -> Value {
    let stable = [apply("stable"), ready("stable"), shift(0), retire()];
    let mut program = vec![apply("canary"), ready("canary"), shift(25), action];
    program.extend(stable);
    Value::Array(program)
}

impl Stage {
    /// Waits until the rollout waits.
    async fn waits(&self, id: &deployd_core::DeploymentId) {
        loop {
            let record = self.engine.deployment(id).await.unwrap();
            if record.work.as_ref().is_some_and(|work| work.waits().is_some()) {
                return;
            }
            seconds(1).await;
        }
    }

    /// Something of the new version happens; the rollout is taken back soon.
    async fn back_soon(&self, id: &deployd_core::DeploymentId) -> DeploymentRecord {
        let from = self.world.now();
        let record = self.end_of(id).await;
        assert_eq!(record.outcome, Some(Outcome::RolledBack), "{:?}", record.fault);
        let took = self.world.now().ms_since(from);
        assert!(took < SOON_MS, "{took} ms");
        record
    }
}

fn the_canary() -> ObjectRef {
    ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop-development".to_owned()),
        name: "frontend-canary".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_crashes_while_a_rollout_waits_leads_back_at_once() {
    let sleep = json!({"do": "sleep", "ms": 8 * 3_600_000});
    let pause = json!({"do": "pause", "message": "look at it"});
    let checks = json!({"do": "run-checks", "checks": ["errors"], "track": "canary"});
    for action in [sleep, pause, checks] {
        let errors = json!({"errors": {
            "plugin": "check", "config": {"answers": ["passed"]}, "count": 1000,
        }});
        let stage = running(waiting(action), errors).await;
        let before = stage.world.cluster().objects.clone();
        let id = stage.announce("2").await;
        stage.waits(&id).await;
        seconds(300).await;
        stage.world.cluster().crashed.insert(image("frontend", "2"));
        let record = stage.back_soon(&id).await;
        assert_eq!(record.fault.unwrap().code, "crash-loop");
        assert_eq!(stage.world.cluster().objects, before);
        let kept = stage.engine.quarantine(&crate::world::development()).await.unwrap();
        assert_eq!(kept.len(), 2, "{kept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_crashes_while_a_person_has_stopped_it_leads_back_at_once() {
    let sleep = json!({"do": "sleep", "ms": 60_000});
    let stage = running(waiting(sleep), json!({})).await;
    let before = stage.world.cluster().objects.clone();
    let id = stage.announce("2").await;
    stage.waits(&id).await;
    stage.engine.steer(&caller(), &id, Steering::Pause, None).await.unwrap();
    seconds(3_600).await;
    let record = stage.engine.deployment(&id).await.unwrap();
    assert!(record.work.unwrap().waits().is_none(), "the sleep is over");
    stage.world.cluster().crashed.insert(image("frontend", "2"));
    let record = stage.back_soon(&id).await;
    assert_eq!(record.fault.unwrap().code, "crash-loop");
    assert_eq!(stage.world.cluster().objects, before);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_away_meanwhile_leads_back_and_is_said() {
    let stage = running(canary(), json!({})).await;
    let before = stage.world.cluster().objects.clone();
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    stage.world.cluster().objects.remove(&the_canary()).unwrap();
    let record = stage.back_soon(&id).await;
    let fault = record.fault.unwrap();
    assert_eq!(fault.code, "gone");
    assert!(fault.message.contains("frontend-canary"), "{fault}");
    assert_eq!(stage.world.cluster().objects, before);
}

#[tokio::test(start_paused = true)]
async fn neither_the_old_version_nor_a_cluster_that_is_away_ends_a_rollout() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    stage.world.cluster().crashed.insert(image("frontend", "1"));
    seconds(3_600).await;
    stage.world.cluster().crashed.clear();
    stage.world.cluster().away = true;
    seconds(3_600).await;
    stage.world.cluster().away = false;
    seconds(3_600).await;
    stage.paused(&id).await;
    // It is watched again.
    stage.world.cluster().crashed.insert(image("backend", "2"));
    stage.back_soon(&id).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_watched_after_a_restart_and_no_longer_than_it_waits() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    stage.engine.stop().await;
    let engine = stage.world.engine(&Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world: stage.world, engine };
    stage.world.cluster().crashed.insert(image("frontend", "2"));
    stage.back_soon(&id).await;
    stage.world.cluster().crashed.clear();

    let third = stage.announce("3").await;
    stage.paused(&third).await;
    stage.resume(&third).await.unwrap();
    assert_succeeded(&stage.end_of(&third).await);
    stage.world.cluster().crashed.insert(image("frontend", "3"));
    seconds(3_600).await;
    let place = crate::world::development();
    let newest = stage.engine.history(Some(&place), None, 1).await.unwrap().deployments;
    assert_eq!(newest[0].id, third, "what ended is another's business");
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_by_hand_meanwhile_does_not_keep_the_old_version_from_coming_back() {
    let stage = running(canary(), json!({})).await;
    let before = stage.world.cluster().objects.clone();
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    let conflict = || Fault::conflict("field-conflict", "kubectl-edit has .spec.replicas");
    let faults = vec![conflict(), conflict()];
    stage.world.cluster().apply_faults.insert("frontend".to_owned(), faults);
    stage.resume(&id).await.unwrap();
    let record = stage.end_of(&id).await;
    assert_eq!(record.outcome, Some(Outcome::RolledBack));
    assert_eq!(record.fault.unwrap().code, "field-conflict");
    assert_eq!(stage.world.cluster().objects, before);
    let lines = stage.engine.logs(&id, 0, 1_000).await.unwrap();
    let said = "taken over all the same: kubectl-edit has .spec.replicas";
    assert!(lines.iter().any(|line| line.message == said), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_only_waits_writes_nothing() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    seconds(60).await;
    // The next write would take it.
    stage.world.store_faults.lock().unwrap().push_back(Some(StoreError::Busy));
    seconds(600).await;
    let unused = std::mem::take(&mut *stage.world.store_faults.lock().unwrap());
    assert_eq!(unused.len(), 1, "it is looked at every quarter of an hour");
    stage.resume(&id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
}

#[tokio::test(start_paused = true)]
async fn who_has_taken_over_a_rollout_that_waits_is_not_disturbed() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    let stream = StreamId::environment(&crate::world::development());
    seconds(300).await;
    let (other, now) = (WorkerId("another".to_owned()), stage.world.now());
    let claim = stage.world.store.claim(&stream, &other, now, 600_000).await.unwrap();
    let head = stage.world.store.head(&stream).await.unwrap();
    stage.world.cluster().crashed.insert(image("frontend", "2"));
    seconds(300).await;
    assert_eq!(stage.world.store.head(&stream).await.unwrap(), head, "by a claim that was lost");
    stage.world.store.release(claim).await.unwrap();
    assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::RolledBack));
}
