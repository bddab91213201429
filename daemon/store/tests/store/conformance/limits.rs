//! The largest and the smallest that is stored, and what is over it (I13).

use deployd_core::journal::Version;
use deployd_core::outbox::Message;
use deployd_core::ports::{Accepted, Batch, FeedPosition, Order, StoreError};
use deployd_store::limits;
use serde_json::{Value, json};

use super::is_invalid;
use crate::implementations::Implementation;
use crate::samples::*;

pub(super) async fn i13_an_event_of_the_largest_size_is_stored<I: Implementation>(it: I) {
    let mut batch = events("s", 0, 1);
    batch.appends[0].events[0].body = json!("");
    let frame = serde_json::to_string(&batch.appends[0].events[0]).unwrap().len();
    let text = "x".repeat(limits::EVENT_BYTES_MAX - frame);
    batch.appends[0].events[0].body = Value::String(text.clone());
    let mut over = batch.clone();
    over.appends[0].events[0].body = Value::String(text + "x");
    is_invalid(it.store(), over).await;
    it.store().append(batch.clone()).await.unwrap();
    let it = it.restart().await;
    let found = it.store().read(&stream("s"), Version(1), 1).await.unwrap();
    assert_eq!(found[0].event, batch.appends[0].events[0]);
}

pub(super) async fn an_event_without_anything_is_stored<I: Implementation>(it: I) {
    let mut batch = events("s", 0, 2);
    for (event, body) in batch.appends[0].events.iter_mut().zip([Value::Null, json!({})]) {
        event.kind = String::new();
        event.body = body;
    }
    it.store().append(batch.clone()).await.unwrap();
    let found = it.store().read(&stream("s"), Version(1), 2).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|record| record.event).collect();
    assert_eq!(found, batch.appends[0].events);
}

pub(super) async fn i13_a_value_of_the_largest_size_is_stored<I: Implementation>(it: I) {
    let value: Vec<u8> = (0..limits::VALUE_BYTES_MAX).map(|n| (n % 251) as u8).collect();
    it.store().append(puts(vec![put(PLACES, b"k", &value)])).await.unwrap();
    let it = it.restart().await;
    assert_eq!(it.store().get(PLACES, b"k").await.unwrap(), Some(value));
}

pub(super) async fn i13_content_of_the_largest_size_is_stored<I: Implementation>(it: I) {
    let content = object(&vec![7; limits::OBJECT_BYTES_MAX]);
    it.store().append(objects(vec![content.clone()])).await.unwrap();
    assert!(it.store().object(content.digest).await.unwrap() == Some(content.bytes));
}

pub(super) async fn i13_a_message_of_the_largest_size_is_stored<I: Implementation>(it: I) {
    let frame = serde_json::to_string(&Message { event: json!(""), ..message(1, 0) }).unwrap();
    let text = "x".repeat(limits::MESSAGE_BYTES_MAX - frame.len());
    let large = Message { event: json!(text), ..message(1, 0) };
    it.store().append(messages(vec![large.clone()])).await.unwrap();
    assert_eq!(it.store().outbox_take(at(0), at(9), 1).await.unwrap(), [large]);
}

pub(super) async fn i13_the_id_of_a_message_has_a_limit<I: Implementation>(it: I) {
    let long = deployd_core::outbox::MessageId("m".repeat(limits::KEY_BYTES_MAX));
    let longer = deployd_core::outbox::MessageId("m".repeat(limits::KEY_BYTES_MAX + 1));
    is_invalid(it.store(), messages(vec![Message { id: longer, ..message(1, 0) }])).await;
    let kept = Message { id: long.clone(), ..message(1, 0) };
    it.store().append(messages(vec![kept.clone()])).await.unwrap();
    assert_eq!(it.store().outbox_get(&long).await.unwrap(), Some(kept));
}

pub(super) async fn i13_an_answer_of_the_largest_size_is_replayed<I: Implementation>(it: I) {
    let answer = vec![3; limits::ANSWER_BYTES_MAX];
    let name = key(&"k".repeat(limits::KEY_BYTES_MAX));
    let batch = Batch::default();
    it.store().accept(name.clone(), digest(1), answer.clone(), at(1), batch).await.unwrap();
    let it = it.restart().await;
    let again = it.store().accept(name, digest(1), Vec::new(), at(1), Batch::default()).await;
    assert!(again.unwrap() == Accepted::Replayed(answer));
}

pub(super) async fn i13_a_worker_s_name_of_the_largest_size_claims<I: Implementation>(it: I) {
    let name = "w".repeat(limits::KEY_BYTES_MAX);
    let claim = it.store().claim(&stream("s"), &worker(&name), at(1), 9).await.unwrap();
    assert_eq!(claim.worker.0, name);
    match it.store().claim(&stream("s"), &worker("other"), at(1), 9).await {
        Err(StoreError::Claimed { owner, .. }) => assert_eq!(owner, name),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn i13_a_claim_of_no_stream_is_invalid<I: Implementation>(it: I) {
    let refused = it.store().claim(&stream(""), &worker("a"), at(1), 9).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
}

pub(super) async fn i13_the_most_items_are_stored<I: Implementation>(it: I) {
    let keys = (0..limits::BATCH_ITEMS_MAX as u32).map(u32::to_be_bytes);
    let batch = puts(keys.map(|key| put(PLACES, &key, b"v")).collect());
    it.store().append(batch).await.unwrap();
    let page = it.store().scan(PLACES, all(), Order::Ascending, usize::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.more), (limits::BATCH_ITEMS_MAX, false));
}

pub(super) async fn many_streams_grow_in_one_batch<I: Implementation>(it: I) {
    let appends: Vec<_> = (0..500).map(|n| append(&format!("s/{n}"), 0, 2)).collect();
    let heads = it.store().append(Batch { appends, ..Batch::default() }).await.unwrap();
    assert!(heads.len() == 500 && heads.iter().all(|head| head.version == Version(2)));
    let feed = it.store().feed(FeedPosition(0), usize::MAX).await.unwrap();
    let positions: Vec<u64> = feed.iter().map(|item| item.position.0).collect();
    assert_eq!(positions, (1..=1_000).collect::<Vec<u64>>());
}

pub(super) async fn i13_events_count_as_items<I: Implementation>(it: I) {
    let count = limits::BATCH_ITEMS_MAX as u64 + 1;
    is_invalid(it.store(), events("s", 0, count)).await;
}

pub(super) async fn i13_an_invalid_part_refuses_the_whole_batch<I: Implementation>(it: I) {
    let bad: [fn(&mut Batch); 5] = [
        |batch| batch.puts.push(put(PLACES, &[0; limits::KEY_BYTES_MAX + 1], b"")),
        |batch| batch.puts.push(put(PLACES, b"k", &vec![0; limits::VALUE_BYTES_MAX + 1])),
        |batch| batch.appends.push(append("other", 0, 0)),
        |batch| batch.appends.push(append("", 0, 1)),
        |batch| batch.objects[0].digest = digest(77),
    ];
    for spoil in bad {
        let mut batch = everything(1);
        spoil(&mut batch);
        is_invalid(it.store(), batch).await;
    }
}
