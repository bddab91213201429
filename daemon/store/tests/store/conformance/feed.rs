//! The feed of all streams.

use std::task::Poll;

use deployd_core::journal::Version;
use deployd_core::ports::{Batch, FeedPosition, Store};
use futures::poll;

use crate::implementations::Implementation;
use crate::samples::*;

async fn places(store: &dyn Store, after: u64, max: usize) -> Vec<(u64, String, u64)> {
    let items = store.feed(FeedPosition(after), max).await.unwrap();
    items
        .into_iter()
        .map(|item| (item.position.0, item.record.stream.0, item.record.version.0))
        .collect()
}

pub(super) async fn i3_the_feed_has_all_events_in_their_order<I: Implementation>(it: I) {
    it.store().append(events("b", 0, 2)).await.unwrap();
    let appends = vec![append("a", 0, 2), append("b", 2, 1)];
    it.store().append(Batch { appends, ..Batch::default() }).await.unwrap();
    let expected = [(1, "b", 1), (2, "b", 2), (3, "a", 1), (4, "a", 2), (5, "b", 3)];
    let expected = expected.map(|(position, name, version)| (position, name.to_owned(), version));
    assert_eq!(places(it.store(), 0, 9).await, expected);
}

pub(super) async fn a_feed_item_is_the_event_of_its_stream<I: Implementation>(it: I) {
    it.store().append(events("b", 0, 2)).await.unwrap();
    let items = it.store().feed(FeedPosition(1), 1).await.unwrap();
    let records = it.store().read(&stream("b"), Version(2), 1).await.unwrap();
    assert_eq!(items[0].record, records[0]);
}

pub(super) async fn the_feed_goes_on_after_a_position<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 5)).await.unwrap();
    for (after, max, expected) in [
        (0, 2, vec![1, 2]),
        (2, 2, vec![3, 4]),
        (4, 2, vec![5]),
        (5, 2, vec![]),
        (99, 2, vec![]),
        (u64::MAX, 2, vec![]),
        (0, 0, vec![]),
        (3, usize::MAX, vec![4, 5]),
    ] {
        let found = places(it.store(), after, max).await;
        let positions: Vec<u64> = found.iter().map(|(position, _, _)| *position).collect();
        assert_eq!(positions, expected, "{max} after {after}");
    }
}

pub(super) async fn i3_a_refused_batch_leaves_no_gap<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 1)).await.unwrap();
    assert!(it.store().append(events("s", 0, 3)).await.is_err());
    it.store().append(events("s", 1, 1)).await.unwrap();
    let positions: Vec<u64> =
        places(it.store(), 0, 9).await.into_iter().map(|(position, _, _)| position).collect();
    assert_eq!(positions, [1, 2]);
}

pub(super) async fn what_the_feed_has_already_is_not_waited_for<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 3)).await.unwrap();
    for after in [0, 1, 2] {
        let end = it.store().feed_grown(FeedPosition(after)).await.unwrap();
        assert_eq!(end, FeedPosition(3));
    }
    let it = it.restart().await;
    assert_eq!(it.store().feed_grown(FeedPosition(0)).await.unwrap(), FeedPosition(3));
}

pub(super) async fn who_waits_for_the_feed_is_woken<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 1)).await.unwrap();
    let mut grown = Box::pin(it.store().feed_grown(FeedPosition(1)));
    let mut far = Box::pin(it.store().feed_grown(FeedPosition(4)));
    assert!(matches!(poll!(&mut grown), Poll::Pending));
    assert!(matches!(poll!(&mut far), Poll::Pending));
    it.store().append(events("s", 1, 2)).await.unwrap();
    assert_eq!(grown.await.unwrap(), FeedPosition(3));
    assert!(matches!(poll!(&mut far), Poll::Pending));
    it.store().append(events("s", 3, 2)).await.unwrap();
    assert_eq!(far.await.unwrap(), FeedPosition(5));
}

pub(super) async fn a_batch_without_events_wakes_nobody<I: Implementation>(it: I) {
    let mut grown = Box::pin(it.store().feed_grown(FeedPosition(0)));
    assert!(matches!(poll!(&mut grown), Poll::Pending));
    it.store().append(puts(vec![put(PLACES, b"k", b"v")])).await.unwrap();
    assert!(it.store().append(events("s", 4, 1)).await.is_err());
    assert!(matches!(poll!(&mut grown), Poll::Pending));
}

pub(super) async fn what_the_feed_grew_to_can_be_read<I: Implementation>(it: I) {
    let follow = async {
        let mut after = FeedPosition(0);
        while after < FeedPosition(10) {
            let end = it.store().feed_grown(after).await.unwrap();
            let items = it.store().feed(after, 100).await.unwrap();
            assert!(items.last().is_some_and(|last| last.position >= end));
            for item in items {
                assert_eq!(item.position.0, after.0 + 1);
                after = item.position;
            }
        }
    };
    let write = async {
        for n in 0..5 {
            it.store().append(events("s", 2 * n, 2)).await.unwrap();
        }
    };
    tokio::join!(follow, write);
}
