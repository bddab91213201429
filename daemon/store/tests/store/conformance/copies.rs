//! Copies of the whole store, and what a verification says of them (I9).

use deployd_core::ports::{FeedPosition, Object, VerifyReport};

use super::is_empty;
use crate::implementations::Implementation;
use crate::samples::*;

pub(super) async fn an_empty_store_is_copied<I: Implementation>(it: I) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    it.store().backup(&path).await.unwrap();
    let copy = I::restored(&path).await;
    is_empty(copy.store()).await;
    copy.store().append(everything(1)).await.unwrap();
}

pub(super) async fn a_copy_and_its_store_go_their_own_ways<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 1)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    it.store().backup(&path).await.unwrap();
    let copy = I::restored(&path).await;
    it.store().append(events("s", 1, 2)).await.unwrap();
    copy.store().append(events("t", 0, 4)).await.unwrap();
    assert_eq!(it.store().feed(FeedPosition(0), 99).await.unwrap().len(), 3);
    assert_eq!(copy.store().feed(FeedPosition(0), 99).await.unwrap().len(), 5);
    assert_eq!(copy.store().head(&stream("s")).await.unwrap().version.0, 1);
}

pub(super) async fn a_copy_of_a_copy_has_everything<I: Implementation>(it: I) {
    for n in 0..4 {
        it.store().append(everything(n)).await.unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    it.store().backup(&first).await.unwrap();
    I::restored(&first).await.store().backup(&second).await.unwrap();
    let copy = I::restored(&second).await;
    let feed = it.store().feed(FeedPosition(0), 99).await.unwrap();
    assert_eq!(copy.store().feed(FeedPosition(0), 99).await.unwrap(), feed);
    assert_eq!(copy.store().verify().await.unwrap(), it.store().verify().await.unwrap());
}

pub(super) async fn a_copy_survives_a_restart<I: Implementation>(it: I) {
    it.store().append(everything(1)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    it.store().backup(&path).await.unwrap();
    let copy = I::restored(&path).await;
    copy.store().append(everything(2)).await.unwrap();
    let copy = copy.restart().await;
    assert_eq!(copy.store().verify().await.unwrap().events, 4);
}

pub(super) async fn copies_are_made_one_after_the_other<I: Implementation>(it: I) {
    let directory = tempfile::tempdir().unwrap();
    for n in 0..3u64 {
        it.store().append(everything(n)).await.unwrap();
        it.store().backup(&directory.path().join(n.to_string())).await.unwrap();
    }
    for n in 0..3u64 {
        let copy = I::restored(&directory.path().join(n.to_string())).await;
        assert_eq!(copy.store().verify().await.unwrap().streams, n + 1);
    }
}

pub(super) async fn i9_a_verification_is_the_same_after_a_restart<I: Implementation>(it: I) {
    for n in 0..3 {
        it.store().append(everything(n)).await.unwrap();
    }
    let before = it.store().verify().await.unwrap();
    let it = it.restart().await;
    assert_eq!(it.store().verify().await.unwrap(), before);
}

pub(super) async fn i9_refusals_leave_nothing_to_verify<I: Implementation>(it: I) {
    for n in 1..5 {
        assert!(it.store().append(events("s", n, 1)).await.is_err());
        assert!(it.store().append(events("", 0, 1)).await.is_err());
    }
    assert_eq!(it.store().verify().await.unwrap(), VerifyReport::default());
}

pub(super) async fn i9_messages_and_projections_are_no_events<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 1)])).await.unwrap();
    it.store().append(puts(vec![put(PLACES, b"k", b"v")])).await.unwrap();
    assert_eq!(it.store().verify().await.unwrap(), VerifyReport::default());
}

pub(super) async fn content_of_a_refused_batch_is_not_stored<I: Implementation>(it: I) {
    let content = object(b"content");
    let mut batch = events("s", 3, 1);
    batch.objects = vec![content.clone()];
    assert!(it.store().append(batch).await.is_err());
    assert_eq!(it.store().object(content.digest).await.unwrap(), None);
}

pub(super) async fn one_digest_with_two_contents_is_refused<I: Implementation>(it: I) {
    let content = object(b"content");
    let other = Object { digest: content.digest, bytes: b"other".to_vec() };
    super::is_invalid(it.store(), objects(vec![content, other])).await;
}

pub(super) async fn content_comes_with_its_events<I: Implementation>(it: I) {
    let contents: Vec<_> = (0..5).map(|n| object(format!("{n} ").repeat(500).as_bytes())).collect();
    let mut batch = events("s", 0, 1);
    batch.objects = contents.clone();
    it.store().accept(key("k"), digest(1), Vec::new(), at(1), batch).await.unwrap();
    let it = it.restart().await;
    for content in contents {
        assert_eq!(it.store().object(content.digest).await.unwrap(), Some(content.bytes));
    }
}
