//! API servers that go away in the middle, and come back a minute later, ten
//! minutes later, or not.

use std::time::Duration;

use deployd_core::deployment::{ATTEMPTS_MAX, retry_at};
use deployd_core::ports::{ObjectRef, Readiness};
use deployd_core::{Fault, FaultClass, Timestamp};
use deployd_practice::Behaviour;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::stage::{LONG, Stage, on_a_simulated_cluster};
use crate::things::{config_map, deployment};
use crate::wire::Wire;

const MINUTE: Duration = Duration::from_secs(60);

/// Later than anybody waits. Probes that fail would be events all the time.
const NOT_YET: Behaviour = Behaviour::Ready { after: Duration::from_secs(24 * 3_600) };

/// Goes away once a rollout is waited for, and comes back after a while.
async fn away_in_the_middle_of_a_rollout(outage: Duration, limit: Duration) {
    on_a_simulated_cluster(async |stage, _| {
        let practice = stage.practiced();
        // What is left of the time afterwards is enough for it, and has to be.
        stage.behave("web", Behaviour::Ready { after: outage + MINUTE / 3 });
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        let waiting = stage.await_ready(&applied, limit);
        let meddling = async {
            stage.until_line("not ready").await;
            practice.faults().go_away();
            sleep(outage).await;
            practice.faults().come_back();
        };
        let (ready, ()) = tokio::join!(waiting, meddling);
        assert_eq!(ready, Ok(Readiness::Ready));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_in_the_middle_of_a_rollout() {
    away_in_the_middle_of_a_rollout(MINUTE, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_in_the_middle_of_a_rollout() {
    away_in_the_middle_of_a_rollout(10 * MINUTE, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn who_stays_away_is_a_transient_fault_in_the_end() {
    on_a_simulated_cluster(async |stage, _| {
        stage.behave("web", NOT_YET);
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        let begun = Instant::now();
        let waiting = stage.await_ready(&applied, 5 * MINUTE);
        let meddling = async {
            stage.until_line("not ready").await;
            stage.practiced().faults().go_away();
        };
        let (outcome, ()) = tokio::join!(waiting, meddling);
        let fault = outcome.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Transient, "cluster-unreachable"),
            "{fault:?}"
        );
        assert!(begun.elapsed() < 20 * MINUTE, "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_went_wrong_before_an_outage_is_not_held_against_who_could_not_be_seen() {
    on_a_simulated_cluster(async |stage, _| {
        let practice = stage.practiced();
        stage.behave("web", Behaviour::image_not_found());
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        let waiting = stage.await_ready(&applied, 10 * MINUTE);
        let meddling = async {
            stage.until_line("can't be pulled").await;
            practice.faults().go_away();
            // Much longer than patience with images that can't be pulled.
            sleep(3 * MINUTE).await;
            stage.behave("web", Behaviour::Ready { after: Duration::ZERO });
            practice.faults().come_back();
        };
        let (ready, ()) = tokio::join!(waiting, meddling);
        assert_eq!(ready, Ok(Readiness::Ready));
    })
    .await;
}

/// Takes a step as the engine does: again after transient faults, with its
/// pauses, and no more often.
async fn as_a_step<T>(mut take: impl AsyncFnMut() -> Result<T, Fault>) -> (u32, Result<T, Fault>) {
    let begun = Instant::now();
    for attempt in 1.. {
        let fault = match take().await {
            Ok(done) => return (attempt, Ok(done)),
            Err(fault) => fault,
        };
        let now = Timestamp(u64::try_from(begun.elapsed().as_millis()).unwrap());
        let Some(again) = retry_at(&fault, attempt, "key", now) else {
            return (attempt, Err(fault));
        };
        sleep(Duration::from_millis(again.0 - now.0)).await;
    }
    unreachable!()
}

/// Many objects, so that an outage can begin between two of them.
fn settings() -> Vec<Value> {
    (0..60).map(|n| config_map(&format!("m-{n:02}"), json!({"n": n.to_string()}))).collect()
}

/// Goes away at the thirtieth request of a method, and comes back after a while.
fn away_after_some(stage: &Stage, wire: &Wire, method: &'static str, outage: Duration) {
    let practice = stage.practiced().clone();
    let mut left = 30;
    wire.rule(move |m, _| {
        if m == method && left > 0 {
            left -= 1;
            if left == 0 {
                let practice = practice.clone();
                practice.faults().go_away();
                tokio::spawn(async move {
                    sleep(outage).await;
                    practice.faults().come_back();
                });
            }
        }
        None
    });
}

#[tokio::test(start_paused = true)]
async fn a_minute_in_the_middle_of_applying_and_pruning() {
    on_a_simulated_cluster(async |stage, wire| {
        away_after_some(stage, wire, "PATCH", MINUTE);
        let applied = stage.apply(settings()).await.unwrap();
        assert_eq!(applied.len(), 60);
        away_after_some(stage, wire, "DELETE", MINUTE);
        // Without the engine's help.
        assert_eq!(stage.prune(&applied).await.unwrap().len(), 60);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_in_the_middle_of_applying_and_pruning() {
    on_a_simulated_cluster(async |stage, wire| {
        away_after_some(stage, wire, "PATCH", 10 * MINUTE);
        let (attempts, applied) = as_a_step(async || stage.apply(settings()).await).await;
        let applied: Vec<ObjectRef> = applied.unwrap();
        assert_eq!(applied.len(), 60);
        assert!((2..=ATTEMPTS_MAX).contains(&attempts), "{attempts}");
        assert_eq!(stage.await_ready(&applied, LONG).await, Ok(Readiness::Ready));
        away_after_some(stage, wire, "DELETE", 10 * MINUTE);
        let (attempts, pruned) = as_a_step(async || stage.prune(&applied).await).await;
        pruned.unwrap();
        assert!((2..=ATTEMPTS_MAX).contains(&attempts), "{attempts}");
        let left = stage.api("v1", "ConfigMap", "configmaps").await;
        let left = left.list(&Default::default()).await.unwrap();
        let ours =
            left.items.iter().filter(|o| o.metadata.name.as_deref().unwrap().starts_with("m-"));
        assert_eq!(ours.count(), 0);
    })
    .await;
}
