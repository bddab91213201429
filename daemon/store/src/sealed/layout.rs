//! Where things are in the file.
//!
//! ```text
//!   head  head  | write-ahead log | sums  block 0 .. block 511 | sums  block 512 .. | ...
//!   4 KiB 4 KiB | as the head says | 4 KiB 512 x 4 KiB         | 4 KiB
//! ```
//!
//! A block of checksums has those of the 512 blocks after it, eight bytes each.
//! Block 0 is redb's header; it lives in the heads, and its place is empty. Files of
//! version 2 have no log.

use std::io;
use std::ops::Range;

use super::misuse;

/// What has one checksum: redb's page.
pub(super) const BLOCK: u64 = 4_096;

/// Blocks whose checksums fill one block.
pub(super) const GROUP: u64 = 512;

/// What stands before the first group: the head, twice.
pub(super) const HEAD_BYTES: u64 = 2 * BLOCK;

/// The bytes of a group with its checksums.
const GROUP_BYTES: u64 = (GROUP + 1) * BLOCK;

/// Where redb's part of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// The first byte after the heads and the log.
    start: u64,
}

impl Layout {
    /// Of a file with a log of so many bytes, which are whole blocks.
    pub(super) fn with_log(bytes: u64) -> Self {
        Self { start: HEAD_BYTES + bytes }
    }

    /// Where redb's part begins.
    pub(super) fn start(self) -> u64 {
        self.start
    }

    /// Where a group's checksums are.
    pub(super) fn sums_place(self, group: u64) -> u64 {
        self.start + group * GROUP_BYTES
    }

    /// Where a block is.
    pub(super) fn place(self, block: u64) -> u64 {
        self.sums_place(block / GROUP) + (1 + block % GROUP) * BLOCK
    }

    /// The length of the file for a length that redb asks for.
    pub(super) fn physical_len(self, len: u64) -> io::Result<u64> {
        if !len.is_multiple_of(BLOCK) {
            return Err(misuse("a length that is no multiple of a block"));
        }
        let blocks = len / BLOCK;
        Ok(self.start + (blocks + blocks.div_ceil(GROUP)) * BLOCK)
    }

    /// The length that redb sees of a file of this length; none when no store has
    /// this length.
    pub(super) fn logical_len(self, bytes: u64) -> Option<u64> {
        let groups = bytes.checked_sub(self.start)?;
        let rest = groups % GROUP_BYTES;
        // A group has at least one block after its checksums.
        let rest = if rest == 0 { 0 } else { rest.checked_sub(2 * BLOCK)? + BLOCK };
        let len = groups / GROUP_BYTES * GROUP * BLOCK + rest;
        len.is_multiple_of(BLOCK).then_some(len)
    }

    /// The runs that these bytes of redb's are; fails unless they are whole blocks.
    pub(super) fn runs(self, offset: u64, bytes: usize) -> io::Result<Vec<Run>> {
        if !offset.is_multiple_of(BLOCK) || !(bytes as u64).is_multiple_of(BLOCK) {
            return Err(misuse("bytes that are no whole blocks"));
        }
        let end = (offset + bytes as u64) / BLOCK;
        let mut runs = Vec::with_capacity(1);
        let (mut block, mut start) = (offset / BLOCK, 0);
        while block < end {
            let next = end.min((block / GROUP + 1) * GROUP);
            let stop = start + ((next - block) * BLOCK) as usize;
            runs.push(Run { first: block, place: self.place(block), range: start..stop });
            (block, start) = (next, stop);
        }
        Ok(runs)
    }
}

/// Blocks that are side by side in the file.
pub(super) struct Run {
    /// The first of them.
    pub(super) first: u64,
    /// Where it is in the file.
    pub(super) place: u64,
    /// Which bytes of the caller's they are.
    pub(super) range: Range<usize>,
}

impl Run {
    /// How many blocks.
    pub(super) fn count(&self) -> u64 {
        self.range.len() as u64 / BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout { start: HEAD_BYTES };

    #[test]
    fn every_length_is_found_again_from_the_file_s() {
        for layout in [PLAIN, Layout::with_log(7 * BLOCK)] {
            for blocks in [0, 1, 2, 511, 512, 513, 1_023, 1_024, 1_025, 5_000] {
                let bytes = layout.physical_len(blocks * BLOCK).unwrap();
                assert_eq!(layout.logical_len(bytes), Some(blocks * BLOCK));
                assert_eq!(layout.logical_len(bytes + 1), None);
                if blocks > 0 {
                    let end = layout.place(blocks - 1) + BLOCK;
                    assert_eq!(end, bytes, "the last block ends the file");
                }
            }
            assert!(layout.physical_len(1).is_err());
        }
    }

    #[test]
    fn lengths_that_no_store_has_are_refused() {
        for layout in [PLAIN, Layout::with_log(7 * BLOCK)] {
            let start = layout.start();
            for bytes in [1, BLOCK, start - 1, start + BLOCK, layout.sums_place(3) + BLOCK] {
                assert_eq!(layout.logical_len(bytes), None, "{bytes}");
            }
        }
    }

    #[test]
    fn runs_end_with_their_groups() {
        let runs = PLAIN.runs(510 * BLOCK, 6 * BLOCK as usize).unwrap();
        let found: Vec<_> = runs.iter().map(|run| (run.first, run.count(), run.place)).collect();
        assert_eq!(found, [(510, 2, PLAIN.place(510)), (512, 4, PLAIN.place(512))]);
        assert_eq!(runs[0].range, 0..2 * BLOCK as usize);
        assert_eq!(runs[1].range, 2 * BLOCK as usize..6 * BLOCK as usize);
        assert!(PLAIN.runs(5, 4_096).is_err());
        assert!(PLAIN.runs(0, 4_095).is_err());
    }
}
