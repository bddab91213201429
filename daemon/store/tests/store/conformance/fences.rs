//! Fences: they grow for ever, and every way to append compares them (I17).

use deployd_core::ports::{Batch, Claim, Fence, Store, StoreError};

use super::is_empty;
use crate::implementations::Implementation;
use crate::samples::*;

async fn claim(store: &dyn Store, who: &str, now: u64, ttl: u64) -> Claim {
    store.claim(&stream("s"), &worker(who), at(now), ttl).await.unwrap()
}

fn is_fenced<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Fenced { .. }))
}

pub(super) async fn i17_fences_grow_over_many_restarts<I: Implementation>(it: I) {
    let mut it = it;
    for expected in 1..=6 {
        // Some expire, some are given back, some are held by a dead process.
        let given = claim(it.store(), &format!("w{expected}"), expected * 10, 5).await;
        assert_eq!(given.fence, Fence(expected));
        if expected % 2 == 0 {
            it.store().release(given).await.unwrap();
        }
        it = it.restart().await;
    }
}

pub(super) async fn i17_a_process_that_comes_back_keeps_its_fence<I: Implementation>(it: I) {
    let before = claim(it.store(), "w", 1, 100).await;
    let it = it.restart().await;
    let after = claim(it.store(), "w", 50, 100).await;
    assert_eq!((after.fence, after.until), (before.fence, at(150)));
}

pub(super) async fn i17_a_lost_fence_is_never_given_again<I: Implementation>(it: I) {
    let lost = claim(it.store(), "a", 0, 10).await;
    let taken = claim(it.store(), "b", 10, 10).await;
    it.store().release(taken).await.unwrap();
    let it = it.restart().await;
    let again = claim(it.store(), "a", 30, 10).await;
    assert!(again.fence > lost.fence);
    let late = Batch { appends: vec![fenced("s", 0, lost.fence)], ..Batch::default() };
    assert!(is_fenced(&it.store().append(late).await));
}

pub(super) async fn i17_another_worker_gives_nothing_back<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 0, 1_000).await;
    it.store().release(Claim { worker: worker("b"), ..given }).await.unwrap();
    let other = it.store().claim(&stream("s"), &worker("b"), at(1), 10).await;
    assert!(matches!(other, Err(StoreError::Claimed { .. })));
}

pub(super) async fn a_renewal_may_shorten_a_claim<I: Implementation>(it: I) {
    claim(it.store(), "a", 0, 1_000).await;
    assert_eq!(claim(it.store(), "a", 10, 5).await.until, at(15));
    assert_eq!(claim(it.store(), "b", 15, 5).await.fence, Fence(2));
}

pub(super) async fn i15_a_clock_that_jumps_back_takes_no_claim_away<I: Implementation>(it: I) {
    claim(it.store(), "a", 1_000, 100).await;
    let other = it.store().claim(&stream("s"), &worker("b"), at(3), 10).await;
    assert!(matches!(other, Err(StoreError::Claimed { .. })));
    assert_eq!(claim(it.store(), "a", 3, 10).await.fence, Fence(1));
}

pub(super) async fn i17_one_lost_fence_refuses_the_whole_batch<I: Implementation>(it: I) {
    let mine = it.store().claim(&stream("mine"), &worker("a"), at(0), 100).await.unwrap();
    let lost = claim(it.store(), "a", 0, 10).await;
    claim(it.store(), "b", 10, 10).await;
    let mut batch = everything(1);
    batch.appends.push(fenced("mine", 0, mine.fence));
    batch.appends.push(fenced("s", 0, lost.fence));
    assert!(is_fenced(&it.store().append(batch).await));
    is_empty(it.store()).await;
}

pub(super) async fn i17_accepting_compares_the_fence<I: Implementation>(it: I) {
    let lost = claim(it.store(), "a", 0, 10).await;
    claim(it.store(), "b", 10, 10).await;
    let batch = || Batch { appends: vec![fenced("s", 0, lost.fence)], ..everything(1) };
    let refused = it.store().accept(key("k"), digest(1), vec![1], at(1), batch()).await;
    assert!(is_fenced(&refused), "{refused:?}");
    assert_eq!(it.store().accepted(key("k"), digest(1)).await.unwrap(), None);
    is_empty(it.store()).await;
}

pub(super) async fn i4_accepting_compares_the_version<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 1)).await.unwrap();
    let refused = it.store().accept(key("k"), digest(1), vec![1], at(1), events("s", 0, 1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(it.store().accepted(key("k"), digest(1)).await.unwrap(), None);
    let retried = it.store().accept(key("k"), digest(1), vec![1], at(1), events("s", 1, 1)).await;
    assert!(retried.is_ok(), "{retried:?}");
}

pub(super) async fn i17_a_fence_given_back_appends_until_the_next<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 0, 1_000).await;
    it.store().release(given.clone()).await.unwrap();
    let batch = |n| Batch { appends: vec![fenced("s", n, given.fence)], ..Batch::default() };
    it.store().append(batch(0)).await.unwrap();
    claim(it.store(), "b", 1, 10).await;
    assert!(is_fenced(&it.store().append(batch(1)).await));
}

pub(super) async fn i17_a_fence_of_another_stream_appends_nothing<I: Implementation>(it: I) {
    for _ in 0..3 {
        let given = claim(it.store(), "a", 0, 10).await;
        it.store().release(given).await.unwrap();
    }
    let fence = claim(it.store(), "a", 0, 10).await.fence;
    assert_eq!(fence, Fence(4));
    it.store().claim(&stream("t"), &worker("a"), at(0), 10).await.unwrap();
    let batch = Batch { appends: vec![fenced("t", 0, fence)], ..Batch::default() };
    assert!(is_fenced(&it.store().append(batch).await));
}

pub(super) async fn i17_fences_are_in_a_backup<I: Implementation>(it: I) {
    let lost = claim(it.store(), "a", 0, 10).await;
    claim(it.store(), "b", 10, 10).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    it.store().backup(&path).await.unwrap();
    let copy = I::restored(&path).await;
    let late = Batch { appends: vec![fenced("s", 0, lost.fence)], ..Batch::default() };
    assert!(is_fenced(&copy.store().append(late).await));
    assert_eq!(claim(copy.store(), "c", 30, 10).await.fence, Fence(3));
}
