//! Idempotency keys.

use deployd_core::ports::{Accepted, Batch, FeedPosition, StoreError};
use deployd_store::limits;

use super::is_empty;
use crate::implementations::Implementation;
use crate::samples::*;

pub(super) async fn i2_the_first_request_of_a_key_is_new<I: Implementation>(it: I) {
    let store = it.store();
    let batch = everything(1);
    let accepted = store.accept(key("k"), digest(1), b"answer".to_vec(), at(5), batch).await;
    assert_eq!(accepted.unwrap(), Accepted::New);
    assert!(store.outbox_get(&message_id(1)).await.unwrap().is_some());
}

pub(super) async fn i2_a_repeat_gets_the_recorded_answer<I: Implementation>(it: I) {
    let store = it.store();
    store.accept(key("k"), digest(1), b"first".to_vec(), at(5), events("s", 0, 1)).await.unwrap();
    let again = store.accept(key("k"), digest(1), b"other".to_vec(), at(9), events("s", 1, 1));
    assert_eq!(again.await.unwrap(), Accepted::Replayed(b"first".to_vec()));
    assert_eq!(store.head(&stream("s")).await.unwrap().version.0, 1);
}

pub(super) async fn i2_a_repeat_is_answered_whatever_its_batch<I: Implementation>(it: I) {
    let store = it.store();
    store.accept(key("k"), digest(1), b"first".to_vec(), at(5), events("s", 0, 1)).await.unwrap();
    for batch in [events("s", 7, 1), events("", 0, 0), Batch::default()] {
        let again = store.accept(key("k"), digest(1), Vec::new(), at(9), batch).await;
        assert_eq!(again.unwrap(), Accepted::Replayed(b"first".to_vec()));
    }
}

pub(super) async fn i2_another_digest_is_key_reuse<I: Implementation>(it: I) {
    let store = it.store();
    store.accept(key("k"), digest(1), b"first".to_vec(), at(5), events("s", 0, 1)).await.unwrap();
    let other = store.accept(key("k"), digest(2), b"second".to_vec(), at(9), everything(1)).await;
    assert!(matches!(other, Err(StoreError::KeyReuse)), "{other:?}");
    assert!(store.outbox_get(&message_id(1)).await.unwrap().is_none());
    assert_eq!(store.feed(FeedPosition(1), 9).await.unwrap(), []);
}

pub(super) async fn i2_another_digest_is_key_reuse_before_anything_else<I: Implementation>(it: I) {
    let store = it.store();
    store.accept(key("k"), digest(1), b"first".to_vec(), at(5), events("s", 0, 1)).await.unwrap();
    for batch in [events("s", 7, 1), events("", 0, 0)] {
        let other = store.accept(key("k"), digest(2), Vec::new(), at(9), batch).await;
        assert!(matches!(other, Err(StoreError::KeyReuse)), "{other:?}");
    }
}

pub(super) async fn i2_the_recorded_answer_can_be_asked_for<I: Implementation>(it: I) {
    let store = it.store();
    assert_eq!(store.accepted(key("k"), digest(1)).await.unwrap(), None);
    store.accept(key("k"), digest(1), b"first".to_vec(), at(5), events("s", 0, 1)).await.unwrap();
    assert_eq!(store.accepted(key("k"), digest(1)).await.unwrap(), Some(b"first".to_vec()));
    let other = store.accepted(key("k"), digest(2)).await;
    assert!(matches!(other, Err(StoreError::KeyReuse)), "{other:?}");
}

pub(super) async fn i2_an_empty_answer_is_an_answer<I: Implementation>(it: I) {
    let store = it.store();
    store.accept(key("k"), digest(1), Vec::new(), at(5), Batch::default()).await.unwrap();
    assert_eq!(store.accepted(key("k"), digest(1)).await.unwrap(), Some(Vec::new()));
    let again = store.accept(key("k"), digest(1), b"x".to_vec(), at(5), Batch::default()).await;
    assert_eq!(again.unwrap(), Accepted::Replayed(Vec::new()));
}

pub(super) async fn i2_a_refused_request_records_no_key<I: Implementation>(it: I) {
    let store = it.store();
    let mut twice = everything(1);
    twice.appends.push(append("everything/1", 2, 1));
    for batch in [events("s", 7, 1), twice] {
        let refused = store.accept(key("k"), digest(1), b"no".to_vec(), at(5), batch).await;
        assert!(refused.is_err());
    }
    assert_eq!(store.accepted(key("k"), digest(1)).await.unwrap(), None);
    is_empty(store).await;
    let accepted = store.accept(key("k"), digest(2), b"yes".to_vec(), at(6), everything(1)).await;
    assert_eq!(accepted.unwrap(), Accepted::New);
}

pub(super) async fn i2_of_repeats_at_once_one_is_new<I: Implementation>(it: I) {
    let store = it.store();
    let ask = |n: u8| store.accept(key("k"), digest(1), vec![n], at(5), events("s", 0, 1));
    let (a, b, c) = tokio::join!(ask(1), ask(2), ask(3));
    let answers = [a.unwrap(), b.unwrap(), c.unwrap()];
    assert_eq!(answers.iter().filter(|answer| **answer == Accepted::New).count(), 1);
    let recorded = store.accepted(key("k"), digest(1)).await.unwrap().unwrap();
    for answer in answers {
        assert!(answer == Accepted::New || answer == Accepted::Replayed(recorded.clone()));
    }
    assert_eq!(store.head(&stream("s")).await.unwrap().version.0, 1);
}

pub(super) async fn i2_keys_survive_a_restart<I: Implementation>(it: I) {
    let first = b"first".to_vec();
    it.store().accept(key("k"), digest(1), first.clone(), at(5), everything(1)).await.unwrap();
    let it = it.restart().await;
    assert_eq!(it.store().accepted(key("k"), digest(1)).await.unwrap(), Some(first.clone()));
    let again = it.store().accept(key("k"), digest(1), Vec::new(), at(6), everything(1)).await;
    assert_eq!(again.unwrap(), Accepted::Replayed(first));
}

const SEVEN_DAYS: u64 = 7 * 24 * 3_600_000;

pub(super) async fn i2_a_key_is_known_for_seven_days<I: Implementation>(it: I) {
    let store = it.store();
    store.accept(key("k"), digest(1), b"first".to_vec(), at(5), events("s", 0, 1)).await.unwrap();
    let later = at(5 + SEVEN_DAYS);
    store.accept(key("l"), digest(2), Vec::new(), later, Batch::default()).await.unwrap();
    let again = store.accept(key("k"), digest(1), Vec::new(), later, Batch::default()).await;
    assert_eq!(again.unwrap(), Accepted::Replayed(b"first".to_vec()));
}

pub(super) async fn i13_keys_are_forgotten_a_few_at_a_time<I: Implementation>(it: I) {
    let store = it.store();
    let count = 2 * limits::SWEEP_MAX as u64 + 3;
    for n in 0..count {
        let name = key(&n.to_string());
        store.accept(name, digest(n), Vec::new(), at(n), Batch::default()).await.unwrap();
    }
    let later = at(count + limits::KEY_KEPT_MS);
    let mut left = Vec::new();
    for n in 0..3 {
        let name = key(&format!("later {n}"));
        store.accept(name, digest(n), Vec::new(), later, Batch::default()).await.unwrap();
        let mut known = 0;
        for n in 0..count {
            let answer = store.accepted(key(&n.to_string()), digest(n)).await.unwrap();
            known += usize::from(answer.is_some());
        }
        left.push(known);
    }
    assert_eq!(left, [limits::SWEEP_MAX + 3, 3, 0]);
    assert!(store.verify().await.unwrap().is_sound());
    let again = store.accept(key("0"), digest(9), Vec::new(), later, Batch::default()).await;
    assert_eq!(again.unwrap(), Accepted::New);
}

pub(super) async fn i13_a_key_over_the_limit_is_invalid<I: Implementation>(it: I) {
    let store = it.store();
    let long = key(&"k".repeat(limits::KEY_BYTES_MAX + 1));
    let large = vec![0; limits::ANSWER_BYTES_MAX + 1];
    for (key, answer) in [(long, Vec::new()), (key(""), Vec::new()), (key("k"), large)] {
        let refused = store.accept(key, digest(1), answer, at(1), everything(1)).await;
        assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
    }
    is_empty(store).await;
}
