//! Group commit, and the bounds of the queue.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;

use deployd_core::ports::{Accepted, Batch, FeedPosition, Store, StoreError};
use deployd_store::{RedbStore, StoreOptions, limits};
use futures::future::join_all;
use futures::poll;

use crate::disk::{Disk, Failing};
use crate::samples::*;

type Asked<'s> = Pin<Box<dyn Future<Output = Result<Accepted, StoreError>> + Send + 's>>;

fn open(disk: &Disk, options: &StoreOptions) -> RedbStore {
    RedbStore::open_on("groups", disk.clone(), options).unwrap()
}

fn accept(store: &RedbStore, n: u64) -> Asked<'_> {
    let batch = events(&format!("s/{n}"), 0, 1);
    store.accept(key(&n.to_string()), digest(n), Vec::new(), at(1), batch)
}

/// Holds the disk, and the writer with it: a first request is in its sync.
async fn hold(disk: &Disk, first: &mut Asked<'_>) {
    disk.hold();
    while !disk.holds_somebody() {
        assert!(poll!(&mut *first).is_pending());
        tokio::task::yield_now().await;
    }
}

/// Polls these until so many wait in the queue.
async fn until_queued(store: &RedbStore, asked: &mut [Asked<'_>], count: u64) {
    while store.stats().queued < count {
        for asked in asked.iter_mut() {
            assert!(poll!(asked).is_pending());
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_is_committed_together() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let before = store.stats();
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let mut others: Vec<_> = (1..=64).map(|n| accept(&store, n)).collect();
    until_queued(&store, &mut others, 64).await;
    disk.let_go();
    assert_eq!(first.await.unwrap(), Accepted::New);
    for accepted in join_all(others).await {
        assert_eq!(accepted.unwrap(), Accepted::New);
    }
    let after = store.stats();
    assert_eq!(after.commits - before.commits, 2);
    assert_eq!(after.committed - before.committed, 65);
    assert_eq!(store.feed(FeedPosition(0), 99).await.unwrap().len(), 65);
}

#[tokio::test]
async fn a_client_alone_waits_for_nobody_and_many_for_each_other() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    for n in 0..20 {
        accept(&store, n).await.unwrap();
    }
    assert_eq!(store.stats().lingers, 0);
    let mut first = accept(&store, 20);
    hold(&disk, &mut first).await;
    let many = 20 + limits::COMPANY_FROM as u64;
    let mut others: Vec<_> = (21..=many).map(|n| accept(&store, n)).collect();
    until_queued(&store, &mut others, limits::COMPANY_FROM as u64).await;
    disk.let_go();
    first.await.unwrap();
    join_all(others).await;
    assert_eq!(store.stats().lingers, 0);
    // Once, since nobody comes; then never again.
    for n in 100..103 {
        accept(&store, n).await.unwrap();
        assert_eq!(store.stats().lingers, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_at_once_far_fewer_are_commits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = RedbStore::open(&path, &StoreOptions::default()).unwrap();
    for accepted in join_all((0..64).map(|n| accept(&store, n))).await {
        assert_eq!(accepted.unwrap(), Accepted::New);
    }
    let stats = store.stats();
    assert_eq!(stats.committed, 64);
    assert!(stats.commits <= 32, "{stats:?}");
}

#[tokio::test]
async fn i13_a_group_has_a_limit() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let count = 2 * limits::GROUP_REQUESTS_MAX as u64 + 1;
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let mut others: Vec<_> = (1..=count).map(|n| accept(&store, n)).collect();
    until_queued(&store, &mut others, count).await;
    disk.let_go();
    first.await.unwrap();
    join_all(others).await;
    assert_eq!(store.stats().commits, 4);
}

#[tokio::test]
async fn a_refused_request_does_not_disturb_its_neighbours() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let asks = [("s/1", 0), ("s/1", 0), ("s/1", 1), ("s/9", 5), ("s/2", 0)];
    let mut asked: Vec<Asked<'_>> = Vec::new();
    for (n, (name, expect)) in (1..).zip(asks) {
        let mut batch = events(name, expect, 1);
        batch.puts.push(put(PLACES, &[n as u8], b"here"));
        let name = key(&format!("k{n}"));
        asked.push(store.accept(name, digest(n), Vec::new(), at(1), batch));
        // One after the other, so that their order is known.
        until_queued(&store, &mut asked, n).await;
    }
    disk.let_go();
    first.await.unwrap();
    let answers = join_all(asked).await;
    assert!(matches!(
        &answers[..],
        [
            Ok(Accepted::New),
            Err(StoreError::Conflict { .. }),
            Ok(Accepted::New),
            Err(StoreError::Conflict { .. }),
            Ok(Accepted::New)
        ]
    ));
    assert_eq!(store.stats().commits, 2);
    for (n, there) in [(1, true), (2, false), (3, true), (4, false), (5, true)] {
        assert_eq!(store.get(PLACES, &[n]).await.unwrap().is_some(), there, "{n}");
        let answer = store.accepted(key(&format!("k{n}")), digest(u64::from(n))).await.unwrap();
        assert_eq!(answer.is_some(), there, "{n}");
    }
    assert!(store.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn i2_repeats_in_one_group_are_one() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let mut asked: Vec<_> = (0..5).map(|_| accept(&store, 1)).collect();
    until_queued(&store, &mut asked, 5).await;
    disk.let_go();
    first.await.unwrap();
    let answers = join_all(asked).await;
    let new = answers.iter().filter(|answer| matches!(answer, Ok(Accepted::New))).count();
    assert_eq!(new, 1);
    assert_eq!(store.head(&stream("s/1")).await.unwrap().version.0, 1);
}

#[tokio::test]
async fn i1_a_group_whose_sync_fails_is_acknowledged_by_nobody() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let mut asked: Vec<_> = (1..=9).map(|n| accept(&store, n)).collect();
    // Refused in any case; but because of a state that never came to be.
    asked.push(store.accept(key("x"), digest(0), Vec::new(), at(1), events("s/1", 0, 1)));
    until_queued(&store, &mut asked, 10).await;
    disk.fail_at(1, Failing::Once, ErrorKind::Other);
    disk.let_go();
    // Its sync had begun.
    assert_eq!(first.await.unwrap(), Accepted::New);
    for answer in join_all(asked).await {
        assert!(matches!(answer, Err(StoreError::Stopped(_))), "{answer:?}");
    }
    let later = accept(&store, 99).await;
    assert!(matches!(later, Err(StoreError::Stopped(_))), "{later:?}");
}

#[tokio::test]
async fn i13_who_finds_the_queue_full_is_told_to_come_back() {
    let disk = Disk::default();
    let options = StoreOptions { queue_requests: 2, ..StoreOptions::default() };
    let store = open(&disk, &options);
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let mut waiting = vec![accept(&store, 1), accept(&store, 2)];
    until_queued(&store, &mut waiting, 2).await;
    let refused = accept(&store, 3).await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    disk.let_go();
    first.await.unwrap();
    join_all(waiting).await;
    assert_eq!(accept(&store, 3).await.unwrap(), Accepted::New);
}

#[tokio::test]
async fn i13_the_queue_holds_so_many_bytes() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let value = vec![0; limits::VALUE_BYTES_MAX];
    let most = || {
        let count = limits::BATCH_BYTES_MAX / limits::VALUE_BYTES_MAX - 1;
        puts(vec![put(PLACES, b"k", &value); count])
    };
    let ask = |n: u64, batch: Batch| -> Asked<'_> {
        store.accept(key(&n.to_string()), digest(n), Vec::new(), at(1), batch)
    };
    let mut waiting = vec![ask(1, most()), ask(2, most())];
    until_queued(&store, &mut waiting, 2).await;
    let refused = ask(3, most()).await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    disk.let_go();
    first.await.unwrap();
    for accepted in join_all(waiting).await {
        assert_eq!(accepted.unwrap(), Accepted::New);
    }
    assert_eq!(ask(3, most()).await.unwrap(), Accepted::New);
}

#[tokio::test]
async fn a_call_that_is_dropped_may_still_happen() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let mut dropped = vec![accept(&store, 1)];
    until_queued(&store, &mut dropped, 1).await;
    drop(dropped);
    disk.let_go();
    first.await.unwrap();
    let after = store.feed_grown(FeedPosition(1)).await.unwrap();
    assert_eq!(after, FeedPosition(2));
}

#[tokio::test]
async fn closing_ends_what_waits_and_then_everything() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    let mut first = accept(&store, 0);
    hold(&disk, &mut first).await;
    let mut waiting = vec![accept(&store, 1)];
    until_queued(&store, &mut waiting, 1).await;
    let mut grown = store.feed_grown(FeedPosition(9));
    assert!(poll!(&mut grown).is_pending());
    let mut closed = Box::pin(store.close());
    assert!(poll!(&mut closed).is_pending());
    disk.let_go();
    closed.await;
    assert_eq!(first.await.unwrap(), Accepted::New);
    assert_eq!(waiting.remove(0).await.unwrap(), Accepted::New);
    assert!(matches!(grown.await, Err(StoreError::Stopped(_))));
    assert!(matches!(accept(&store, 2).await, Err(StoreError::Stopped(_))));
    assert!(matches!(store.head(&stream("s/1")).await, Err(StoreError::Stopped(_))));
    assert_eq!(store.stopped().await, "it was closed");
    let again = open(&disk, &StoreOptions::default());
    assert_eq!(again.head(&stream("s/1")).await.unwrap().version.0, 1);
}

#[tokio::test]
async fn what_changes_nothing_needs_no_commit() {
    let disk = Disk::default();
    let store = open(&disk, &StoreOptions::default());
    accept(&store, 1).await.unwrap();
    let before = store.stats();
    assert_eq!(accept(&store, 1).await.unwrap(), Accepted::Replayed(Vec::new()));
    assert!(store.append(events("s/1", 5, 1)).await.is_err());
    assert!(store.outbox_take(at(1), at(2), 9).await.unwrap().is_empty());
    let after = store.stats();
    assert_eq!((after.commits, after.syncs), (before.commits, before.syncs));
    assert_eq!(after.uncommitted, before.uncommitted + 3);
}
