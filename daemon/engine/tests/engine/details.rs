//! What is kept of deployments beside their records, and what is shown of them.

use std::time::Duration;

use deployd_core::config::DocumentKind;
use deployd_core::deployment::Outcome;
use deployd_core::plan::ChangeKind;
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

#[tokio::test(start_paused = true)]
async fn details_go_when_their_time_is_over_and_records_stay() {
    let stage = Stage::new().await;
    let spec = json!({
        "templater": {"plugin": "templater"}, "strategy": {"plugin": "rolling"},
        "details": {"keep": "1h", "budgetKib": 64},
    });
    stage.apply(vec![document(DocumentKind::EnvironmentType, "development", spec)]).await;
    let first = stage.deployed("1").await;
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    // Counted back from the newest deployment: nothing is older than that yet.
    assert_eq!(stage.engine.drop_old_details().await.unwrap(), 0);
    let second = stage.deployed("2").await;
    assert_eq!(stage.engine.drop_old_details().await.unwrap(), 1);
    let view = stage.engine.debug(&first.id, 1_000).await.unwrap();
    assert!(view.details_gone && view.logs.is_empty() && view.then.is_none());
    assert_eq!(view.record, stage.engine.deployment(&first.id).await.unwrap());
    assert!(!view.timeline.is_empty() && view.changed.is_some());
    let view = stage.engine.debug(&second.id, 1_000).await.unwrap();
    assert!(!view.details_gone && !view.logs.is_empty());
}
