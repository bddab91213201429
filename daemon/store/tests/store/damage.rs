//! Records that were changed behind the store's back: all of it is found, and
//! one of them does not stop the others (I9, I14).

use deployd_core::digest::canonical_json;
use deployd_core::journal::{ChainError, EventRecord, Version};
use deployd_core::ports::{FeedPosition, KeyRange, Order, Store, StoreError, VerifyReport};
use deployd_store::{RedbStore, StoreOptions, database_of, verify_file};
use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::samples::{self, *};

const HEADS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("heads");
const EVENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");
const FEED: TableDefinition<'_, u64, (&str, u64)> = TableDefinition::new("feed");
const INDEXES: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("indexes");
const OBJECTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("objects");
const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
const OUTBOX_IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("outbox-ids");
const OUTBOX_DUE: TableDefinition<'_, (u64, u64), ()> = TableDefinition::new("outbox-due");
const OUTBOX_STATUS: TableDefinition<'_, (u8, u64), ()> = TableDefinition::new("outbox-status");
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("idempotency-keys");
const CLAIMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("claims");

/// A store with some of everything, changed by `change`, closed.
async fn changed(change: impl FnOnce(&WriteTransaction)) -> TempDir {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = RedbStore::open(&path, &StoreOptions::default()).unwrap();
    store.append(events("a", 0, 4)).await.unwrap();
    store.append(events("b", 0, 4)).await.unwrap();
    for n in 1..=3 {
        store.append(messages(vec![message(n, n)])).await.unwrap();
    }
    store.append(objects(vec![object(b"one"), object(&b"two ".repeat(200))])).await.unwrap();
    store.claim(&stream("a"), &worker("w"), at(1), 1).await.unwrap();
    let empty = deployd_core::ports::Batch::default();
    store.accept(key("k"), digest(1), Vec::new(), at(1), empty).await.unwrap();
    assert!(store.verify().await.unwrap().is_sound());
    store.close().await;
    let database = database_of(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
    directory
}

async fn report(change: impl FnOnce(&WriteTransaction)) -> VerifyReport {
    let directory = changed(change).await;
    verify_file(&directory.path().join("store.redb")).unwrap()
}

async fn store(change: impl FnOnce(&WriteTransaction)) -> (TempDir, RedbStore) {
    let directory = changed(change).await;
    let path = directory.path().join("store.redb");
    let store = RedbStore::open(&path, &StoreOptions::default()).unwrap();
    (directory, store)
}

fn event(transaction: &WriteTransaction, version: u64) -> Vec<u8> {
    let events = transaction.open_table(EVENTS).unwrap();
    let event = events.get(("a", version)).unwrap().unwrap();
    event.value().to_vec()
}

fn put_event(transaction: &WriteTransaction, version: u64, bytes: &[u8]) {
    let mut events = transaction.open_table(EVENTS).unwrap();
    events.insert(("a", version), bytes).unwrap();
}

fn remove_event(transaction: &WriteTransaction, version: u64) {
    transaction.open_table(EVENTS).unwrap().remove(("a", version)).unwrap();
}

#[tokio::test]
async fn i9_a_changed_event_is_found() {
    let found = report(|change| {
        let hash = event(change, 2)[1..33].to_vec();
        let text = canonical_json(&samples::event(7)).unwrap();
        put_event(change, 2, &[&[3], hash.as_slice(), &text].concat());
    })
    .await;
    assert_eq!(found.broken, [ChainError::Hash { stream: stream("a"), version: 2 }]);
    assert_eq!(found.damaged, [""; 0]);
}

/// As version 2 of the schema had events: JSON, with the hash before it.
fn as_json(record: &EventRecord) -> Vec<u8> {
    let EventRecord { event, previous, hash, .. } = record;
    let json = json!({ "event": event, "previous": previous, "hash": hash }).to_string();
    [&[1], json.as_bytes()].concat()
}

#[tokio::test]
async fn i9_what_older_versions_wrote_is_read_among_what_is_written_now() {
    let records = {
        let (_directory, store) = store(|_| {}).await;
        store.read(&stream("a"), Version(1), 9).await.unwrap()
    };
    let (_directory, store) = store(|change| {
        for old in [0, 2] {
            put_event(change, old as u64 + 1, &as_json(&records[old]));
        }
    })
    .await;
    for from in 0..records.len() {
        let read = store.read(&stream("a"), Version(from as u64 + 1), 9).await.unwrap();
        assert_eq!(read, records[from..]);
    }
    store.append(events("a", 4, 1)).await.unwrap();
    let report = store.verify().await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    let fed = store.feed(FeedPosition(2), 2).await.unwrap();
    assert_eq!(fed.into_iter().map(|item| item.record).collect::<Vec<_>>(), records[2..]);
}

#[tokio::test]
async fn i9_a_changed_event_of_an_older_version_is_found() {
    let record = {
        let (_directory, store) = store(|_| {}).await;
        store.read(&stream("a"), Version(2), 1).await.unwrap().remove(0)
    };
    for change in [
        |record: &mut EventRecord| record.event = samples::event(7),
        |record: &mut EventRecord| record.previous = digest(7),
    ] {
        let mut changed = record.clone();
        change(&mut changed);
        let found = report(|change| put_event(change, 2, &as_json(&changed))).await;
        assert_eq!(found.broken, [ChainError::Hash { stream: stream("a"), version: 2 }]);
    }
}

#[tokio::test]
async fn i9_a_removed_event_is_found() {
    let found = report(|change| remove_event(change, 2)).await;
    let gap = ChainError::Gap { stream: stream("a"), expected: 2, found: 3 };
    assert_eq!(found.broken[0], gap);
    assert_eq!(found.events, 7);
}

#[tokio::test]
async fn i9_a_cut_stream_is_found() {
    let found = report(|change| remove_event(change, 4)).await;
    assert_eq!(found.broken, [ChainError::Head { stream: stream("a"), head: 4, found: 3 }]);
}

#[tokio::test]
async fn i9_a_stream_that_is_gone_is_found() {
    let found = report(|change| (1..=4).for_each(|version| remove_event(change, version))).await;
    assert_eq!(found.broken, [ChainError::Head { stream: stream("a"), head: 4, found: 0 }]);
}

#[tokio::test]
async fn i9_an_exchange_of_events_is_found() {
    let found = report(|change| {
        let (second, third) = (event(change, 2), event(change, 3));
        put_event(change, 2, &third);
        put_event(change, 3, &second);
    })
    .await;
    assert_eq!(found.broken, [ChainError::Hash { stream: stream("a"), version: 2 }]);
}

#[tokio::test]
async fn i9_an_added_event_is_found() {
    let found = report(|change| put_event(change, 5, &event(change, 4))).await;
    assert!(found.broken.contains(&ChainError::Hash { stream: stream("a"), version: 5 }));
}

#[tokio::test]
async fn i9_a_removed_or_changed_head_is_found() {
    let found = report(|change| {
        let mut heads = change.open_table(HEADS).unwrap();
        heads.remove("a").unwrap();
        let mut other = heads.get("b").unwrap().unwrap().value().to_vec();
        *other.last_mut().unwrap() ^= 1;
        heads.insert("b", other.as_slice()).unwrap();
    })
    .await;
    let hash = ChainError::Hash { stream: stream("b"), version: 4 };
    let head = ChainError::Head { stream: stream("a"), head: 0, found: 4 };
    assert_eq!(found.broken, [hash, head]);
}

#[tokio::test]
async fn i3_a_feed_with_a_gap_is_found() {
    let found = report(|change| {
        change.open_table(FEED).unwrap().remove(3).unwrap();
    })
    .await;
    assert!(found.broken.is_empty());
    assert!(found.damaged.iter().any(|what| what.contains("position 4 where 3")), "{found:?}");
}

#[tokio::test]
async fn i3_a_feed_that_tells_another_order_is_found() {
    let found = report(|change| {
        let mut feed = change.open_table(FEED).unwrap();
        feed.insert(2, ("a", 3)).unwrap();
        feed.insert(3, ("a", 2)).unwrap();
    })
    .await;
    assert!(!found.damaged.is_empty());
}

#[tokio::test]
async fn changed_content_is_found_and_not_given() {
    let (_directory, store) = store(|change| {
        let mut content = change.open_table(OBJECTS).unwrap();
        let digest = object(b"one").digest;
        content.insert(digest.as_bytes(), &b"\x01won"[..]).unwrap();
    })
    .await;
    let answer = store.object(object(b"one").digest).await;
    assert!(matches!(answer, Err(StoreError::Damaged(_))), "{answer:?}");
    let found = store.verify().await.unwrap();
    assert_eq!((found.objects, found.damaged.len()), (2, 1));
}

#[tokio::test]
async fn i14_an_event_that_cant_be_read_stops_only_its_own_readers() {
    let (_directory, store) = store(|change| {
        let mut bytes = event(change, 2);
        bytes.truncate(40);
        put_event(change, 2, &bytes);
    })
    .await;
    let answer = store.read(&stream("a"), Version(1), 9).await;
    assert!(matches!(answer, Err(StoreError::Damaged(_))), "{answer:?}");
    assert_eq!(store.read(&stream("a"), Version(3), 9).await.unwrap().len(), 2);
    assert_eq!(store.read(&stream("b"), Version(1), 9).await.unwrap().len(), 4);
    assert!(store.feed(FeedPosition(0), 9).await.is_err());
    assert_eq!(store.feed(FeedPosition(2), 9).await.unwrap().len(), 6);
    store.append(events("b", 4, 1)).await.unwrap();
    let found = store.verify().await.unwrap();
    assert_eq!(found.damaged.len(), 1);
    assert!(found.damaged[0].contains("event 2 of stream a"), "{found:?}");
}

/// Nobody can say any more what the next one follows upon.
#[tokio::test]
async fn i14_an_event_without_its_hash_stops_also_those_who_read_the_next_one() {
    for change in [
        |change: &WriteTransaction| put_event(change, 2, b"\x01{"),
        |change: &WriteTransaction| remove_event(change, 2),
    ] {
        let (_directory, store) = store(change).await;
        for answer in [
            store.read(&stream("a"), Version(3), 9).await.map(drop),
            store.feed(FeedPosition(2), 9).await.map(drop),
        ] {
            let error = answer.unwrap_err();
            assert!(error.to_string().contains("event 2 of stream a"), "{error}");
        }
        assert_eq!(store.read(&stream("a"), Version(4), 9).await.unwrap().len(), 1);
        assert_eq!(store.feed(FeedPosition(3), 9).await.unwrap().len(), 5);
    }
}

#[tokio::test]
async fn i14_a_value_that_cant_be_read_is_named_and_stops_only_its_own_readers() {
    let (_directory, store) = store(|change| {
        let mut indexes = change.open_table(INDEXES).unwrap();
        indexes.insert(("places", &b"bad"[..]), &b"\xff\x02?"[..]).unwrap();
        indexes.insert(("places", &b"good"[..]), &b"{}"[..]).unwrap();
    })
    .await;
    for answer in [
        store.get(PLACES, b"bad").await.map(drop),
        store.scan(PLACES, KeyRange::prefix(b""), Order::Ascending, 9).await.map(drop),
    ] {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
        assert!(error.to_string().contains("\"bad\" of index places"), "{error}");
    }
    assert_eq!(store.get(PLACES, b"good").await.unwrap(), Some(b"{}".to_vec()));
    let found = store.verify().await.unwrap();
    assert!(found.damaged.iter().any(|what| what.contains("index places")), "{found:?}");
}

#[tokio::test]
async fn i14_a_head_that_cant_be_read_stops_only_its_stream() {
    let (_directory, store) = store(|change| {
        change.open_table(HEADS).unwrap().insert("a", &b"\x09"[..]).unwrap();
    })
    .await;
    let answer = store.append(events("a", 4, 1)).await;
    assert!(matches!(answer, Err(StoreError::Damaged(_))), "{answer:?}");
    store.append(events("b", 4, 1)).await.unwrap();
    assert_eq!(store.verify().await.unwrap().damaged.len(), 1);
}

#[tokio::test]
async fn i14_a_message_that_cant_be_read_is_set_aside() {
    let (_directory, store) = store(|change| {
        change.open_table(OUTBOX).unwrap().insert(2, &b"\x01?"[..]).unwrap();
    })
    .await;
    let taken = store.outbox_take(at(9), at(99), 9).await.unwrap();
    let ids: Vec<_> = taken.into_iter().map(|message| message.id).collect();
    assert_eq!(ids, [message_id(1), message_id(3)]);
    assert_eq!(store.outbox_due().await.unwrap(), Some(at(99)));
    assert_eq!(store.outbox_list(None, None, 9).await.unwrap().len(), 2);
    assert!(store.outbox_get(&message_id(2)).await.is_err());
    assert!(!store.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn i11_a_message_that_is_nowhere_due_is_found() {
    for change in [
        |change: &WriteTransaction| {
            change.open_table(OUTBOX_DUE).unwrap().remove((2, 2)).unwrap();
        },
        |change: &WriteTransaction| {
            change.open_table(OUTBOX_STATUS).unwrap().remove((1, 2)).unwrap();
        },
        |change: &WriteTransaction| {
            change.open_table(OUTBOX_IDS).unwrap().remove("msg_2").unwrap();
        },
        |change: &WriteTransaction| {
            change.open_table(OUTBOX).unwrap().remove(2).unwrap();
        },
    ] {
        assert!(!report(change).await.damaged.is_empty());
    }
}

#[tokio::test]
async fn damaged_keys_and_claims_are_found() {
    let found = report(|change| {
        change.open_table(KEYS).unwrap().insert("k", &b"\x01short"[..]).unwrap();
        change.open_table(CLAIMS).unwrap().insert("a", &b""[..]).unwrap();
    })
    .await;
    assert_eq!(found.damaged.len(), 2, "{found:?}");
}
