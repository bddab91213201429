//! Messages to deliver.

use deployd_core::Timestamp;
use deployd_core::outbox::{Attempt, Message, MessageStatus};
use deployd_core::ports::{Store, StoreError};
use deployd_store::limits;
use serde_json::json;

use super::is_invalid;
use crate::implementations::Implementation;
use crate::samples::*;

async fn take(store: &dyn Store, now: u64, lease: u64, max: usize) -> Vec<String> {
    let taken = store.outbox_take(at(now), at(lease), max).await.unwrap();
    taken.into_iter().map(|message| message.id.0).collect()
}

async fn list(
    store: &dyn Store,
    status: Option<MessageStatus>,
    after: Option<u64>,
    max: usize,
) -> Vec<String> {
    let listed = store.outbox_list(status, after.map(message_id), max).await.unwrap();
    listed.into_iter().map(|message| message.id.0).collect()
}

fn delivered(message: Message) -> Message {
    let at = Timestamp(9);
    let attempt = Attempt { at, duration_ms: 1, target: "t".into(), status: None, fault: None };
    message.after(attempt, at, 0.0)
}

fn dead(message: Message) -> Message {
    Message { status: MessageStatus::Dead, ..message }
}

pub(super) async fn i11_a_message_is_stored_with_its_batch<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 50)])).await.unwrap();
    assert_eq!(it.store().outbox_get(&message_id(1)).await.unwrap(), Some(message(1, 50)));
    assert_eq!(it.store().outbox_get(&message_id(2)).await.unwrap(), None);
}

pub(super) async fn i11_a_message_that_is_there_stays_as_it_is<I: Implementation>(it: I) {
    let other = Message { event: json!("other"), ..message(1, 90) };
    it.store().append(messages(vec![message(1, 50), other.clone()])).await.unwrap();
    it.store().append(messages(vec![other.clone()])).await.unwrap();
    assert_eq!(it.store().outbox_get(&message_id(1)).await.unwrap(), Some(message(1, 50)));
    it.store().outbox_settle(delivered(message(1, 50))).await.unwrap();
    it.store().append(messages(vec![other])).await.unwrap();
    let kept = it.store().outbox_get(&message_id(1)).await.unwrap().unwrap();
    assert_eq!(kept.status, MessageStatus::Delivered);
    assert_eq!(it.store().outbox_due().await.unwrap(), None);
}

pub(super) async fn what_is_due_is_taken_soonest_first<I: Implementation>(it: I) {
    let all = vec![message(1, 30), message(2, 10), message(3, 20), message(4, 10)];
    it.store().append(messages(all)).await.unwrap();
    assert_eq!(take(it.store(), 9, 100, 9).await, [""; 0]);
    assert_eq!(take(it.store(), 25, 100, 9).await, ["msg_2", "msg_4", "msg_3"]);
    assert_eq!(take(it.store(), 30, 100, 9).await, ["msg_1"]);
}

pub(super) async fn at_most_max_are_taken<I: Implementation>(it: I) {
    let all = (1..=5).map(|n| message(n, n)).collect();
    it.store().append(messages(all)).await.unwrap();
    assert_eq!(take(it.store(), 9, 100, 0).await, [""; 0]);
    assert_eq!(take(it.store(), 9, 100, 2).await, ["msg_1", "msg_2"]);
    assert_eq!(take(it.store(), 9, 100, 2).await, ["msg_3", "msg_4"]);
    assert_eq!(take(it.store(), 9, 100, 2).await, ["msg_5"]);
}

pub(super) async fn i11_what_is_leased_is_not_given_again<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 10)])).await.unwrap();
    assert_eq!(take(it.store(), 10, 50, 9).await, ["msg_1"]);
    assert_eq!(take(it.store(), 49, 99, 9).await, [""; 0]);
    let it = it.restart().await;
    assert_eq!(take(it.store(), 49, 99, 9).await, [""; 0]);
    assert_eq!(take(it.store(), 50, 99, 9).await, ["msg_1"]);
}

pub(super) async fn a_taken_message_is_as_it_was<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 10)])).await.unwrap();
    let taken = it.store().outbox_take(at(10), at(50), 9).await.unwrap();
    assert_eq!(taken, [message(1, 10)]);
    assert_eq!(it.store().outbox_get(&message_id(1)).await.unwrap(), Some(message(1, 10)));
}

pub(super) async fn the_next_due_time_is_told<I: Implementation>(it: I) {
    assert_eq!(it.store().outbox_due().await.unwrap(), None);
    it.store().append(messages(vec![message(1, 30), message(2, 10)])).await.unwrap();
    assert_eq!(it.store().outbox_due().await.unwrap(), Some(at(10)));
    take(it.store(), 10, 50, 9).await;
    assert_eq!(it.store().outbox_due().await.unwrap(), Some(at(30)));
    take(it.store(), 30, 90, 9).await;
    // What is leased is due when its lease ends, so that nobody asks in vain.
    assert_eq!(it.store().outbox_due().await.unwrap(), Some(at(50)));
}

pub(super) async fn what_was_delivered_is_not_due<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 10)])).await.unwrap();
    take(it.store(), 10, 50, 9).await;
    let settled = delivered(message(1, 10));
    it.store().outbox_settle(settled.clone()).await.unwrap();
    assert_eq!(it.store().outbox_get(&message_id(1)).await.unwrap(), Some(settled));
    assert_eq!(it.store().outbox_due().await.unwrap(), None);
    assert_eq!(take(it.store(), 99, 100, 9).await, [""; 0]);
}

pub(super) async fn what_is_dead_is_not_due<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 10)])).await.unwrap();
    it.store().outbox_settle(dead(message(1, 10))).await.unwrap();
    assert_eq!(it.store().outbox_due().await.unwrap(), None);
    assert_eq!(take(it.store(), 99, 100, 9).await, [""; 0]);
}

pub(super) async fn i11_what_was_put_off_is_due_then<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 10)])).await.unwrap();
    take(it.store(), 10, 500, 9).await;
    let later = Message { due: at(70), tries: 1, ..message(1, 10) };
    it.store().outbox_settle(later.clone()).await.unwrap();
    assert_eq!(it.store().outbox_due().await.unwrap(), Some(at(70)));
    assert_eq!(take(it.store(), 69, 500, 9).await, [""; 0]);
    assert_eq!(it.store().outbox_take(at(70), at(500), 9).await.unwrap(), [later]);
}

pub(super) async fn i11_a_dead_message_can_be_delivered_again<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 10)])).await.unwrap();
    let given_up = dead(message(1, 10));
    it.store().outbox_settle(given_up.clone()).await.unwrap();
    it.store().outbox_settle(given_up.redelivered(at(80))).await.unwrap();
    assert_eq!(take(it.store(), 80, 500, 9).await, ["msg_1"]);
}

pub(super) async fn only_a_known_message_is_settled<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 10)])).await.unwrap();
    let other = Message { event: json!("other"), ..message(1, 10) };
    for refused in [message(2, 10), other] {
        let refused = it.store().outbox_settle(delivered(refused)).await;
        assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
    }
    assert_eq!(it.store().outbox_get(&message_id(1)).await.unwrap(), Some(message(1, 10)));
}

pub(super) async fn messages_are_listed_as_they_came<I: Implementation>(it: I) {
    let all = [5, 3, 9, 1].map(|n| message(n, 10 - n)).to_vec();
    it.store().append(messages(all)).await.unwrap();
    it.store().append(messages(vec![message(2, 0)])).await.unwrap();
    let names = ["msg_5", "msg_3", "msg_9", "msg_1", "msg_2"];
    assert_eq!(list(it.store(), None, None, 9).await, names);
    assert_eq!(list(it.store(), None, None, 2).await, names[..2]);
    assert_eq!(list(it.store(), None, Some(3), 2).await, names[2..4]);
    assert_eq!(list(it.store(), None, Some(2), 2).await, [""; 0]);
    assert_eq!(list(it.store(), None, None, 0).await, [""; 0]);
}

pub(super) async fn i11_messages_are_listed_by_status<I: Implementation>(it: I) {
    let all = (1..=6).map(|n| message(n, 0)).collect();
    it.store().append(messages(all)).await.unwrap();
    for n in [2, 5] {
        it.store().outbox_settle(delivered(message(n, 0))).await.unwrap();
    }
    for n in [6, 3] {
        it.store().outbox_settle(dead(message(n, 0))).await.unwrap();
    }
    let (pending, done, given_up) =
        (MessageStatus::Pending, MessageStatus::Delivered, MessageStatus::Dead);
    assert_eq!(list(it.store(), Some(pending), None, 9).await, ["msg_1", "msg_4"]);
    assert_eq!(list(it.store(), Some(done), None, 9).await, ["msg_2", "msg_5"]);
    assert_eq!(list(it.store(), Some(given_up), None, 9).await, ["msg_3", "msg_6"]);
    // After one of another status, too: it may have changed between pages.
    assert_eq!(list(it.store(), Some(given_up), Some(4), 9).await, ["msg_6"]);
    assert_eq!(list(it.store(), Some(pending), Some(1), 1).await, ["msg_4"]);
}

pub(super) async fn a_list_after_an_unknown_message_is_refused<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, 0)])).await.unwrap();
    let refused = it.store().outbox_list(None, Some(message_id(7)), 9).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
}

pub(super) async fn i11_messages_survive_a_restart<I: Implementation>(it: I) {
    let all = (1..=3).map(|n| message(n, n)).collect();
    it.store().append(messages(all)).await.unwrap();
    it.store().outbox_settle(delivered(message(1, 1))).await.unwrap();
    let it = it.restart().await;
    assert_eq!(list(it.store(), None, None, 9).await, ["msg_1", "msg_2", "msg_3"]);
    assert_eq!(take(it.store(), 9, 99, 9).await, ["msg_2", "msg_3"]);
    assert!(it.store().verify().await.unwrap().is_sound());
}

pub(super) async fn i13_a_message_over_the_limit_is_invalid<I: Implementation>(it: I) {
    let large = Message { event: json!("x".repeat(limits::MESSAGE_BYTES_MAX)), ..message(1, 0) };
    is_invalid(it.store(), messages(vec![message(2, 0), large.clone()])).await;
    it.store().append(messages(vec![message(1, 0)])).await.unwrap();
    let refused = it.store().outbox_settle(large).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
}
