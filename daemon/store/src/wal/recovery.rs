//! Opening a store does once more what its log has.

use std::io;

use deployd_core::seeded::{Bug, seeded};
use redb::{ReadableTable, WriteTransaction};

use super::changes::{Changes, Noting};
use super::{COPIES, HEAD, LENGTH_AT, Record, SECTOR, Wal, padded, record};
use crate::error::{Failure, damaged_entry};
use crate::limits::RECORD_BYTES_MAX;
use crate::sealed::{Findings, LogArea};
use crate::tables::{META, Tables};

/// Under what the key of the log is in the table of facts.
pub(crate) const LOG_KEY: &str = "log";

/// What is read of the log at once.
const PIECE: usize = 256 << 10;

/// Does again what the log has and the store may not, in the transaction that opens it;
/// returns the log, which is empty once the transaction is committed, and to be used only
/// then.
///
/// Fails, as of damage, where a record that was acknowledged can't be read, nor its copy:
/// a record that others follow. Of the last one nobody was told that it is there unless
/// its sync has ended, and then one of its copies can be read.
pub(crate) fn recover(
    transaction: &WriteTransaction,
    area: LogArea,
    findings: &Findings,
) -> Result<Wal, Failure> {
    if let Some(key) = kept_key(transaction)?
        && !seeded(Bug::LogNotReplayed)
    {
        let mut tables = Tables::open(transaction, &Changes::not_kept())?;
        let mut reading = Reading::of(&area);
        let mut done: u64 = 0;
        while let Some(changes) = reading.next(key, done, findings)? {
            for change in Noting(&changes) {
                let no_change = |_| damaged_entry(format!("record {done} of the log"));
                tables.change(&change.map_err(no_change)?)?;
            }
            done += 1;
        }
        if done > 0 {
            tracing::info!(groups = done, "what was acknowledged last came from the log");
        }
    }
    let key = next_key(transaction)?;
    Ok(Wal::new(area, key))
}

fn kept_key(transaction: &WriteTransaction) -> Result<Option<u64>, Failure> {
    let meta = transaction.open_table(META)?;
    let key = meta.get(LOG_KEY)?;
    Ok(key.and_then(|bytes| bytes.value().try_into().ok()).map(u64::from_le_bytes))
}

/// Draws a key for what follows this transaction, and keeps it in the store: with its
/// commit, all that was noted before is no record any more.
pub(crate) fn next_key(transaction: &WriteTransaction) -> Result<u64, Failure> {
    if seeded(Bug::LogKeyKept)
        && let Some(key) = kept_key(transaction)?
    {
        return Ok(key);
    }
    let mut key = [0; 8];
    getrandom::fill(&mut key).map_err(|error| {
        let error = io::Error::other(format!("no random bytes: {error}"));
        Failure::from(redb::StorageError::Io(error))
    })?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(LOG_KEY, key.as_slice())?;
    Ok(u64::from_le_bytes(key))
}

/// Reads a log from its beginning, as far as it is needed.
struct Reading<'a> {
    area: &'a LogArea,
    /// What was read of it.
    bytes: Vec<u8>,
    /// Where the next record is.
    at: usize,
}

impl<'a> Reading<'a> {
    fn of(area: &'a LogArea) -> Self {
        Self { area, bytes: Vec::new(), at: 0 }
    }

    /// The changes of the record of this number, which is the next; none where the log
    /// ends.
    fn next(
        &mut self,
        key: u64,
        number: u64,
        findings: &Findings,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let at = self.at;
        let found = match self.record_at(at, key)? {
            Some(Record { number: found, copy: 0, changes }) if found == number => {
                Some(changes.to_vec())
            }
            _ => self.copy_of(key, number, findings)?,
        };
        if let Some(changes) = &found {
            self.at = at + COPIES as usize * padded(changes.len());
        }
        Ok(found)
    }

    /// The changes of the next record from its second copy, since the first can't be read.
    fn copy_of(
        &mut self,
        key: u64,
        number: u64,
        findings: &Findings,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let (area, at) = (self.area, self.at);
        let last = at + COPIES as usize * padded(RECORD_BYTES_MAX);
        for place in (at + SECTOR..=last).step_by(SECTOR) {
            match self.record_at(place, key)? {
                Some(Record { number: found, copy: 1, changes })
                    if found == number && place == at + padded(changes.len()) =>
                {
                    let place = area.place(at as u64);
                    tracing::warn!(place, "a record of the log was read from its copy");
                    return Ok(Some(changes.to_vec()));
                }
                Some(record) if record.number > number => {
                    findings.changed(area.place(at as u64), (place - at) as u64);
                    return Err(damaged_entry(format!("record {number} of its log")));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn record_at(&mut self, at: usize, key: u64) -> Result<Option<Record<'_>>, Failure> {
        self.read_to(at + HEAD)?;
        let length = self.bytes.get(at + LENGTH_AT..).and_then(|rest| rest.first_chunk::<4>());
        let length = length.map_or(0, |length| u32::from_le_bytes(*length) as usize);
        if length > RECORD_BYTES_MAX {
            return Ok(None);
        }
        self.read_to(at + HEAD + length)?;
        Ok(self.bytes.get(at..).and_then(|bytes| record(bytes, key)))
    }

    /// Reads up to there, or to the end of the log.
    fn read_to(&mut self, end: usize) -> Result<(), Failure> {
        let all = usize::try_from(self.area.bytes()).unwrap_or(usize::MAX);
        let start = self.bytes.len();
        if end <= start || start == all {
            return Ok(());
        }
        self.bytes.resize(end.next_multiple_of(PIECE).min(all), 0);
        let out = self.bytes.get_mut(start..).unwrap_or_default();
        self.area.read(start as u64, out).map_err(redb::StorageError::Io)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::sealed::Sealed;

    const KEY: u64 = 7;

    /// A log with these records, and the bytes of its file.
    fn logged(records: &[&[u8]]) -> Vec<u8> {
        let area = area(None);
        let mut wal = Wal::new(area.clone(), KEY);
        for changes in records {
            wal.append(changes).unwrap();
        }
        let mut bytes = vec![0; area.bytes() as usize];
        area.read(0, &mut bytes).unwrap();
        bytes
    }

    fn area(bytes: Option<&[u8]>) -> LogArea {
        let (sealed, _) = Sealed::open(InMemoryBackend::new(), 64 << 10).unwrap();
        let area = sealed.log().unwrap();
        if let Some(bytes) = bytes {
            area.write_through(0, bytes).unwrap();
        }
        area
    }

    /// What is read of these bytes, and whether it ends in damage that was named.
    fn read(bytes: &[u8], key: u64) -> (Vec<Vec<u8>>, bool) {
        let area = area(Some(bytes));
        let findings = Findings::default();
        let mut reading = Reading::of(&area);
        let mut found = Vec::new();
        loop {
            match reading.next(key, found.len() as u64, &findings) {
                Ok(Some(changes)) => found.push(changes),
                Ok(None) => return (found, false),
                Err(failure) => {
                    assert!(failure.is_damage() && findings.count() == 1, "{failure}");
                    return (found, true);
                }
            }
        }
    }

    #[test]
    fn records_are_read_in_their_order_and_only_with_their_key() {
        let large = vec![9; 3_000];
        let bytes = logged(&[b"one", &large, b""]);
        assert_eq!(read(&bytes, KEY), (vec![b"one".to_vec(), large, Vec::new()], false));
        assert_eq!(read(&bytes, KEY + 1), (vec![], false));
    }

    #[test]
    fn no_flipped_bit_takes_a_record() {
        let records = [&b"one"[..], &[9; 700], b"three"];
        let bytes = logged(&records);
        let whole = (records.map(<[u8]>::to_vec).to_vec(), false);
        let used = 2 * (512 + 1_024 + 512);
        for bit in (0..used * 8).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped, KEY), whole, "bit {bit}");
        }
    }

    #[test]
    fn a_record_that_was_torn_ends_the_log_and_one_before_others_is_named() {
        let bytes = logged(&[b"one", &[9; 700], b"three"]);
        let lose = |ranges: &[(usize, usize)]| {
            let mut bytes = bytes.clone();
            for (start, end) in ranges {
                bytes[*start..*end].fill(0);
            }
            let (found, damaged) = read(&bytes, KEY);
            (found.len(), damaged)
        };
        // Both of the last.
        assert_eq!(lose(&[(3_072, 3_073), (3_584, 3_585)]), (2, false));
        // Both of the second, which the third follows.
        assert_eq!(lose(&[(1_024, 1_025), (2_560, 2_561)]), (1, true));
        // The second and the third as well: nothing that was synced follows.
        assert_eq!(lose(&[(1_024, 4_096)]), (1, false));
        assert_eq!(lose(&[(0, 4_096)]), (0, false));
    }

    #[test]
    fn a_full_log_has_no_room_and_a_new_key_ends_what_was_there() {
        let area = area(None);
        let mut wal = Wal::new(area.clone(), KEY);
        let mut count = 0;
        while wal.has_room(1_000) {
            wal.append(&[count; 1_000]).unwrap();
            count += 1;
        }
        assert_eq!(count, 32);
        assert!(!wal.has_room(0) && !wal.is_empty());
        wal.restart(KEY + 1);
        assert!(wal.is_empty() && wal.has_room(1_000) && !wal.has_room(RECORD_BYTES_MAX));
        wal.append(b"new").unwrap();
        let mut bytes = vec![0; area.bytes() as usize];
        area.read(0, &mut bytes).unwrap();
        assert_eq!(read(&bytes, KEY + 1), (vec![b"new".to_vec()], false));
    }
}
