//! The write-ahead log: what a group of requests changes is on stable storage by one
//! sync, and redb's own commit can wait.
//!
//! redb makes a commit durable by two syncs, and writes with it which pages of the whole
//! file are free. For a group of small requests that is most of the work, and the larger
//! the file is, the more of it there is. So a group is noted here first ([`changes`]),
//! as one record by one write and one sync; its commit to redb is in memory only. When
//! the log is full, or nobody has come for a while, one durable commit keeps all of them:
//! a checkpoint. Where that fails, or the process ends, opening the store does once more
//! what the log has ([`recovery`]).
//!
//! ```text
//!   | record 0  | record 0 again | record 1  | record 1 again | ... | what was there before
//!   | 512-byte sectors           |
//!
//!   record:  checksum  number  length  which copy | changes
//!            8 bytes   8       4       4          | as long as they are
//! ```
//!
//! Each record is there twice, so that no single damage takes what was acknowledged. The
//! checksums begin with a key, which each checkpoint draws anew and keeps among its
//! records: what was there before has another, and nobody who stores something can make
//! it look like a record.

pub(crate) mod changes;
pub(crate) mod recovery;

use std::io;

use twox_hash::XxHash3_64;

use crate::limits::RECORD_BYTES_MAX;
use crate::sealed::LogArea;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What stands before the changes of a record.
const HEAD: usize = 24;

/// Where in it the length of the changes is.
const LENGTH_AT: usize = 16;

/// Times that a record is there.
const COPIES: u32 = 2;

/// The log of an open store, at its end.
#[derive(Debug)]
pub(crate) struct Wal {
    area: LogArea,
    /// Of all records since the last checkpoint.
    key: u64,
    /// Of the next record.
    number: u64,
    /// Where the next record will be.
    at: u64,
}

impl Wal {
    /// A log without records; this key must be in the store.
    fn new(area: LogArea, key: u64) -> Self {
        Self { area, key, number: 0, at: 0 }
    }

    /// Whether nothing was noted since the last checkpoint.
    pub(crate) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Whether changes of this length can still be noted.
    pub(crate) fn has_room(&self, changes: usize) -> bool {
        let record = u64::from(COPIES) * padded(changes) as u64;
        changes <= RECORD_BYTES_MAX && self.at.saturating_add(record) <= self.area.bytes()
    }

    /// Notes changes: they are on stable storage when this returns. After an error nobody
    /// knows whether they are.
    pub(crate) fn append(&mut self, changes: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(COPIES as usize * padded(changes.len()));
        for copy in 0..COPIES {
            put(&mut bytes, self.key, self.number, copy, changes);
        }
        self.area.write_through(self.at, &bytes)?;
        self.number += 1;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Forgets its records although they may be in no other place: a seeded bug.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        self.area.write_through(0, &vec![0; usize::try_from(self.at).unwrap_or_default()])
    }

    /// Begins anew with this key: all that was noted is in the store, and the key is.
    pub(crate) fn restart(&mut self, key: u64) {
        (self.key, self.number, self.at) = (key, 0, 0);
    }
}

/// The length of a record in whole sectors.
fn padded(changes: usize) -> usize {
    (HEAD + changes).next_multiple_of(SECTOR)
}

fn put(bytes: &mut Vec<u8>, key: u64, number: u64, copy: u32, changes: &[u8]) {
    let start = bytes.len();
    let length = u32::try_from(changes.len()).unwrap_or(u32::MAX);
    bytes.extend([0; 8]);
    bytes.extend(number.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(copy.to_le_bytes());
    bytes.extend(changes);
    let sum = bytes.get(start + 8..).map_or(0, |summed| XxHash3_64::oneshot_with_seed(key, summed));
    if let Some(place) = bytes.get_mut(start..start + 8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
    bytes.resize(start + padded(changes.len()), 0);
}

/// A record that is what was written.
#[derive(Debug, PartialEq, Eq)]
struct Record<'b> {
    number: u64,
    copy: u32,
    changes: &'b [u8],
}

/// The record that these bytes begin with.
fn record(bytes: &[u8], key: u64) -> Option<Record<'_>> {
    let (sum, rest) = bytes.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (copy, rest) = rest.split_first_chunk::<4>()?;
    let changes = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let summed = bytes.get(8..HEAD + changes.len())?;
    (XxHash3_64::oneshot_with_seed(key, summed) == u64::from_le_bytes(*sum)).then_some(Record {
        number: u64::from_le_bytes(*number),
        copy: u32::from_le_bytes(*copy),
        changes,
    })
}
