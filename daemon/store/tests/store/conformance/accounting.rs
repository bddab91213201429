//! Messages: accepted = delivered + dead + pending, always (I11).

use deployd_core::outbox::{Attempt, Message, MessageStatus};
use deployd_core::ports::{Batch, Store};

use crate::implementations::Implementation;
use crate::samples::*;

/// How many are delivered, dead and pending; together, all that were accepted.
async fn counts(store: &dyn Store, accepted: usize) -> (usize, usize, usize) {
    let count = async |status| store.outbox_list(status, None, usize::MAX).await.unwrap().len();
    let found = (
        count(Some(MessageStatus::Delivered)).await,
        count(Some(MessageStatus::Dead)).await,
        count(Some(MessageStatus::Pending)).await,
    );
    assert_eq!(found.0 + found.1 + found.2, accepted);
    assert_eq!(count(None).await, accepted);
    found
}

fn with(message: Message, status: MessageStatus) -> Message {
    Message { status, ..message }
}

async fn filled<I: Implementation>(it: &I, count: u64) {
    it.store().append(messages((1..=count).map(|n| message(n, n)).collect())).await.unwrap();
}

async fn take(store: &dyn Store, now: u64, lease: u64, max: usize) -> Vec<String> {
    let taken = store.outbox_take(at(now), at(lease), max).await.unwrap();
    taken.into_iter().map(|message| message.id.0).collect()
}

pub(super) async fn i11_every_message_is_counted_once<I: Implementation>(it: I) {
    filled(&it, 6).await;
    assert_eq!(counts(it.store(), 6).await, (0, 0, 6));
    it.store().outbox_settle(with(message(1, 1), MessageStatus::Delivered)).await.unwrap();
    it.store().outbox_settle(with(message(2, 2), MessageStatus::Dead)).await.unwrap();
    assert_eq!(counts(it.store(), 6).await, (1, 1, 4));
    it.store().append(messages(vec![message(7, 7)])).await.unwrap();
    assert_eq!(counts(it.store(), 7).await, (1, 1, 5));
}

pub(super) async fn i11_the_counts_survive_a_restart<I: Implementation>(it: I) {
    filled(&it, 5).await;
    it.store().outbox_settle(with(message(4, 4), MessageStatus::Delivered)).await.unwrap();
    it.store().outbox_settle(with(message(5, 5), MessageStatus::Dead)).await.unwrap();
    let it = it.restart().await;
    assert_eq!(counts(it.store(), 5).await, (1, 1, 3));
}

pub(super) async fn i11_a_repeated_message_is_counted_once<I: Implementation>(it: I) {
    filled(&it, 3).await;
    filled(&it, 4).await;
    it.store().append(messages(vec![message(9, 0), message(9, 5)])).await.unwrap();
    assert_eq!(counts(it.store(), 5).await, (0, 0, 5));
    assert_eq!(it.store().outbox_get(&message_id(9)).await.unwrap(), Some(message(9, 0)));
}

pub(super) async fn i11_a_refused_batch_adds_no_message<I: Implementation>(it: I) {
    filled(&it, 2).await;
    let mut batch = events("s", 5, 1);
    batch.outbox = vec![message(8, 1)];
    assert!(it.store().append(batch).await.is_err());
    assert_eq!(counts(it.store(), 2).await, (0, 0, 2));
}

pub(super) async fn i11_settling_again_counts_once<I: Implementation>(it: I) {
    filled(&it, 2).await;
    for _ in 0..3 {
        it.store().outbox_settle(with(message(1, 1), MessageStatus::Delivered)).await.unwrap();
        assert_eq!(counts(it.store(), 2).await, (1, 0, 1));
    }
    assert!(it.store().verify().await.unwrap().is_sound());
}

pub(super) async fn i11_a_lease_changes_no_count<I: Implementation>(it: I) {
    filled(&it, 3).await;
    assert_eq!(take(it.store(), 9, 50, 2).await.len(), 2);
    assert_eq!(counts(it.store(), 3).await, (0, 0, 3));
}

pub(super) async fn i11_what_was_not_settled_is_given_again<I: Implementation>(it: I) {
    filled(&it, 2).await;
    assert_eq!(take(it.store(), 9, 50, 9).await, ["msg_1", "msg_2"]);
    assert_eq!(take(it.store(), 49, 99, 9).await, [""; 0]);
    assert_eq!(take(it.store(), 50, 99, 9).await, ["msg_1", "msg_2"]);
}

pub(super) async fn i11_a_lease_ends_also_over_a_restart<I: Implementation>(it: I) {
    filled(&it, 2).await;
    assert_eq!(take(it.store(), 9, 50, 1).await, ["msg_1"]);
    let it = it.restart().await;
    assert_eq!(take(it.store(), 49, 60, 9).await, ["msg_2"]);
    assert_eq!(take(it.store(), 50, 70, 9).await, ["msg_1"]);
    assert_eq!(it.store().outbox_due().await.unwrap(), Some(at(60)));
}

pub(super) async fn i11_settling_ends_the_lease<I: Implementation>(it: I) {
    filled(&it, 1).await;
    take(it.store(), 9, 1_000, 9).await;
    it.store().outbox_settle(Message { due: at(20), ..message(1, 1) }).await.unwrap();
    assert_eq!(take(it.store(), 19, 1_000, 9).await, [""; 0]);
    assert_eq!(take(it.store(), 20, 1_000, 9).await, ["msg_1"]);
}

pub(super) async fn taking_none_leases_none<I: Implementation>(it: I) {
    filled(&it, 2).await;
    assert_eq!(take(it.store(), 9, 1_000, 0).await, [""; 0]);
    assert_eq!(take(it.store(), 9, 1_000, usize::MAX).await, ["msg_1", "msg_2"]);
}

pub(super) async fn what_is_due_at_once_is_taken_as_it_came<I: Implementation>(it: I) {
    for n in [7, 3, 9, 1] {
        it.store().append(messages(vec![message(n, 5)])).await.unwrap();
    }
    let it = it.restart().await;
    assert_eq!(take(it.store(), 5, 9, 3).await, ["msg_7", "msg_3", "msg_9"]);
    assert_eq!(take(it.store(), 5, 9, 3).await, ["msg_1"]);
}

pub(super) async fn a_message_for_the_end_of_time_waits<I: Implementation>(it: I) {
    it.store().append(messages(vec![message(1, u64::MAX)])).await.unwrap();
    assert_eq!(take(it.store(), u64::MAX - 1, u64::MAX, 9).await, [""; 0]);
    assert_eq!(it.store().outbox_due().await.unwrap(), Some(at(u64::MAX)));
    assert_eq!(take(it.store(), u64::MAX, u64::MAX, 9).await, ["msg_1"]);
}

pub(super) async fn i11_attempts_are_kept_with_their_message<I: Implementation>(it: I) {
    filled(&it, 1).await;
    let mut kept = message(1, 1);
    for n in 1..=3 {
        kept.attempts.push(Attempt {
            at: at(n),
            duration_ms: n,
            target: "https://sink.invalid".to_owned(),
            status: Some(503),
            fault: None,
        });
        kept.tries += 1;
        kept.due = at(10 * n);
        it.store().outbox_settle(kept.clone()).await.unwrap();
    }
    let it = it.restart().await;
    assert_eq!(it.store().outbox_get(&message_id(1)).await.unwrap(), Some(kept));
}

pub(super) async fn i11_pages_of_a_list_have_every_message_once<I: Implementation>(it: I) {
    filled(&it, 11).await;
    for n in [2, 5, 6, 11] {
        it.store().outbox_settle(with(message(n, n), MessageStatus::Dead)).await.unwrap();
    }
    for (status, expected) in [(None, 11), (Some(MessageStatus::Dead), 4)] {
        for size in [1, 2, 3, 11, 99] {
            let mut seen: Vec<Message> = Vec::new();
            loop {
                let after = seen.last().map(|message| message.id.clone());
                let page = it.store().outbox_list(status, after, size).await.unwrap();
                assert!(page.len() <= size);
                if page.is_empty() {
                    break;
                }
                seen.extend(page);
            }
            let numbers: Vec<u64> = seen.iter().map(|message| message.created.0).collect();
            assert!(numbers.len() == expected && numbers.is_sorted(), "{size}: {numbers:?}");
        }
    }
}

pub(super) async fn i11_delivered_dead_and_back_is_one_message<I: Implementation>(it: I) {
    filled(&it, 1).await;
    use MessageStatus::{Dead, Delivered, Pending};
    for (status, expected) in [
        (Dead, (0, 1, 0)),
        (Pending, (0, 0, 1)),
        (Delivered, (1, 0, 0)),
        (Pending, (0, 0, 1)),
        (Dead, (0, 1, 0)),
    ] {
        it.store().outbox_settle(with(message(1, 1), status)).await.unwrap();
        assert_eq!(counts(it.store(), 1).await, expected);
        let due = it.store().outbox_due().await.unwrap();
        assert_eq!(due.is_some(), status == Pending);
    }
    assert!(it.store().verify().await.unwrap().is_sound());
}

pub(super) async fn i11_an_accepted_request_s_message_is_told_once<I: Implementation>(it: I) {
    let ask = || {
        let batch = Batch { outbox: vec![message(1, 1)], ..Batch::default() };
        it.store().accept(key("k"), digest(1), Vec::new(), at(1), batch)
    };
    ask().await.unwrap();
    it.store().outbox_settle(with(message(1, 1), MessageStatus::Delivered)).await.unwrap();
    ask().await.unwrap();
    assert_eq!(counts(it.store(), 1).await, (1, 0, 0));
}
