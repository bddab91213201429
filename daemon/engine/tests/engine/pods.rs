//! How many pods are ready, in the view of a rollout and for those who watch it.

use std::time::Duration;

use deployd_core::DeploymentId;
use deployd_core::deployment::Outcome;
use deployd_core::views::{RolloutView, WaitsFor, WatchUpdate};
use futures::StreamExt;
use futures::future::join_all;
use serde_json::json;

use crate::rollouts::{canary, running};
use crate::world::{Stage, assert_succeeded};

impl Stage {
    async fn seen(&self, id: &DeploymentId) -> RolloutView {
        self.engine.rollout(id).await.unwrap()
    }

    fn observations(&self) -> usize {
        self.world.cluster().calls.iter().filter(|(what, _)| *what == "observe").count()
    }
}

/// Of the frontend: each track with its ready pods and those wanted.
fn pods(view: &RolloutView) -> Vec<(&str, Option<u32>, u32)> {
    let frontend = view.workloads.iter().find(|it| it.name == "frontend").unwrap();
    frontend.tracks.iter().map(|it| (it.name.as_str(), it.ready, it.replicas)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_seen_with_its_ready_pods_and_the_cluster_is_asked_once_for_all() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    stage.world.cluster().unready.insert("frontend-canary".to_owned(), 1);
    stage.world.cluster().observe_takes = Duration::from_millis(1_500);
    let views = join_all((0..20).map(|_| stage.seen(&id))).await;
    for view in &views {
        assert_eq!(pods(view), [("stable", Some(3), 3), ("canary", Some(0), 1)], "{view:#?}");
        assert_eq!((view.pods_counted.is_some(), &view.pods_unknown), (true, &None));
    }
    assert_eq!(stage.observations(), 1);

    // Who waits for an answer gets a good one, and so does who comes at once.
    stage.world.cluster().unready.clear();
    assert_eq!(pods(&stage.seen(&id).await)[1], ("canary", Some(0), 1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pods(&stage.seen(&id).await)[1], ("canary", Some(1), 1));
    assert_eq!(stage.observations(), 2);

    stage.resume(&id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    let view = stage.seen(&id).await;
    assert_eq!(pods(&view), [("stable", None, 4)]);
    assert_eq!((view.outcome, view.pods_counted), (Some(Outcome::Succeeded), None));
    assert_eq!(stage.observations(), 2, "what has ended is not looked at");
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_before_a_step_is_of_other_pods() {
    let stage = running(canary(), json!({})).await;
    stage.world.cluster().ready_after_ms = 30_000;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    assert_eq!(pods(&stage.seen(&id).await)[0], ("stable", Some(3), 3));
    stage.world.cluster().unready.insert("frontend".to_owned(), 4);
    stage.resume(&id).await.unwrap();
    let view = loop {
        let view = stage.seen(&id).await;
        if view.doing.as_ref().is_some_and(|doing| doing.waits_for == WaitsFor::Pods) {
            break view;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(pods(&view)[0].1, Some(0), "none of the new version: {view:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_seen_without_its_cluster_too_and_says_what_is_not_known() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    assert_eq!(pods(&stage.seen(&id).await), [("stable", Some(3), 3), ("canary", Some(1), 1)]);
    tokio::time::sleep(Duration::from_secs(1)).await;

    stage.world.cluster().away = true;
    let view = stage.seen(&id).await;
    assert_eq!(pods(&view), [("stable", None, 3), ("canary", None, 1)], "no number of before");
    assert_eq!((view.pods_counted, view.pods_unknown.as_deref()), (None, Some("nobody answers")));
    // It is left in peace for a while, whoever asks.
    stage.seen(&id).await;
    assert_eq!(stage.observations(), 2);

    stage.world.cluster().away = false;
    stage.world.cluster().observe_takes = Duration::from_secs(3_600);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let waits = tokio::time::timeout(Duration::from_secs(5), stage.seen(&id)).await;
    let view = waits.expect("the view comes soon");
    let why = view.pods_unknown.unwrap_or_default();
    assert!(why.contains("did not answer within 2 s"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_told_of_pods_although_no_record_changes() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    let mut watched = std::pin::pin!(stage.engine.watch(&id).map(Result::unwrap));
    let mut next = async || loop {
        let WatchUpdate { record, rollout, .. } = watched.next().await.unwrap();
        if let Some(rollout) = rollout {
            return (record.is_some(), *rollout);
        }
    };
    let (recorded, view) = next().await;
    assert!(recorded);
    assert_eq!(pods(&view)[1], ("canary", Some(1), 1));
    let expected = [(1, None, Some(0)), (0, None, Some(1))];
    for (unready, why, ready) in expected {
        stage.world.cluster().unready.insert("frontend-canary".to_owned(), unready);
        let (recorded, view) = next().await;
        assert!(!recorded);
        assert_eq!((pods(&view)[1].1, view.pods_unknown), (ready, why));
    }
    stage.world.cluster().away = true;
    let (recorded, view) = next().await;
    assert!(!recorded && view.pods_unknown.is_some(), "{view:#?}");
    stage.world.cluster().away = false;
    let (_, view) = next().await;
    assert_eq!((pods(&view)[1].1, view.pods_unknown), (Some(1), None));
}
