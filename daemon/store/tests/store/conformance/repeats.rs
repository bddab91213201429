//! Idempotency keys over time, restarts and copies (I2).

use deployd_core::ports::{Accepted, Batch, FeedPosition, Store, StoreError};
use deployd_store::limits;

use crate::implementations::Implementation;
use crate::samples::*;

async fn ask(store: &dyn Store, name: &str, n: u64, now: u64) -> Result<Accepted, StoreError> {
    store.accept(key(name), digest(n), n.to_be_bytes().to_vec(), at(now), Batch::default()).await
}

fn replayed(n: u64) -> Accepted {
    Accepted::Replayed(n.to_be_bytes().to_vec())
}

pub(super) async fn i2_keys_that_begin_alike_are_apart<I: Implementation>(it: I) {
    let names = ["k", "k\u{0}", "kk", "K", "k ", "ключ", "🔑"];
    for (n, name) in (0..).zip(names) {
        assert_eq!(ask(it.store(), name, n, 1).await.unwrap(), Accepted::New);
    }
    let it = it.restart().await;
    for (n, name) in (0..).zip(names) {
        assert_eq!(ask(it.store(), name, n, 1).await.unwrap(), replayed(n));
    }
}

pub(super) async fn i2_another_digest_is_refused_also_after_a_restart<I: Implementation>(it: I) {
    ask(it.store(), "k", 1, 1).await.unwrap();
    let it = it.restart().await;
    assert!(matches!(ask(it.store(), "k", 2, 1).await, Err(StoreError::KeyReuse)));
    assert!(matches!(it.store().accepted(key("k"), digest(2)).await, Err(StoreError::KeyReuse)));
    assert_eq!(ask(it.store(), "k", 1, 1).await.unwrap(), replayed(1));
}

pub(super) async fn i2_a_refused_reuse_leaves_the_key_as_it_is<I: Implementation>(it: I) {
    ask(it.store(), "k", 1, 1).await.unwrap();
    for n in 2..5 {
        assert!(ask(it.store(), "k", n, 1).await.is_err());
    }
    assert_eq!(ask(it.store(), "k", 1, 1).await.unwrap(), replayed(1));
}

pub(super) async fn i2_a_repeat_does_not_renew_its_key<I: Implementation>(it: I) {
    ask(it.store(), "k", 1, 0).await.unwrap();
    let late = limits::KEY_KEPT_MS - 1;
    assert_eq!(ask(it.store(), "k", 1, late).await.unwrap(), replayed(1));
    // Swept with the first new key after its time, as if it had never repeated.
    ask(it.store(), "other", 2, limits::KEY_KEPT_MS + 1).await.unwrap();
    assert_eq!(it.store().accepted(key("k"), digest(1)).await.unwrap(), None);
}

pub(super) async fn i2_a_key_is_kept_to_its_last_moment<I: Implementation>(it: I) {
    ask(it.store(), "k", 1, 0).await.unwrap();
    ask(it.store(), "other", 2, limits::KEY_KEPT_MS).await.unwrap();
    assert_eq!(
        it.store().accepted(key("k"), digest(1)).await.unwrap(),
        Some(vec![0, 0, 0, 0, 0, 0, 0, 1])
    );
}

pub(super) async fn i15_keys_of_a_clock_without_end_do_not_wrap<I: Implementation>(it: I) {
    ask(it.store(), "k", 1, u64::MAX - 3).await.unwrap();
    ask(it.store(), "l", 2, u64::MAX).await.unwrap();
    assert_eq!(ask(it.store(), "k", 1, u64::MAX).await.unwrap(), replayed(1));
}

pub(super) async fn i15_a_clock_that_jumps_back_forgets_nothing<I: Implementation>(it: I) {
    let day = 24 * 3_600_000;
    ask(it.store(), "k", 1, 100 * day).await.unwrap();
    for n in 2..6 {
        ask(it.store(), &format!("k{n}"), n, n).await.unwrap();
    }
    assert_eq!(ask(it.store(), "k", 1, 50 * day).await.unwrap(), replayed(1));
}

pub(super) async fn i2_only_new_keys_forget_old_ones<I: Implementation>(it: I) {
    ask(it.store(), "k", 1, 0).await.unwrap();
    let late = 2 * limits::KEY_KEPT_MS;
    it.store().append(events("s", 0, 1)).await.unwrap();
    assert_eq!(ask(it.store(), "k", 1, late).await.unwrap(), replayed(1));
}

pub(super) async fn i2_a_key_is_in_a_backup<I: Implementation>(it: I) {
    ask(it.store(), "k", 1, 1).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    it.store().backup(&path).await.unwrap();
    let copy = I::restored(&path).await;
    assert_eq!(ask(copy.store(), "k", 1, 2).await.unwrap(), replayed(1));
    assert!(matches!(ask(copy.store(), "k", 2, 2).await, Err(StoreError::KeyReuse)));
}

pub(super) async fn i2_what_is_accepted_is_in_the_feed_once<I: Implementation>(it: I) {
    for _ in 0..3 {
        let batch = events("s", 0, 2);
        it.store().accept(key("k"), digest(1), Vec::new(), at(1), batch).await.unwrap();
    }
    assert_eq!(it.store().feed(FeedPosition(0), 9).await.unwrap().len(), 2);
}
