//! redb's header, kept four times.
//!
//! redb writes its header in place, and a changed bit in it could lead to an
//! older state without anybody noticing. So each write of it gets a number and
//! goes to one of two places in each of the two heads of the file: never over
//! the last one that was synced. The sound copy with the highest number counts.
//! No single damage makes an older one count, since each is there twice. With
//! it is the length that the file had, so that a cut file is known as one.

use std::io;

use deployd_core::seeded::{Bug, seeded};
use redb::StorageBackend;
use twox_hash::XxHash3_64;

use super::layout::{BLOCK, HEAD_BYTES};
use super::{FILE_FORMAT, SealError, misuse};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Every file of ours begins so, and its second block does.
const MAGIC: &[u8; 16] = b"deployd store\x1a\r\n";

/// So does every file of redb's.
const PLAIN: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// The most that redb may keep in its header; 4.4 has 320 bytes. Its number, its
/// length and its checksum fill the sector.
const HEADER_BYTES: usize = 488;

/// Where the heads are.
const HEADS: [u64; 2] = [0, BLOCK];

/// The places of a header within a head.
const SLOTS: [u64; 2] = [SECTOR as u64, 2 * SECTOR as u64];

/// Whether these are the first bytes of a database that is not sealed.
pub(crate) fn is_plain(first: &[u8]) -> bool {
    first.starts_with(PLAIN)
}

/// redb's header, and where its copies are.
#[derive(Debug)]
pub(super) struct Head {
    header: [u8; HEADER_BYTES],
    number: u64,
    /// What redb saw as the length of the file when it was last synced.
    len: u64,
    /// The slot that must not be written over: that of the last sync.
    synced: usize,
    /// The slot of the last write.
    written: usize,
    /// Whether a copy of the slot that counts is missing or damaged.
    incomplete: bool,
    /// How many bytes of the file are the write-ahead log's.
    log: u64,
}

impl Head {
    /// Makes the heads of an empty file with a log of so many blocks.
    pub(super) fn create(backend: &impl StorageBackend, log_blocks: u32) -> io::Result<Self> {
        let blank = Self::blank(log_blocks);
        backend.set_len(HEAD_BYTES + blank.log)?;
        let mut mark = [0; SECTOR];
        let (version, log) = (FILE_FORMAT.to_le_bytes(), log_blocks.to_le_bytes());
        for (to, from) in mark.iter_mut().zip(MAGIC.iter().chain(&version).chain(&log)) {
            *to = *from;
        }
        seal(&mut mark);
        for head in HEADS {
            backend.write(head, &mark)?;
        }
        Ok(blank)
    }

    fn blank(log_blocks: u32) -> Self {
        let (header, log) = ([0; HEADER_BYTES], u64::from(log_blocks) * BLOCK);
        Self { header, number: 0, len: 0, synced: 1, written: 1, incomplete: false, log }
    }

    /// Whether no header was ever written.
    pub(super) fn is_blank(&self) -> bool {
        self.number == 0
    }

    /// Reads the heads of a file of this length.
    pub(super) fn open(backend: &impl StorageBackend, bytes: u64) -> Result<Self, SealError> {
        let mut blocks = [[0; BLOCK as usize]; 2];
        for (place, block) in HEADS.iter().zip(&mut blocks) {
            let there = usize::try_from(bytes.saturating_sub(*place)).unwrap_or(usize::MAX);
            let there = there.min(block.len());
            if let Some(block) = block.get_mut(..there)
                && !block.is_empty()
            {
                backend.read(*place, block)?;
            }
        }
        let log_blocks = check_marks(&blocks)?;
        if bytes < HEAD_BYTES {
            return Err(SealError::Damaged(format!("it was cut to {bytes} bytes")));
        }
        let mut found = Self::blank(log_blocks);
        let mut copies = 0;
        for block in &blocks {
            for (slot, place) in SLOTS.iter().enumerate() {
                let Some(copy) = slot_of(block, *place as usize, slot) else { continue };
                if copy.number == found.number {
                    copies += 1;
                } else if copy.number > found.number {
                    copies = 1;
                    found = copy;
                }
            }
        }
        found.incomplete = copies < HEADS.len();
        found.log = u64::from(log_blocks) * BLOCK;
        Ok(found)
    }

    /// How many bytes of the file are the write-ahead log's: whole blocks.
    pub(super) fn log(&self) -> u64 {
        self.log
    }

    /// The length that the file must have at least.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads the header; past it there are zeros.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > BLOCK {
            return Err(misuse("the header and more at once"));
        }
        out.fill(0);
        for (to, from) in out.iter_mut().zip(self.header.iter().skip(offset as usize)) {
            *to = *from;
        }
        Ok(())
    }

    /// Writes to the header, and the header to its place.
    pub(super) fn write(
        &mut self,
        backend: &impl StorageBackend,
        offset: u64,
        data: &[u8],
    ) -> io::Result<()> {
        if offset as usize + data.len() > HEADER_BYTES {
            return Err(misuse("a header that is longer than any"));
        }
        if self.incomplete && self.number > 0 {
            // Both copies of what counts, before there is anything newer.
            self.put(backend, self.synced)?;
            self.incomplete = false;
        }
        for (to, from) in self.header.iter_mut().skip(offset as usize).zip(data) {
            *to = *from;
        }
        self.number = self.number.saturating_add(1);
        self.written = match seeded(Bug::HeaderOverwritten) {
            false => 1 - self.synced,
            true => self.synced,
        };
        self.put(backend, self.written)
    }

    /// Writes that the file is about to be shorter; to be synced before it is.
    pub(super) fn shorten(&mut self, backend: &impl StorageBackend, len: u64) -> io::Result<()> {
        self.len = self.len.min(len);
        self.write(backend, 0, &[])
    }

    fn put(&self, backend: &impl StorageBackend, slot: usize) -> io::Result<()> {
        let mut sector = [0; SECTOR];
        let (number, len) = (self.number.to_le_bytes(), self.len.to_le_bytes());
        for (to, from) in sector.iter_mut().zip(number.iter().chain(&len).chain(&self.header)) {
            *to = *from;
        }
        seal(&mut sector);
        let slot = SLOTS.get(slot).copied().unwrap_or_default();
        for head in HEADS {
            backend.write(head + slot, &sector)?;
        }
        Ok(())
    }

    /// All that was written is on stable storage, in a file of this length.
    pub(super) fn synced(&mut self, len: u64) {
        self.synced = self.written;
        self.len = len;
    }
}

/// Puts the checksum of a sector at its end.
fn seal(sector: &mut [u8; SECTOR]) {
    if let Some((bytes, sum)) = sector.split_last_chunk_mut::<8>() {
        *sum = XxHash3_64::oneshot(bytes).to_le_bytes();
    }
}

/// The bytes of a sector before its checksum, if they are what was written.
fn unsealed(block: &[u8], place: usize) -> Option<&[u8]> {
    let (bytes, sum) = block.get(place..place + SECTOR)?.split_last_chunk::<8>()?;
    (XxHash3_64::oneshot(bytes) == u64::from_le_bytes(*sum)).then_some(bytes)
}

fn slot_of(block: &[u8], place: usize, slot: usize) -> Option<Head> {
    let (number, rest) = unsealed(block, place)?.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first_chunk::<8>()?;
    Some(Head {
        header: *rest.first_chunk::<HEADER_BYTES>()?,
        number: u64::from_le_bytes(*number),
        len: u64::from_le_bytes(*len),
        synced: slot,
        written: slot,
        incomplete: false,
        log: 0,
    })
}

/// One of the heads says what the file is; returns how many blocks its log has, none in
/// files of version 2.
fn check_marks(blocks: &[[u8; BLOCK as usize]; 2]) -> Result<u32, SealError> {
    let marks: Vec<&[u8]> = blocks.iter().filter_map(|block| unsealed(block, 0)).collect();
    let Some(rest) = marks.iter().find_map(|mark| mark.strip_prefix(MAGIC.as_slice())) else {
        if blocks.iter().any(|block| block.starts_with(MAGIC)) {
            return Err(SealError::Damaged("its first bytes are not what was written".to_owned()));
        }
        return Err(SealError::NotSealed("it does not begin as one".to_owned()));
    };
    let mut numbers = rest.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number));
    match (numbers.next(), numbers.next()) {
        (Some(version), _) if version > FILE_FORMAT => Err(SealError::Newer(version)),
        (_, log) => Ok(log.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    fn opened(bytes: &[u8]) -> Result<Head, SealError> {
        let backend = InMemoryBackend::new();
        backend.set_len(bytes.len() as u64).unwrap();
        backend.write(0, bytes).unwrap();
        Head::open(&backend, bytes.len() as u64)
    }

    fn bytes_of(backend: &InMemoryBackend) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES as usize];
        backend.read(0, &mut bytes).unwrap();
        bytes
    }

    fn first_byte(head: &Head) -> u8 {
        let mut byte = [0];
        head.read(0, &mut byte).unwrap();
        byte[0]
    }

    /// A head that was written three times and synced each time.
    fn three() -> Vec<u8> {
        let backend = InMemoryBackend::new();
        let mut head = Head::create(&backend, 0).unwrap();
        for n in [1, 2, 3] {
            head.write(&backend, 0, &[n]).unwrap();
            head.synced(0);
        }
        bytes_of(&backend)
    }

    #[test]
    fn the_last_write_counts() {
        assert_eq!(first_byte(&opened(&three()).unwrap()), 3);
    }

    #[test]
    fn no_flipped_bit_makes_an_older_header_count() {
        let bytes = three();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(first_byte(&opened(&flipped).unwrap()), 3, "bit {bit}");
        }
    }

    #[test]
    fn a_damaged_copy_is_made_whole_before_the_next_is_written() {
        let mut bytes = three();
        bytes[SLOTS[0] as usize + 100] ^= 1;
        let backend = InMemoryBackend::new();
        backend.set_len(HEAD_BYTES).unwrap();
        backend.write(0, &bytes).unwrap();
        let mut head = Head::open(&backend, HEAD_BYTES).unwrap();
        assert!(head.incomplete);
        head.write(&backend, 0, &[4]).unwrap();
        // The new one lost, and the other copy of the present one.
        let mut bytes = bytes_of(&backend);
        for head in HEADS {
            bytes[(head + SLOTS[1]) as usize] ^= 1;
        }
        bytes[(BLOCK + SLOTS[0]) as usize] ^= 1;
        assert_eq!(first_byte(&opened(&bytes).unwrap()), 3);
    }

    #[test]
    fn what_was_synced_is_not_written_over_before_the_next_sync() {
        let backend = InMemoryBackend::new();
        let mut head = Head::create(&backend, 0).unwrap();
        head.write(&backend, 0, &[1]).unwrap();
        head.synced(0);
        for n in [2, 3, 4] {
            head.write(&backend, 0, &[n]).unwrap();
        }
        let mut bytes = bytes_of(&backend);
        assert_eq!(first_byte(&opened(&bytes).unwrap()), 4);
        // The writes since the sync are torn.
        for head in HEADS {
            bytes[(head + SLOTS[1]) as usize + 9] ^= 255;
        }
        assert_eq!(first_byte(&opened(&bytes).unwrap()), 1);
    }

    #[test]
    fn what_is_no_head_is_told_from_what_is_a_damaged_one() {
        let not = opened(&[7; HEAD_BYTES as usize]);
        assert!(matches!(not, Err(SealError::NotSealed(_))), "{not:?}");
        let mut bytes = three();
        for head in HEADS {
            bytes[head as usize + 300] ^= 1;
        }
        let damaged = opened(&bytes);
        assert!(matches!(damaged, Err(SealError::Damaged(_))), "{damaged:?}");
        let cut = opened(&three()[..5_000]);
        assert!(matches!(cut, Err(SealError::Damaged(_))), "{cut:?}");
    }
}
