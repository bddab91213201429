//! Watching a deployment, and its log.

use deployd_core::deployment::Outcome;
use futures::StreamExt;

use crate::world::{Stage, assert_succeeded};

#[tokio::test(start_paused = true)]
async fn a_watch_shows_everything_once_and_ends_with_the_outcome() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").takes_ms = 3_000;
    let id = stage.announce("1").await;
    let updates: Vec<_> = stage.engine.watch(&id).map(Result::unwrap).collect().await;
    let last = updates.iter().rev().find_map(|update| update.record.as_ref()).unwrap();
    assert_eq!(last.outcome, Some(Outcome::Succeeded));
    let lines: Vec<u64> = updates.iter().flat_map(|u| u.logs.iter().map(|l| l.sequence)).collect();
    assert_eq!(lines, (1..=lines.len() as u64).collect::<Vec<_>>());
    // Who comes late sees the same.
    let late: Vec<_> = stage.engine.watch(&id).map(Result::unwrap).collect().await;
    assert_eq!(late.iter().map(|u| u.logs.len()).sum::<usize>(), lines.len());
    let nobody = deployd_core::DeploymentId("nobody".into());
    let mut watched = std::pin::pin!(stage.engine.watch(&nobody));
    let error = watched.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("there is no"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_however_many_lines_there_are() {
    for more in 0..8 {
        let stage = Stage::new().await;
        // Among these is a log of exactly as many lines as one update takes.
        let lines = 990 - more;
        stage.world.drivers().script("dns").log = vec!["line".to_owned(); lines];
        let record = stage.deployed("1").await;
        let watched = stage.engine.watch(&record.id).map(Result::unwrap).collect::<Vec<_>>();
        let updates = tokio::time::timeout(std::time::Duration::from_secs(10), watched).await;
        assert!(updates.is_ok(), "{lines} lines");
    }
}

#[tokio::test(start_paused = true)]
async fn i13_a_log_has_an_end_and_so_has_a_line() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").log = vec!["\u{1}\u{e4}".repeat(4_000); 12_000];
    let record = stage.deployed("1").await;
    assert_succeeded(&record);
    let lines = stage.engine.logs(&record.id, 0, usize::MAX).await.unwrap();
    // Of what is kept for good, the middle is left out.
    assert!((100..10_000).contains(&lines.len()), "{}", lines.len());
    assert_eq!((lines[0].sequence, lines.last().unwrap().sequence), (1, 10_000));
    assert!(lines.last().unwrap().message.contains("not kept"));
    assert!(lines.iter().all(|line| line.message.len() < 5_000));
    assert!(stage.engine.logs(&record.id, 10_000, 10).await.unwrap().is_empty());
}
