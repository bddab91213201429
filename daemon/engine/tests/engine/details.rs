//! What is kept of deployments beside their records, and what is shown of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use deployd_core::config::DocumentKind;
use deployd_core::deployment::Outcome;
use deployd_core::plan::ChangeKind;
use deployd_core::ports::{Batch, Index, Put, Store};
use serde_json::json;

use crate::checks::index;
use crate::documents::{document, image};
use crate::world::{Stage, assert_succeeded};

#[tokio::test(start_paused = true)]
async fn a_deployment_can_be_looked_into_while_it_runs_and_afterwards() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let second = stage.deployed("2").await;
    assert_succeeded(&second);
    assert!(index(&stage.world, "logs").await.is_empty(), "packed with the end of each");
    assert!(index(&stage.world, "snapshots").await.is_empty());

    let view = stage.engine.debug(&second.id, 1_000).await.unwrap();
    let changed = view.changed.unwrap();
    assert_eq!(changed.from, Some(first.id.clone()));
    assert_eq!(changed.set.workloads.update.len(), 2);
    let names = changed.objects.iter().map(|it| (it.object.name.as_str(), it.change));
    let names: Vec<_> = names.collect();
    assert!(names.contains(&("frontend", ChangeKind::Change)), "{names:?}");
    let render = view.timeline.iter().find(|moment| moment.step == "render").unwrap();
    assert_eq!(render.plugin.as_ref().unwrap().name, "templater");
    assert!(view.timeline.is_sorted_by_key(|moment| moment.after_ms));
    assert!(view.applied.iter().any(|object| object.name == "backend"));
    assert_eq!(view.logs, stage.engine.logs(&second.id, 0, usize::MAX).await.unwrap());
    assert!(view.logs.iter().any(|line| line.message.starts_with("rendered ")));
    assert_eq!((view.lines_left_out, view.details_gone), (0, false));
    let then = view.then.unwrap();
    assert!(then.snapshot.containers.contains(&"frontend-0/main: running".to_owned()));
    assert_eq!(view.now.unwrap().snapshot, then.snapshot);
    assert_eq!((view.advice, view.not_seen), (None, None));

    // What does not run any more is as it was; a part of a log is its end.
    let view = stage.engine.debug(&first.id, 1).await.unwrap();
    assert!(view.now.is_none() && view.then.is_some());
    let all = stage.engine.logs(&first.id, 0, usize::MAX).await.unwrap();
    assert_eq!(view.logs.as_slice(), all.get(all.len() - 1..).unwrap());
    assert_eq!(view.lines_left_out, all.len() as u64 - 1);

    stage.world.cluster().away = true;
    let view = stage.engine.debug(&second.id, 10).await.unwrap();
    assert_eq!(view.not_seen.unwrap().code, "unreachable");
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_shown_with_what_to_do() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    stage.world.cluster().broken.insert(image("frontend", "2"));
    let failed = stage.deployed("2").await;
    assert_eq!(failed.outcome, Some(Outcome::RolledBack));
    let view = stage.engine.debug(&failed.id, 1_000).await.unwrap();
    let [failure] = view.failures.as_slice() else { panic!("{:?}", view.failures) };
    assert_eq!((failure.object.name.as_str(), failure.reason.as_str()), ("frontend", "crash-loop"));
    assert!(view.advice.unwrap().contains("last lines"));
    let last = view.timeline.iter().rfind(|moment| moment.fault.is_some()).unwrap();
    assert_eq!(last.status, "failed");
}

/// Looks for what is too old, so long after the last time that it is believed.
async fn dropped(stage: &Stage) -> u64 {
    tokio::time::advance(Duration::from_secs(16 * 60)).await;
    stage.engine.drop_old_details().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn i15_a_clock_that_was_ahead_has_dropped_no_details() {
    const YEAR_MS: i64 = 365 * 24 * 3_600_000;
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    assert_eq!([dropped(&stage).await, dropped(&stage).await], [0, 0]);
    stage.world.clock_off_ms.fetch_add(YEAR_MS, Ordering::Relaxed);
    for version in ["2", "3", "4"] {
        assert_succeeded(&stage.deployed(version).await);
        assert_eq!(dropped(&stage).await, 0);
    }
    stage.world.clock_off_ms.fetch_sub(YEAR_MS, Ordering::Relaxed);
    for version in ["5", "6", "7"] {
        tokio::time::advance(Duration::from_secs(24 * 3_600)).await;
        assert_succeeded(&stage.deployed(version).await);
        assert_eq!(dropped(&stage).await, 0);
    }
    let view = stage.engine.debug(&first.id, 1_000).await.unwrap();
    assert!(!view.details_gone && !view.logs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_can_not_be_packed_goes_when_its_time_is_over() {
    let stage = Stage::new().await;
    let spec = json!({
        "templater": {"plugin": "templater"}, "strategy": {"plugin": "rolling"},
        "details": {"keep": "1h", "budgetKib": 64},
    });
    stage.apply(vec![document(DocumentKind::EnvironmentType, "development", spec)]).await;
    let id = stage.announce("1").await;
    let key = [id.0.as_bytes(), &[0], &0u64.to_be_bytes()].concat();
    let nonsense = Put { index: Index("logs"), key, value: Some(b"[]".to_vec()) };
    stage.world.store.append(Batch { puts: vec![nonsense], ..Batch::default() }).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    assert_eq!(index(&stage.world, "logs").await.len(), 1, "it is kept line by line");
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!([dropped(&stage).await, dropped(&stage).await], [0, 1]);
    assert!(index(&stage.world, "logs").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_any_more_is_named_and_the_rest_is_shown() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let third = stage.deployed("3").await;
    assert_succeeded(&third);
    let manifests = third.work.as_ref().unwrap().result("render").unwrap();
    stage.world.damaged.lock().unwrap().insert(manifests);
    let view = stage.engine.debug(&third.id, 10).await.unwrap();
    assert!(view.lost[0].contains(&manifests.to_string()), "{:?}", view.lost);
    assert_eq!(view.lost.len(), 1);
    let changed = view.changed.unwrap();
    assert!(changed.objects.is_empty() && changed.from.is_some());
    assert!(!view.logs.is_empty() && !view.applied.is_empty());
}

#[tokio::test(start_paused = true)]
async fn details_go_when_their_time_is_over_and_records_stay() {
    let stage = Stage::new().await;
    let spec = json!({
        "templater": {"plugin": "templater"}, "strategy": {"plugin": "rolling"},
        "details": {"keep": "1h", "budgetKib": 64},
    });
    stage.apply(vec![document(DocumentKind::EnvironmentType, "development", spec)]).await;
    let first = stage.deployed("1").await;
    // What a crash has left of a log that was packed.
    let key = [first.id.0.as_bytes(), &[0], &9u64.to_be_bytes()].concat();
    let left = Put { index: Index("logs"), key, value: Some(b"{}".to_vec()) };
    stage.world.store.append(Batch { puts: vec![left], ..Batch::default() }).await.unwrap();
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    // Counted back from the newest deployment: nothing is older than that yet.
    assert_eq!([dropped(&stage).await, dropped(&stage).await], [0, 0]);
    let second = stage.deployed("2").await;
    assert_eq!([dropped(&stage).await, dropped(&stage).await], [0, 1]);
    assert!(index(&stage.world, "logs").await.is_empty());
    let view = stage.engine.debug(&first.id, 1_000).await.unwrap();
    assert!(view.details_gone && view.logs.is_empty() && view.then.is_none());
    assert_eq!(view.record, stage.engine.deployment(&first.id).await.unwrap());
    assert!(!view.timeline.is_empty() && view.changed.is_some());
    let view = stage.engine.debug(&second.id, 1_000).await.unwrap();
    assert!(!view.details_gone && !view.logs.is_empty());
}
