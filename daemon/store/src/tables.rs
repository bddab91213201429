//! The tables, and what their keys and values are.
//!
//! Values that may evolve begin with a format byte (see [`crate::encode`]).

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, Value as _, WriteTransaction};

use crate::error::{Failure, damaged_entry};
use crate::wal::changes::{Change, Changes, Noted};

/// Facts about the store itself: schema, id, created.
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// Stream -> head.
pub(crate) const HEADS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("heads");
/// Stream and version -> event.
pub(crate) const EVENTS: TableDefinition<'static, (&str, u64), &[u8]> =
    TableDefinition::new("events");
/// Position -> stream and version.
pub(crate) const FEED: TableDefinition<'static, u64, (&str, u64)> = TableDefinition::new("feed");
/// Index and key -> value, as it was given.
pub(crate) const INDEXES: TableDefinition<'static, (&str, &[u8]), &[u8]> =
    TableDefinition::new("indexes");
/// Digest -> content, raw or compressed.
pub(crate) const OBJECTS: TableDefinition<'static, &[u8; 32], &[u8]> =
    TableDefinition::new("objects");
/// Number of a message, in the order they came -> message.
pub(crate) const OUTBOX: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("outbox");
/// Id of a message -> its number.
pub(crate) const OUTBOX_IDS: TableDefinition<'static, &str, u64> =
    TableDefinition::new("outbox-ids");
/// When a pending message may be taken, and its number.
pub(crate) const OUTBOX_DUE: TableDefinition<'static, (u64, u64), ()> =
    TableDefinition::new("outbox-due");
/// Status of a message, and its number.
pub(crate) const OUTBOX_STATUS: TableDefinition<'static, (u8, u64), ()> =
    TableDefinition::new("outbox-status");
/// Idempotency key -> digest of the request and its answer.
pub(crate) const KEYS: TableDefinition<'static, &str, &[u8]> =
    TableDefinition::new("idempotency-keys");
/// When an idempotency key expires, and the key.
pub(crate) const KEY_EXPIRY: TableDefinition<'static, (u64, &str), ()> =
    TableDefinition::new("idempotency-expiry");
/// Stream -> fence, and who has it until when.
pub(crate) const CLAIMS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("claims");

macro_rules! tables {
    ($($number:literal $field:ident: $definition:ident, $key:ty, $value:ty;)*) => {
        /// All tables that requests write, open in one transaction.
        pub(crate) struct Tables<'t> {
            $(pub(crate) $field: Noted<'t, $key, $value>,)*
        }

        impl<'t> Tables<'t> {
            /// Opens all of them; those that are not there yet come to be. What is
            /// changed is noted.
            pub(crate) fn open(
                transaction: &'t WriteTransaction,
                changes: &Changes,
            ) -> Result<Self, Failure> {
                Ok(Self {
                    $($field: Noted::new(transaction.open_table($definition)?, $number, changes),)*
                })
            }

            /// Copies all of them from a consistent view.
            pub(crate) fn copy_from(&mut self, from: &ReadTransaction) -> Result<(), Failure> {
                $({
                    let source = from.open_table($definition)?;
                    for entry in source.iter()? {
                        let (key, value) = entry?;
                        self.$field.insert(key.value(), value.value())?;
                    }
                })*
                Ok(())
            }

            /// Does once more what was noted.
            ///
            /// Fails, as of a damaged record, where there is no such table.
            pub(crate) fn change(&mut self, change: &Change<'_>) -> Result<(), Failure> {
                match change.table {
                    $($number => {
                        let key = <$key>::from_bytes(change.key);
                        match change.value {
                            Some(value) => self.$field.insert(key, <$value>::from_bytes(value)),
                            None => self.$field.remove(key),
                        }
                    })*
                    other => Err(damaged_entry(format!("a change of table {other}"))),
                }
            }
        }

        /// Every record of every table: its table, its key, its value.
        pub(crate) fn records(from: &ReadTransaction) -> Result<Vec<Record>, Failure> {
            let mut found = Vec::new();
            $({
                for entry in from.open_table($definition)?.iter()? {
                    let (key, value) = entry?;
                    let (key, value) = (key.value(), value.value());
                    let (key, value) = (<$key>::as_bytes(&key), <$value>::as_bytes(&value));
                    let bytes = |part: &dyn AsRef<[u8]>| part.as_ref().to_vec();
                    found.push((stringify!($field), bytes(&key), bytes(&value)));
                }
            })*
            Ok(found)
        }
    };
}

/// Table, key, value.
pub(crate) type Record = (&'static str, Vec<u8>, Vec<u8>);

// The numbers are in files: none is ever used for another table.
tables! {
    1 heads: HEADS, &'static str, &'static [u8];
    2 events: EVENTS, (&'static str, u64), &'static [u8];
    3 feed: FEED, u64, (&'static str, u64);
    4 indexes: INDEXES, (&'static str, &'static [u8]), &'static [u8];
    5 objects: OBJECTS, &'static [u8; 32], &'static [u8];
    6 outbox: OUTBOX, u64, &'static [u8];
    7 outbox_ids: OUTBOX_IDS, &'static str, u64;
    8 outbox_due: OUTBOX_DUE, (u64, u64), ();
    9 outbox_status: OUTBOX_STATUS, (u8, u64), ();
    10 keys: KEYS, &'static str, &'static [u8];
    11 key_expiry: KEY_EXPIRY, (u64, &'static str), ();
    12 claims: CLAIMS, &'static str, &'static [u8];
}
