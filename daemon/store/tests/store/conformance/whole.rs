//! The store as a whole: verification and backups.

use deployd_core::ports::{FeedPosition, StoreError, VerifyReport};

use crate::implementations::Implementation;
use crate::samples::*;

pub(super) async fn i9_an_empty_store_is_sound<I: Implementation>(it: I) {
    assert_eq!(it.store().verify().await.unwrap(), VerifyReport::default());
}

pub(super) async fn i9_a_verification_counts_what_it_read<I: Implementation>(it: I) {
    for n in 0..3 {
        it.store().append(everything(n)).await.unwrap();
    }
    it.store().append(events("s", 0, 5)).await.unwrap();
    let expected = VerifyReport { streams: 4, events: 11, objects: 3, ..VerifyReport::default() };
    assert_eq!(it.store().verify().await.unwrap(), expected);
}

pub(super) async fn a_backup_has_everything<I: Implementation>(it: I) {
    let store = it.store();
    for n in 0..3 {
        store.append(everything(n)).await.unwrap();
    }
    store.accept(key("k"), digest(1), b"first".to_vec(), at(1), events("s", 0, 1)).await.unwrap();
    store.claim(&stream("s"), &worker("a"), at(0), 100).await.unwrap();
    store.outbox_take(at(0), at(70), 1).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    store.backup(&path).await.unwrap();
    store.append(events("later", 0, 1)).await.unwrap();

    let copy = I::restored(&path).await;
    let copied = copy.store();
    let feed = store.feed(FeedPosition(0), 7).await.unwrap();
    assert_eq!(copied.feed(FeedPosition(0), 99).await.unwrap(), feed);
    assert_eq!(copied.accepted(key("k"), digest(1)).await.unwrap(), Some(b"first".to_vec()));
    let other = copied.claim(&stream("s"), &worker("b"), at(0), 100).await;
    assert!(matches!(other, Err(StoreError::Claimed { .. })));
    assert_eq!(copied.outbox_take(at(0), at(70), 9).await.unwrap().len(), 2);
    assert_eq!(copied.get(PLACES, &1u64.to_be_bytes()).await.unwrap(), Some(b"here".to_vec()));
    assert_eq!(copied.verify().await.unwrap().objects, 3);
    copied.append(events("s", 1, 1)).await.unwrap();
    assert!(copied.verify().await.unwrap().is_sound());
}

pub(super) async fn a_backup_replaces_nothing<I: Implementation>(it: I) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    std::fs::write(&path, "mine").unwrap();
    let refused = it.store().backup(&path).await;
    assert!(matches!(refused, Err(StoreError::Backup(_))), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    it.store().append(events("s", 0, 1)).await.unwrap();
}

pub(super) async fn a_backup_to_nowhere_fails_and_the_store_goes_on<I: Implementation>(it: I) {
    let directory = tempfile::tempdir().unwrap();
    let refused = it.store().backup(&directory.path().join("no/such/directory")).await;
    assert!(matches!(refused, Err(StoreError::Backup(_))), "{refused:?}");
    it.store().append(events("s", 0, 1)).await.unwrap();
}
