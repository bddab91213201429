//! Many callers at once.

use std::collections::BTreeSet;

use deployd_core::journal::Version;
use deployd_core::outbox::MessageStatus;
use deployd_core::ports::{Accepted, Batch, FeedPosition, Fence, Store, StoreError};
use futures::future::join_all;

use crate::implementations::Implementation;
use crate::samples::*;

/// Appends one event, wherever the stream ends.
async fn append_at_the_end(store: &dyn Store, name: &str, batch: Batch) -> u64 {
    loop {
        let head = store.head(&stream(name)).await.unwrap();
        let mut batch = batch.clone();
        batch.appends = vec![append(name, head.version.0, 1)];
        match store.append(batch).await {
            Ok(heads) => return heads[0].version.0,
            Err(StoreError::Conflict { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) async fn i3_of_many_appends_at_once_each_has_its_version<I: Implementation>(it: I) {
    let all = (0..12).map(|_| append_at_the_end(it.store(), "s", Batch::default()));
    let versions: BTreeSet<u64> = join_all(all).await.into_iter().collect();
    assert_eq!(versions, (1..=12).collect());
    assert!(it.store().verify().await.unwrap().is_sound());
}

pub(super) async fn i4_of_many_appends_at_one_version_one_is_stored<I: Implementation>(it: I) {
    let all = (0..20).map(|_| it.store().append(events("s", 0, 1)));
    let answers = join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(answer, StoreError::Conflict { head, .. } if head.version == Version(1)));
    }
}

pub(super) async fn i3_streams_at_once_share_one_feed<I: Implementation>(it: I) {
    let all = (0..30).map(|n| async move { (n, events(&format!("s/{n}"), 0, 1 + n % 3)) });
    let all: Vec<_> = join_all(all).await;
    join_all(all.iter().map(|(_, batch)| it.store().append(batch.clone()))).await;
    let feed = it.store().feed(FeedPosition(0), usize::MAX).await.unwrap();
    let positions: Vec<u64> = feed.iter().map(|item| item.position.0).collect();
    assert_eq!(positions, (1..=60).collect::<Vec<u64>>());
    for (n, _) in all {
        let versions: Vec<u64> = feed
            .iter()
            .filter(|item| item.record.stream == stream(&format!("s/{n}")))
            .map(|item| item.record.version.0)
            .collect();
        assert_eq!(versions, (1..=1 + n % 3).collect::<Vec<u64>>(), "each stream's in order");
    }
}

pub(super) async fn i2_of_many_repeats_at_once_one_is_new<I: Implementation>(it: I) {
    let ask = |n: u8| {
        it.store().accept(key("k"), digest(1), vec![n], at(5), events(&format!("s/{n}"), 0, 1))
    };
    let answers = join_all((0..40).map(ask)).await;
    let new: Vec<_> =
        (0u8..).zip(&answers).filter(|(_, answer)| matches!(answer, Ok(Accepted::New))).collect();
    assert_eq!(new.len(), 1);
    let first = vec![new[0].0];
    for (n, answer) in (0u8..).zip(answers.iter()) {
        let is_first = vec![n] == first;
        assert!(is_first || matches!(answer, Ok(Accepted::Replayed(found)) if *found == first));
        let head = it.store().head(&stream(&format!("s/{n}"))).await.unwrap();
        assert_eq!(head.version.0, u64::from(is_first));
    }
}

pub(super) async fn i2_of_one_key_and_two_requests_at_once_one_is_known<I: Implementation>(it: I) {
    let ask = |n: u64| it.store().accept(key("k"), digest(n % 2), vec![], at(5), everything(n));
    let answers = join_all((0..10).map(ask)).await;
    let count = |what: fn(&Result<Accepted, StoreError>) -> bool| {
        answers.iter().filter(|answer| what(answer)).count()
    };
    assert_eq!(count(|answer| matches!(answer, Ok(Accepted::New))), 1);
    assert_eq!(count(|answer| matches!(answer, Ok(Accepted::Replayed(_)))), 4);
    assert_eq!(count(|answer| matches!(answer, Err(StoreError::KeyReuse))), 5);
    assert_eq!(it.store().verify().await.unwrap().streams, 1);
}

pub(super) async fn i17_of_many_claims_at_once_one_worker_has_it<I: Implementation>(it: I) {
    let names: Vec<_> = (0..20).map(|n| worker(&format!("w{n}"))).collect();
    let name = stream("s");
    let answers = join_all(names.iter().map(|w| it.store().claim(&name, w, at(1), 100))).await;
    let given: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].fence, Fence(1));
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(
            matches!(refused, StoreError::Claimed { owner, .. } if *owner == given[0].worker.0)
        );
    }
}

pub(super) async fn i17_every_takeover_at_once_has_a_fence_of_its_own<I: Implementation>(it: I) {
    // Claims that expire at once: each worker takes over from another.
    let names: Vec<_> = (0..20).map(|n| worker(&format!("w{n}"))).collect();
    let name = stream("s");
    let answers = join_all(names.iter().map(|w| it.store().claim(&name, w, at(1), 0))).await;
    let fences: BTreeSet<u64> = answers.into_iter().map(|answer| answer.unwrap().fence.0).collect();
    assert_eq!(fences, (1..=20).collect());
}

pub(super) async fn i11_of_many_takes_at_once_each_message_is_given_once<I: Implementation>(it: I) {
    it.store().append(messages((0..50).map(|n| message(n, 1)).collect())).await.unwrap();
    let taken = join_all((0..12).map(|_| it.store().outbox_take(at(5), at(99), 5))).await;
    let ids: Vec<String> =
        taken.into_iter().flat_map(Result::unwrap).map(|message| message.id.0).collect();
    assert_eq!(ids.len(), 50);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 50);
}

pub(super) async fn i11_settled_and_added_at_once_none_is_lost<I: Implementation>(it: I) {
    it.store().append(messages((0..20).map(|n| message(n, 1)).collect())).await.unwrap();
    let settle = (0..20).map(|n| {
        let mut settled = message(n, 1);
        settled.status = if n % 2 == 0 { MessageStatus::Delivered } else { MessageStatus::Dead };
        it.store().outbox_settle(settled)
    });
    let add = (20..40).map(|n| it.store().append(messages(vec![message(n, 1)])));
    let (settled, added) = tokio::join!(join_all(settle), join_all(add));
    assert!(settled.iter().all(Result::is_ok) && added.iter().all(Result::is_ok));
    let count =
        async |status| it.store().outbox_list(Some(status), None, usize::MAX).await.unwrap().len();
    use MessageStatus::{Dead, Delivered, Pending};
    assert_eq!((count(Delivered).await, count(Dead).await, count(Pending).await), (10, 10, 20));
    assert!(it.store().verify().await.unwrap().is_sound());
}

pub(super) async fn i10_events_and_projections_are_seen_together<I: Implementation>(it: I) {
    let write = async {
        for n in 0..20u64 {
            let mut batch = events("s", n, 1);
            batch.puts = vec![put(PLACES, b"version", &(n + 1).to_be_bytes())];
            batch.outbox = vec![message(n, 0)];
            it.store().append(batch).await.unwrap();
        }
    };
    let projected = async || {
        let value = it.store().get(PLACES, b"version").await.unwrap();
        value.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap()))
    };
    let read = async {
        while projected().await < 20 {
            // Whatever is seen first, the others are there as well.
            let seen = projected().await;
            assert!(it.store().head(&stream("s")).await.unwrap().version.0 >= seen);
            let head = it.store().head(&stream("s")).await.unwrap().version.0;
            assert!(projected().await >= head);
            let told = it.store().outbox_list(None, None, usize::MAX).await.unwrap().len();
            assert!(told as u64 >= head);
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, read);
}

pub(super) async fn a_follower_of_the_feed_sees_everything_once<I: Implementation>(it: I) {
    let follow = async {
        let mut seen = Vec::new();
        let mut after = FeedPosition(0);
        while seen.len() < 30 {
            it.store().feed_grown(after).await.unwrap();
            for item in it.store().feed(after, 4).await.unwrap() {
                assert_eq!(item.position.0, after.0 + 1, "a gap");
                after = item.position;
                seen.push((item.record.stream.0.clone(), item.record.version.0));
            }
        }
        seen
    };
    let write = join_all((0..30).map(|n| {
        let name = if n % 2 == 0 { "a" } else { "b" };
        append_at_the_end(it.store(), name, Batch::default())
    }));
    let (seen, _) = tokio::join!(follow, write);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 30);
}

pub(super) async fn the_same_content_at_once_is_stored_once<I: Implementation>(it: I) {
    let content = object(&b"same ".repeat(400));
    let all = (0..10).map(|_| it.store().append(objects(vec![content.clone()])));
    assert!(join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(it.store().verify().await.unwrap().objects, 1);
}
