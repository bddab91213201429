//! Files: making, opening, refusing, copying and putting back.

use std::path::Path;

use deployd_core::ports::{FeedPosition, Store, StoreError};
use deployd_store::{
    OpenError, RedbStore, RestoreError, SCHEMA, StoreOptions, database_of, restore, verify_file,
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tempfile::tempdir;

use crate::samples::*;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

fn open(path: &Path) -> Result<RedbStore, OpenError> {
    RedbStore::open(path, &StoreOptions::default())
}

/// A closed store with something in it.
async fn filled(path: &Path) {
    let store = open(path).unwrap();
    for n in 0..5 {
        store.append(everything(n)).await.unwrap();
    }
    store.close().await;
}

/// The error names the file.
fn names(error: &impl std::fmt::Display, path: &Path) {
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
}

#[tokio::test]
async fn a_store_is_made_where_there_is_none() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing is left beside it");
    let store = open(&path).unwrap();
    assert_eq!(store.feed(FeedPosition(0), 99).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_store_half_made_by_a_crash_is_made_again() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    std::fs::write(directory.path().join("store.redb.new"), vec![0; 70_000]).unwrap();
    filled(&path).await;
    assert!(!directory.path().join("store.redb.new").exists());
}

#[tokio::test]
async fn a_store_keeps_its_id_and_others_have_another() {
    let directory = tempdir().unwrap();
    let (path, other) = (directory.path().join("a"), directory.path().join("b"));
    let store = open(&path).unwrap();
    let id = store.id().to_owned();
    assert_eq!(id.len(), 32);
    assert_ne!(open(&other).unwrap().id(), id);
    let copy = directory.path().join("copy");
    store.backup(&copy).await.unwrap();
    store.close().await;
    assert_eq!(open(&path).unwrap().id(), id);
    assert_eq!(open(&copy).unwrap().id(), id);
}

#[tokio::test]
async fn a_store_that_is_open_is_in_use() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = open(&path).unwrap();
    let refused = open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    names(&refused, &path);
    store.close().await;
    open(&path).unwrap();
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("no/store.redb");
    let refused = open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
    names(&refused, &path);
}

#[test]
fn something_else_is_no_store_and_stays_as_it_is() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    for content in [&b"short"[..], &[7; 100_000]] {
        std::fs::write(&path, content).unwrap();
        let refused = open(&path).unwrap_err();
        assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused:?}");
        names(&refused, &path);
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[test]
fn a_database_of_something_else_is_no_store() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
    transaction.open_table(table).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused:?}");
    names(&refused, &path);
}

#[tokio::test]
async fn i18_a_newer_schema_is_refused_with_both_versions() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let database = database_of(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let newer = 41u32.to_be_bytes();
    transaction.open_table(META).unwrap().insert("schema", newer.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = open(&path).unwrap_err();
    assert!(
        matches!(refused, OpenError::Newer { found: 41, supported: SCHEMA, .. }),
        "{refused:?}"
    );
    names(&refused, &path);
    let text = refused.to_string();
    assert!(text.contains("41") && text.contains(&format!("up to {SCHEMA}")), "{text}");
}

/// As stores were before their blocks had checksums.
fn made_plain(from: &Path, to: &Path) {
    let sealed = database_of(from).unwrap();
    let plain = Database::create(to).unwrap();
    let view = sealed.begin_read().unwrap();
    let transaction = plain.begin_write().unwrap();
    macro_rules! copy {
        ($($name:literal: $key:ty, $value:ty;)*) => {$({
            let table: TableDefinition<'_, $key, $value> = TableDefinition::new($name);
            let mut to = transaction.open_table(table).unwrap();
            for entry in view.open_table(table).unwrap().iter().unwrap() {
                let (key, value) = entry.unwrap();
                to.insert(key.value(), value.value()).unwrap();
            }
        })*};
    }
    copy! {
        "meta": &str, &[u8];
        "heads": &str, &[u8];
        "events": (&str, u64), &[u8];
        "feed": u64, (&str, u64);
        "indexes": (&str, &[u8]), &[u8];
        "objects": &[u8; 32], &[u8];
        "outbox": u64, &[u8];
        "outbox-ids": &str, u64;
        "outbox-due": (u64, u64), ();
        "outbox-status": (u8, u64), ();
        "idempotency-keys": &str, &[u8];
        "idempotency-expiry": (u64, &str), ();
        "claims": &str, &[u8];
    }
    transaction.commit().unwrap();
}

#[tokio::test]
async fn a_store_from_before_there_were_checksums_gets_them() {
    let directory = tempdir().unwrap();
    let (sealed, path) = (directory.path().join("sealed"), directory.path().join("store.redb"));
    filled(&sealed).await;
    made_plain(&sealed, &path);
    assert!(std::fs::read(&path).unwrap().starts_with(b"redb"));
    // A crash in the middle left this.
    std::fs::write(directory.path().join("store.redb.sealing"), b"half").unwrap();
    for _ in 0..2 {
        let store = open(&path).unwrap();
        assert_eq!(store.verify().await.unwrap().events, 10);
        let other = open(&sealed).unwrap();
        assert_eq!(store.id(), other.id());
        other.close().await;
        assert!(matches!(open(&path), Err(OpenError::InUse { .. })));
        store.close().await;
        assert!(std::fs::read(&path).unwrap().starts_with(b"deployd store"));
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn i18_a_newer_file_format_is_refused() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let mut bytes = std::fs::read(&path).unwrap();
    for head in [0, 4_096] {
        bytes[head + 16] = 9;
        let sum = twox_hash::XxHash3_64::oneshot(&bytes[head..head + 504]);
        bytes[head + 504..head + 512].copy_from_slice(&sum.to_le_bytes());
    }
    std::fs::write(&path, &bytes).unwrap();
    let refused = open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 9, supported: 3, .. }), "{refused:?}");
    names(&refused, &path);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "it stays as it is");
}

/// Version 2 had no log; where the length of one is now, there were zeros.
#[tokio::test]
async fn i18_a_file_from_before_there_was_a_log_is_read_and_written_as_it_was() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let options = StoreOptions { log_bytes: 0, ..StoreOptions::default() };
    RedbStore::open(&path, &options).unwrap().close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    for head in [0, 4_096] {
        assert_eq!(bytes[head + 20..head + 24], [0; 4]);
        bytes[head + 16] = 2;
        let sum = twox_hash::XxHash3_64::oneshot(&bytes[head..head + 504]);
        bytes[head + 504..head + 512].copy_from_slice(&sum.to_le_bytes());
    }
    std::fs::write(&path, &bytes).unwrap();
    let store = open(&path).unwrap();
    for n in 0..3 {
        store.append(everything(n)).await.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.checkpoints), (3, 3), "each commit is to the file");
    let backup = directory.path().join("backup");
    store.backup(&backup).await.unwrap();
    store.close().await;
    assert!(open(&path).unwrap().verify().await.unwrap().is_sound());
    // What is restored has a log.
    let restored = directory.path().join("restored.redb");
    restore(&backup, &restored).unwrap();
    let store = open(&restored).unwrap();
    store.append(everything(3)).await.unwrap();
    assert_eq!(store.stats().checkpoints, 0);
    store.close().await;
    assert_eq!(store.stats().checkpoints, 1, "what rests has everything in its place");
}

#[test]
fn an_empty_file_does_not_become_a_new_store() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    std::fs::write(&path, b"").unwrap();
    let refused = open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    names(&refused, &path);
}

#[tokio::test]
async fn a_cut_file_is_refused() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 100, 4_096, whole.len() / 2] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let refused = open(&path).unwrap_err();
        assert!(
            matches!(refused, OpenError::Damaged { .. } | OpenError::NotAStore { .. }),
            "{length}: {refused:?}"
        );
        names(&refused, &path);
    }
}

#[tokio::test]
async fn a_backup_is_consistent_while_the_store_is_used() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let store = open(&path).unwrap();
    let write = async {
        for n in 0..30 {
            store.append(events("busy", 2 * n, 2)).await.unwrap();
        }
    };
    let copy = async {
        for n in 0..5 {
            store.backup(&directory.path().join(format!("copy {n}"))).await.unwrap();
        }
    };
    tokio::join!(write, copy);
    for n in 0..5 {
        let report = verify_file(&directory.path().join(format!("copy {n}"))).unwrap();
        assert!(report.is_sound(), "{report:?}");
        assert!(report.events >= 10);
        assert_eq!(report.events % 2, 0, "half a batch was copied");
    }
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(files, 6, "nothing is left beside them");
}

#[tokio::test]
async fn a_restore_replaces_nothing() {
    let directory = tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    filled(&from).await;
    std::fs::write(&to, "mine").unwrap();
    let refused = restore(&from, &to).unwrap_err();
    assert!(matches!(refused, RestoreError::Exists { .. }), "{refused:?}");
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
}

#[tokio::test]
async fn a_restore_leaves_the_backup_as_it_is() {
    let directory = tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    filled(&from).await;
    let before = std::fs::read(&from).unwrap();
    let report = restore(&from, &to).unwrap();
    assert_eq!((report.streams, report.events, report.objects), (5, 10, 5));
    assert_eq!(std::fs::read(&from).unwrap(), before);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored() {
    let directory = tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    let missing = restore(&from, &to).unwrap_err();
    assert!(matches!(missing, RestoreError::Io { .. }), "{missing:?}");
    names(&missing, &from);
    std::fs::write(&from, vec![3; 9_000]).unwrap();
    let refused = restore(&from, &to).unwrap_err();
    assert!(matches!(refused, RestoreError::Open(OpenError::NotAStore { .. })), "{refused:?}");
    names(&refused, &from);
    assert!(!to.exists());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn i9_a_backup_that_was_changed_is_not_restored() {
    let directory = tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    filled(&from).await;
    let database = database_of(&from).unwrap();
    let transaction = database.begin_write().unwrap();
    let heads: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("heads");
    transaction.open_table(heads).unwrap().remove("everything/3").unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = restore(&from, &to).unwrap_err();
    assert!(matches!(&refused, RestoreError::Unsound { report } if report.broken.len() == 1));
    assert!(!to.exists());
}

#[tokio::test]
async fn i13_over_its_quota_a_store_refuses_to_grow_and_goes_on() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = open(&path).unwrap();
    let (name, answer) = (key("k"), b"first".to_vec());
    store.accept(name.clone(), digest(1), answer.clone(), at(1), everything(1)).await.unwrap();
    store.close().await;

    let options = StoreOptions { quota_bytes: Some(1), ..StoreOptions::default() };
    let store = RedbStore::open(&path, &options).unwrap();
    for _ in 0..2 {
        let refused = store.append(events("s", 0, 1)).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        let refused = store.accept(key("l"), digest(2), Vec::new(), at(1), everything(2)).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    }
    // A repeat is answered, and what is under way can end.
    let again = store.accept(name, digest(1), Vec::new(), at(2), everything(1)).await.unwrap();
    assert_eq!(again, deployd_core::ports::Accepted::Replayed(answer));
    store.claim(&stream("s"), &worker("a"), at(1), 10).await.unwrap();
    assert_eq!(store.outbox_take(at(1), at(2), 9).await.unwrap().len(), 1);
    store.close().await;

    let store = open(&path).unwrap();
    assert_eq!(store.accepted(key("l"), digest(2)).await.unwrap(), None);
    store.append(events("s", 0, 1)).await.unwrap();
    assert!(store.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn i13_with_too_little_room_on_the_disk_a_store_is_full() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let options = StoreOptions { reserve_bytes: u64::MAX, ..StoreOptions::default() };
    let store = RedbStore::open(&path, &options).unwrap();
    let refused = store.append(events("s", 0, 1)).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert!(store.verify().await.unwrap().is_sound());
}
