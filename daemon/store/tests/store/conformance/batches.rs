//! Appends: versions, chains, all or nothing.

use deployd_core::journal::{ChainError, Head, Version, genesis, verify_chain};
use deployd_core::ports::{Batch, FeedPosition, Store, StoreError};
use deployd_store::limits;
use serde_json::{Value, json};

use super::{is_empty, is_invalid};
use crate::implementations::Implementation;
use crate::samples::*;

pub(super) async fn a_stream_that_is_not_there_has_version_0<I: Implementation>(it: I) {
    let head = it.store().head(&stream("s")).await.unwrap();
    assert_eq!(head, Head { version: Version(0), hash: genesis(&stream("s")) });
    assert_eq!(it.store().read(&stream("s"), Version(0), 9).await.unwrap(), []);
}

pub(super) async fn i3_versions_are_1_2_3<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 2)).await.unwrap();
    it.store().append(events("s", 2, 1)).await.unwrap();
    let records = it.store().read(&stream("s"), Version(0), 9).await.unwrap();
    let versions: Vec<u64> = records.iter().map(|record| record.version.0).collect();
    assert_eq!(versions, [1, 2, 3]);
}

pub(super) async fn heads_are_returned_in_the_order_of_the_appends<I: Implementation>(it: I) {
    let appends = vec![append("b", 0, 2), append("a", 0, 1)];
    let heads = it.store().append(Batch { appends, ..Batch::default() }).await.unwrap();
    assert_eq!(heads[0], it.store().head(&stream("b")).await.unwrap());
    assert_eq!(heads[1], it.store().head(&stream("a")).await.unwrap());
    assert_eq!([heads[0].version.0, heads[1].version.0], [2, 1]);
}

pub(super) async fn an_append_elsewhere_than_at_the_end_conflicts<I: Implementation>(it: I) {
    let heads = it.store().append(events("s", 0, 2)).await.unwrap();
    for expect in [0, 1, 3, u64::MAX] {
        match it.store().append(events("s", expect, 1)).await {
            Err(StoreError::Conflict { stream: found, head }) => {
                assert_eq!((found, head), (stream("s"), heads[0]));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(it.store().head(&stream("s")).await.unwrap(), heads[0]);
}

pub(super) async fn of_two_appends_at_one_version_one_wins<I: Implementation>(it: I) {
    let (one, other) =
        tokio::join!(it.store().append(events("s", 0, 1)), it.store().append(events("s", 0, 1)));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    assert_eq!(it.store().head(&stream("s")).await.unwrap().version, Version(1));
}

pub(super) async fn what_was_appended_is_read_as_it_was<I: Implementation>(it: I) {
    let mut batch = events("s", 0, 3);
    let bodies = [
        json!({ "text": "tab\t quote\" nul\u{0} rocket🚀", "null": null, "": [] }),
        json!([0.1, -0.0, 1e300, 5e-324, 0.1 + 0.2, 123456789.12345679, 1.0]),
        json!([u64::MAX, i64::MIN, 0, true, {"b": 1, "a": {"d": [], "c": {}}}]),
    ];
    for (event, body) in batch.appends[0].events.iter_mut().zip(bodies) {
        event.body = body;
    }
    let expected = batch.appends[0].events.clone();
    it.store().append(batch).await.unwrap();
    let records = it.store().read(&stream("s"), Version(1), 9).await.unwrap();
    let found: Vec<_> = records.into_iter().map(|record| record.event).collect();
    assert_eq!(found, expected);
    assert!(it.store().verify().await.unwrap().is_sound());
}

pub(super) async fn i9_every_event_is_chained_to_the_one_before<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 2)).await.unwrap();
    let head = it.store().append(events("s", 2, 3)).await.unwrap()[0];
    let records = it.store().read(&stream("s"), Version(1), 9).await.unwrap();
    let start = Head { version: Version(0), hash: genesis(&stream("s")) };
    assert_eq!(verify_chain(&stream("s"), start, &records), Ok(head));
    let other = verify_chain(&stream("t"), start, &records);
    assert!(matches!(other, Err(ChainError::Gap { .. })));
}

pub(super) async fn reading_begins_at_a_version_and_ends_at_max<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 5)).await.unwrap();
    for (from, max, expected) in [
        (0, 2, vec![1, 2]),
        (1, 2, vec![1, 2]),
        (4, 9, vec![4, 5]),
        (5, 1, vec![5]),
        (6, 9, vec![]),
        (u64::MAX, 9, vec![]),
        (1, 0, vec![]),
        (2, usize::MAX, vec![2, 3, 4, 5]),
    ] {
        let records = it.store().read(&stream("s"), Version(from), max).await.unwrap();
        let versions: Vec<u64> = records.iter().map(|record| record.version.0).collect();
        assert_eq!(versions, expected, "{max} from {from}");
    }
}

pub(super) async fn streams_with_names_that_begin_alike_are_apart<I: Implementation>(it: I) {
    for name in ["a", "a/", "a/b", "a\u{0}", "ab", "ü"] {
        it.store().append(events(name, 0, 1)).await.unwrap();
    }
    for name in ["a", "a/", "a/b", "a\u{0}", "ab", "ü"] {
        let records = it.store().read(&stream(name), Version(0), 9).await.unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].stream, stream(name));
    }
}

pub(super) async fn a_batch_stores_all_its_parts<I: Implementation>(it: I) {
    it.store().append(everything(7)).await.unwrap();
    assert_eq!(it.store().head(&stream("everything/7")).await.unwrap().version, Version(2));
    assert_eq!(it.store().get(PLACES, &7u64.to_be_bytes()).await.unwrap().unwrap(), b"here");
    assert!(it.store().outbox_get(&message_id(7)).await.unwrap().is_some());
    let content = object(b"content 7");
    assert_eq!(it.store().object(content.digest).await.unwrap(), Some(content.bytes));
}

pub(super) async fn a_batch_that_conflicts_stores_nothing<I: Implementation>(it: I) {
    let mut batch = everything(7);
    batch.appends.push(append("other", 3, 1));
    let refused = it.store().append(batch).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    is_empty(it.store()).await;
}

pub(super) async fn a_batch_that_is_fenced_off_stores_nothing<I: Implementation>(it: I) {
    let mut batch = everything(7);
    batch.appends[0].fence = Some(deployd_core::ports::Fence(1));
    let refused = it.store().append(batch).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    is_empty(it.store()).await;
}

pub(super) async fn an_empty_batch_is_stored<I: Implementation>(it: I) {
    assert_eq!(it.store().append(Batch::default()).await.unwrap(), []);
    is_empty(it.store()).await;
}

pub(super) async fn an_append_without_events_is_invalid<I: Implementation>(it: I) {
    let mut batch = everything(1);
    batch.appends.push(append("other", 0, 0));
    is_invalid(it.store(), batch).await;
}

pub(super) async fn a_stream_twice_is_invalid<I: Implementation>(it: I) {
    let mut batch = everything(1);
    batch.appends.push(append("everything/1", 2, 1));
    is_invalid(it.store(), batch).await;
}

pub(super) async fn a_stream_without_a_name_is_invalid<I: Implementation>(it: I) {
    is_invalid(it.store(), events("", 0, 1)).await;
}

pub(super) async fn i13_an_event_over_the_limit_is_invalid<I: Implementation>(it: I) {
    let mut batch = everything(1);
    batch.appends[0].events[1].body = json!("x".repeat(limits::EVENT_BYTES_MAX));
    is_invalid(it.store(), batch).await;
}

pub(super) async fn i13_a_name_over_the_limit_is_invalid<I: Implementation>(it: I) {
    let name = "s".repeat(limits::STREAM_BYTES_MAX);
    it.store().append(events(&name, 0, 1)).await.unwrap();
    let refused = it.store().append(events(&format!("{name}s"), 0, 1)).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))));
}

pub(super) async fn i13_too_many_items_are_invalid<I: Implementation>(it: I) {
    let batch = puts(vec![put(PLACES, b"k", b"v"); limits::BATCH_ITEMS_MAX + 1]);
    is_invalid(it.store(), batch).await;
}

pub(super) async fn i13_too_many_bytes_are_invalid<I: Implementation>(it: I) {
    let value = vec![0; limits::VALUE_BYTES_MAX];
    let count = limits::BATCH_BYTES_MAX / limits::VALUE_BYTES_MAX + 1;
    is_invalid(it.store(), puts(vec![put(PLACES, b"k", &value); count])).await;
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

pub(super) async fn i14_json_too_deep_to_be_read_again_is_invalid<I: Implementation>(it: I) {
    let mut batch = everything(1);
    batch.appends[0].events[0].body = nested(limits::JSON_DEPTH_MAX + 1);
    is_invalid(it.store(), batch).await;
    let mut batch = everything(1);
    batch.outbox[0].event = nested(limits::JSON_DEPTH_MAX + 1);
    is_invalid(it.store(), batch).await;
}

pub(super) async fn i14_json_just_not_too_deep_is_read_again<I: Implementation>(it: I) {
    let mut batch = everything(1);
    batch.appends[0].events[0].body = nested(limits::JSON_DEPTH_MAX);
    batch.outbox[0].event = nested(limits::JSON_DEPTH_MAX);
    it.store().append(batch.clone()).await.unwrap();
    let records = it.store().read(&stream("everything/1"), Version(1), 1).await.unwrap();
    assert_eq!(records[0].event, batch.appends[0].events[0]);
    assert_eq!(it.store().outbox_get(&message_id(1)).await.unwrap().unwrap(), batch.outbox[0]);
}

pub(super) async fn i1_what_was_stored_is_there_after_a_restart<I: Implementation>(it: I) {
    it.store().append(everything(1)).await.unwrap();
    let records = it.store().read(&stream("everything/1"), Version(0), 9).await.unwrap();
    let it = it.restart().await;
    let again = it.store().read(&stream("everything/1"), Version(0), 9).await.unwrap();
    assert_eq!(again, records);
    assert_eq!(it.store().feed(FeedPosition(0), 9).await.unwrap().len(), 2);
    a_batch_is_there(it.store(), 1).await;
}

pub(super) async fn a_stream_goes_on_after_a_restart<I: Implementation>(it: I) {
    it.store().append(events("s", 0, 2)).await.unwrap();
    let it = it.restart().await;
    it.store().append(events("s", 2, 1)).await.unwrap();
    let places = it.store().feed(FeedPosition(0), 9).await.unwrap();
    let positions: Vec<u64> = places.iter().map(|item| item.position.0).collect();
    assert_eq!(positions, [1, 2, 3]);
    assert!(it.store().verify().await.unwrap().is_sound());
}

async fn a_batch_is_there(store: &dyn Store, n: u64) {
    let content = object(format!("content {n}").as_bytes());
    assert_eq!(store.object(content.digest).await.unwrap(), Some(content.bytes));
    assert_eq!(store.get(PLACES, &n.to_be_bytes()).await.unwrap().unwrap(), b"here");
    assert_eq!(store.outbox_get(&message_id(n)).await.unwrap(), Some(message(n, 0)));
}
