//! The checksums of all blocks: read when a group is first touched, written
//! before each sync. In memory, they take a five-hundredth of what was touched.

use std::io;

use deployd_core::seeded::{Bug, seeded};
use redb::StorageBackend;
use twox_hash::XxHash3_64;

use super::layout::{BLOCK, GROUP, Layout};

/// No checksum: a block that was never written. redb reads none of these.
const UNWRITTEN: u64 = 0;

/// The checksum of a block. Its number goes in, so that a block that was
/// written to another's place is found as well.
pub(super) fn sum(block: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(block, bytes).max(1)
}

/// Whether a block is what its checksum says.
pub(super) fn matches(block: u64, bytes: &[u8], expected: u64) -> bool {
    sum(block, bytes) == expected || seeded(Bug::ChecksumNotCompared)
}

#[derive(Debug)]
struct Group {
    sums: Vec<u64>,
    changed: bool,
}

/// The checksums of the blocks of a file.
#[derive(Debug)]
pub(super) struct Sums {
    layout: Layout,
    groups: Vec<Option<Group>>,
    changed: bool,
}

impl Sums {
    /// Of a file of this length, as redb sees it; reads nothing yet.
    pub(super) fn new(layout: Layout, len: u64) -> Self {
        let mut sums = Self { layout, groups: Vec::new(), changed: false };
        sums.groups.resize_with(groups(len), || None);
        sums
    }

    /// The checksums of some blocks of one group.
    pub(super) fn of(
        &mut self,
        backend: &impl StorageBackend,
        first: u64,
        count: u64,
    ) -> io::Result<Vec<u64>> {
        let group = self.group(backend, first / GROUP)?;
        let sums = group.sums.iter().skip((first % GROUP) as usize).take(count as usize);
        Ok(sums.copied().collect())
    }

    /// Sets those of some blocks of one group.
    pub(super) fn set(
        &mut self,
        backend: &impl StorageBackend,
        first: u64,
        sums: &[u64],
    ) -> io::Result<()> {
        let group = self.group(backend, first / GROUP)?;
        group.changed = true;
        for (kept, sum) in group.sums.iter_mut().skip((first % GROUP) as usize).zip(sums) {
            *kept = *sum;
        }
        self.changed = true;
        Ok(())
    }

    /// Follows the file to another length: what is cut off was never written.
    pub(super) fn set_len(&mut self, backend: &impl StorageBackend, len: u64) -> io::Result<()> {
        let blocks = len / BLOCK;
        let last = blocks / GROUP;
        if (last as usize) < self.groups.len() && !blocks.is_multiple_of(GROUP) {
            let group = self.group(backend, last)?;
            for sum in group.sums.iter_mut().skip((blocks % GROUP) as usize) {
                group.changed |= *sum != UNWRITTEN;
                *sum = UNWRITTEN;
            }
            self.changed |= group.changed;
        }
        self.groups.resize_with(groups(len), || None);
        Ok(())
    }

    /// Writes those that have changed.
    ///
    /// In place: what a block of checksums says of blocks that are in use stays
    /// as it was, and of the others nobody reads before they are written again.
    pub(super) fn write(&mut self, backend: &impl StorageBackend) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        for (number, group) in (0..).zip(&mut self.groups) {
            let Some(group) = group.as_mut().filter(|group| group.changed) else { continue };
            let bytes: Vec<u8> = group.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            backend.write(self.layout.sums_place(number), &bytes)?;
            group.changed = false;
        }
        self.changed = false;
        Ok(())
    }

    fn group(&mut self, backend: &impl StorageBackend, number: u64) -> io::Result<&mut Group> {
        let missing = || super::misuse("a block past the end of the file");
        let group = self.groups.get_mut(number as usize).ok_or_else(missing)?;
        if let Some(group) = group {
            return Ok(group);
        }
        let mut bytes = vec![0; BLOCK as usize];
        backend.read(self.layout.sums_place(number), &mut bytes)?;
        let (sums, _) = bytes.as_chunks::<8>();
        let sums = sums.iter().map(|sum| u64::from_le_bytes(*sum)).collect();
        Ok(group.insert(Group { sums, changed: false }))
    }
}

/// How many groups a file of this length has.
fn groups(len: u64) -> usize {
    (len / BLOCK).div_ceil(GROUP) as usize
}
