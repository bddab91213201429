//! Claims and fences.

use deployd_core::ports::{Batch, Claim, Fence, Store, StoreError};
use deployd_store::limits;

use crate::implementations::Implementation;
use crate::samples::*;

async fn claim(store: &dyn Store, who: &str, now: u64, ttl: u64) -> Result<Claim, StoreError> {
    store.claim(&stream("s"), &worker(who), at(now), ttl).await
}

async fn append_with(store: &dyn Store, expect: u64, fence: Fence) -> Result<(), StoreError> {
    let appends = vec![fenced("s", expect, fence)];
    store.append(Batch { appends, ..Batch::default() }).await.map(|_| ())
}

fn is_fenced(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Fenced { stream: found }) if *found == stream("s"))
}

pub(super) async fn a_claim_says_what_was_claimed<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 100, 50).await.unwrap();
    let expected =
        Claim { stream: stream("s"), worker: worker("a"), fence: Fence(1), until: at(150) };
    assert_eq!(given, expected);
}

pub(super) async fn i17_another_worker_waits_until_it_expires<I: Implementation>(it: I) {
    claim(it.store(), "a", 100, 50).await.unwrap();
    for now in [0, 100, 149] {
        match claim(it.store(), "b", now, 50).await {
            Err(StoreError::Claimed { stream: found, owner }) => {
                assert_eq!((found, owner.as_str()), (stream("s"), "a"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(claim(it.store(), "b", 150, 50).await.unwrap().fence, Fence(2));
}

pub(super) async fn a_worker_renews_its_claim_and_keeps_its_fence<I: Implementation>(it: I) {
    claim(it.store(), "a", 100, 50).await.unwrap();
    let renewed = claim(it.store(), "a", 120, 50).await.unwrap();
    assert_eq!((renewed.fence, renewed.until), (Fence(1), at(170)));
    assert!(claim(it.store(), "b", 160, 50).await.is_err());
    // Also when it is late, as long as nobody else was faster.
    let late = claim(it.store(), "a", 900, 50).await.unwrap();
    assert_eq!((late.fence, late.until), (Fence(1), at(950)));
}

pub(super) async fn i17_a_worker_that_lost_its_claim_gets_another_fence<I: Implementation>(it: I) {
    claim(it.store(), "a", 0, 10).await.unwrap();
    claim(it.store(), "b", 10, 10).await.unwrap();
    assert!(matches!(claim(it.store(), "a", 11, 10).await, Err(StoreError::Claimed { .. })));
    assert_eq!(claim(it.store(), "a", 20, 10).await.unwrap().fence, Fence(3));
}

pub(super) async fn streams_are_claimed_apart<I: Implementation>(it: I) {
    claim(it.store(), "a", 0, 10).await.unwrap();
    let other = it.store().claim(&stream("t"), &worker("b"), at(0), 10).await.unwrap();
    assert_eq!(other.fence, Fence(1));
}

pub(super) async fn a_released_stream_can_be_claimed_at_once<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 0, 1_000).await.unwrap();
    it.store().release(given).await.unwrap();
    assert_eq!(claim(it.store(), "b", 1, 10).await.unwrap().fence, Fence(2));
}

pub(super) async fn i17_fences_grow_also_after_a_release<I: Implementation>(it: I) {
    for expected in 1..=3 {
        let given = claim(it.store(), "a", 0, 1_000).await.unwrap();
        assert_eq!(given.fence, Fence(expected));
        it.store().release(given).await.unwrap();
    }
}

pub(super) async fn a_lost_claim_given_back_changes_nothing<I: Implementation>(it: I) {
    let lost = claim(it.store(), "a", 0, 10).await.unwrap();
    claim(it.store(), "b", 10, 1_000).await.unwrap();
    it.store().release(lost.clone()).await.unwrap();
    it.store().release(Claim { stream: stream("never"), ..lost.clone() }).await.unwrap();
    it.store().release(Claim { fence: Fence(2), ..lost }).await.unwrap();
    assert!(matches!(claim(it.store(), "c", 20, 10).await, Err(StoreError::Claimed { .. })));
}

pub(super) async fn a_claim_given_back_twice_is_given_back_once<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 0, 1_000).await.unwrap();
    it.store().release(given.clone()).await.unwrap();
    it.store().release(given).await.unwrap();
    assert_eq!(claim(it.store(), "b", 1, 10).await.unwrap().fence, Fence(2));
}

pub(super) async fn i17_the_present_fence_appends<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 0, 10).await.unwrap();
    append_with(it.store(), 0, given.fence).await.unwrap();
    assert_eq!(it.store().head(&stream("s")).await.unwrap().version.0, 1);
}

pub(super) async fn i17_an_older_fence_appends_nothing<I: Implementation>(it: I) {
    let lost = claim(it.store(), "a", 0, 10).await.unwrap();
    let present = claim(it.store(), "b", 10, 10).await.unwrap();
    assert!(is_fenced(&append_with(it.store(), 0, lost.fence).await));
    append_with(it.store(), 0, present.fence).await.unwrap();
    assert!(is_fenced(&append_with(it.store(), 1, lost.fence).await));
    assert_eq!(it.store().head(&stream("s")).await.unwrap().version.0, 1);
}

pub(super) async fn i17_a_fence_that_nobody_was_given_appends_nothing<I: Implementation>(it: I) {
    assert!(is_fenced(&append_with(it.store(), 0, Fence(0)).await));
    assert!(is_fenced(&append_with(it.store(), 0, Fence(1)).await));
    claim(it.store(), "a", 0, 10).await.unwrap();
    assert!(is_fenced(&append_with(it.store(), 0, Fence(2)).await));
    assert!(is_fenced(&append_with(it.store(), 0, Fence(u64::MAX)).await));
}

pub(super) async fn i17_who_is_fenced_off_is_not_told_the_head<I: Implementation>(it: I) {
    let lost = claim(it.store(), "a", 0, 10).await.unwrap();
    claim(it.store(), "b", 10, 10).await.unwrap();
    assert!(is_fenced(&append_with(it.store(), 7, lost.fence).await));
}

pub(super) async fn i15_an_expired_claim_appends_until_it_is_taken<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 0, 0).await.unwrap();
    append_with(it.store(), 0, given.fence).await.unwrap();
    let taken = claim(it.store(), "b", 0, 0).await.unwrap();
    assert!(is_fenced(&append_with(it.store(), 1, given.fence).await));
    append_with(it.store(), 1, taken.fence).await.unwrap();
}

pub(super) async fn an_append_without_a_fence_needs_no_claim<I: Implementation>(it: I) {
    claim(it.store(), "a", 0, 10).await.unwrap();
    it.store().append(events("s", 0, 1)).await.unwrap();
}

pub(super) async fn i17_claims_and_fences_survive_a_restart<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 0, 100).await.unwrap();
    let it = it.restart().await;
    assert!(matches!(claim(it.store(), "b", 50, 10).await, Err(StoreError::Claimed { .. })));
    append_with(it.store(), 0, given.fence).await.unwrap();
    it.store().release(given.clone()).await.unwrap();
    let it = it.restart().await;
    assert_eq!(claim(it.store(), "b", 51, 10).await.unwrap().fence, Fence(2));
    assert!(is_fenced(&append_with(it.store(), 1, given.fence).await));
}

pub(super) async fn i15_a_claim_without_end_does_not_wrap<I: Implementation>(it: I) {
    let given = claim(it.store(), "a", 5, u64::MAX).await.unwrap();
    assert_eq!(given.until, at(u64::MAX));
    assert!(claim(it.store(), "b", u64::MAX - 1, 1).await.is_err());
}

pub(super) async fn i13_names_in_claims_have_limits<I: Implementation>(it: I) {
    let long = "w".repeat(limits::KEY_BYTES_MAX + 1);
    let refused = claim(it.store(), &long, 0, 10).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
    let refused = it.store().claim(&stream(&long), &worker("a"), at(0), 10).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
}
