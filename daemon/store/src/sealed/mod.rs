//! Every block of the file under a checksum, so that a byte that changed on the
//! disk is found when it is read, and never taken for what was written.
//!
//! redb keeps checksums of its pages, and compares them only when it repairs.
//! [`Sealed`] stands between redb and the file: it keeps a checksum of each
//! 4 KiB block beside the blocks ([`layout`]) and redb's header twice over
//! ([`head`]).
//!
//! redb takes any error of its storage as the end of the storage. One block
//! that went bad must not end everything, so that it is answered with a page
//! that redb refuses by itself ([`damage`]): whoever needs the block gets an
//! error that names it, and all others go on.

mod damage;
mod head;
mod layout;
mod sums;

use std::io;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deployd_core::seeded::{Bug, seeded};
use redb::{BackendError, StorageBackend};

pub(crate) use self::damage::Findings;
use self::head::Head;
pub(crate) use self::head::is_plain;
use self::layout::{BLOCK, HEAD_BYTES, Layout};
use self::sums::Sums;

/// The version of the file's format. Files of version 1 were redb's own, those of
/// version 2 had no write-ahead log.
pub(crate) const FILE_FORMAT: u32 = 3;

/// Why a file can't be read as a sealed one.
#[derive(Debug)]
pub(crate) enum SealError {
    /// It does not begin as one.
    NotSealed(String),
    /// It was written by a later version.
    Newer(u32),
    /// It was one.
    Damaged(String),
    /// Its storage fails.
    Io(io::Error),
}

impl From<io::Error> for SealError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Storage whose every block is verified when it is read.
#[derive(Debug)]
pub(crate) struct Sealed<B> {
    backend: Arc<B>,
    layout: Layout,
    inner: Mutex<Inner>,
    findings: Findings,
}

/// The part of the file that is the write-ahead log's. It is not under these checksums:
/// its records have their own ([`crate::wal`]).
#[derive(Debug, Clone)]
pub(crate) struct LogArea {
    backend: Arc<dyn StorageBackend>,
    bytes: u64,
}

impl LogArea {
    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where a place in it is in the file, for messages.
    pub(crate) fn place(&self, offset: u64) -> u64 {
        HEAD_BYTES + offset
    }

    /// Reads what is there; past its end is an error.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check(offset, out.len())?;
        self.backend.read(HEAD_BYTES + offset, out)
    }

    /// Writes, and waits until it is on stable storage.
    pub(crate) fn write_through(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes.len())?;
        self.backend.write(HEAD_BYTES + offset, bytes)?;
        match seeded(Bug::SyncSkipped) {
            false => self.backend.sync_data(),
            true => Ok(()),
        }
    }

    fn check(&self, offset: u64, bytes: usize) -> io::Result<()> {
        match offset + bytes as u64 <= self.bytes {
            true => Ok(()),
            false => Err(misuse("bytes past the end of the log")),
        }
    }
}

#[derive(Debug)]
struct Inner {
    head: Head,
    sums: Sums,
    /// As redb sees it, in bytes.
    len: u64,
}

impl<B: StorageBackend> Sealed<B> {
    /// Reads the head of the storage; makes one where the storage is empty, with a log of
    /// so many bytes, in whole blocks.
    pub(crate) fn open(backend: B, log_bytes: u64) -> Result<(Self, Findings), SealError> {
        let bytes = backend.len()?;
        let (head, len) = if bytes == 0 {
            let blocks = u32::try_from(log_bytes / BLOCK).unwrap_or(u32::MAX);
            (Head::create(&backend, blocks)?, 0)
        } else {
            let head = Head::open(&backend, bytes)?;
            let layout = Layout::with_log(head.log());
            let len = layout.logical_len(bytes).ok_or_else(|| {
                SealError::Damaged(format!("its {bytes} bytes are no whole blocks: it was cut"))
            })?;
            (head, len)
        };
        let layout = Layout::with_log(head.log());
        if len < head.len() {
            let had = layout.physical_len(head.len())?;
            let why = format!("it was cut: of at least {had} bytes it has {bytes}");
            return Err(SealError::Damaged(why));
        }
        if len > 0 && head.is_blank() {
            return Err(SealError::Damaged(
                "all four copies of its header are not what was written".to_owned(),
            ));
        }
        let findings = Findings::default();
        let inner = Mutex::new(Inner { head, sums: Sums::new(layout, len), len });
        let sealed = Self { backend: Arc::new(backend), layout, inner, findings: findings.clone() };
        Ok((sealed, findings))
    }

    /// The part for the write-ahead log; none in files of version 2.
    pub(crate) fn log(&self) -> Option<LogArea> {
        let bytes = self.layout.start() - HEAD_BYTES;
        (bytes > 0).then(|| LogArea { backend: self.backend.clone(), bytes })
    }

    /// Nobody waits for the disk but who syncs: blocks are read meanwhile.
    fn sync(&self) -> io::Result<()> {
        if seeded(Bug::ChecksumsAfterSync) {
            self.backend.sync_data()?;
            return self.inner().sums.write(&*self.backend);
        }
        let len = {
            let inner = &mut *self.inner();
            inner.sums.write(&*self.backend)?;
            inner.len
        };
        self.backend.sync_data()?;
        self.inner().head.synced(len);
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads whole blocks; returns whether all of them are what was written.
    fn read_blocks(&self, offset: u64, out: &mut [u8]) -> io::Result<bool> {
        let mut sound = true;
        for run in self.layout.runs(offset, out.len())? {
            let Some(bytes) = out.get_mut(run.range.clone()) else { continue };
            let expected = {
                let inner = &mut *self.inner();
                if run.first + run.count() > inner.len / BLOCK {
                    self.findings.cut(run.place, bytes.len() as u64);
                    return Ok(false);
                }
                inner.sums.of(&*self.backend, run.first, run.count())?
            };
            self.backend.read(run.place, bytes)?;
            let blocks = (run.first..).zip(bytes.chunks(BLOCK as usize)).zip(expected);
            for ((block, bytes), expected) in blocks {
                if !sums::matches(block, bytes, expected) {
                    self.findings.changed(self.layout.place(block), BLOCK);
                    sound = false;
                }
            }
        }
        Ok(sound)
    }

    /// Writes those of a run's blocks that are not there already.
    ///
    /// With each commit redb writes which pages are free, of the whole file, to the place
    /// where the commit before the last one had it: most of these blocks are as they
    /// were, and of a file of 19 GB they are 2.6 MB.
    fn write_changed(&self, run: &layout::Run, bytes: &[u8], sums: &[u64]) -> io::Result<()> {
        let known = self.inner().sums.of(&*self.backend, run.first, run.count())?;
        let mut there = vec![0; BLOCK as usize];
        let mut changed: Option<Range<usize>> = None;
        let blocks = bytes.chunks(BLOCK as usize).zip(known.iter().zip(sums)).zip(0_usize..);
        for ((block, (known, sum)), number) in blocks {
            let start = number * BLOCK as usize;
            // Equal checksums are a reason to look, not a proof.
            let is_there = known == sum
                && self.backend.read(run.place + start as u64, &mut there).is_ok()
                && there == block;
            match (&mut changed, is_there) {
                (Some(range), false) => range.end = start + block.len(),
                (None, false) => changed = Some(start..start + block.len()),
                (Some(_), true) => self.write_range(run, bytes, changed.take())?,
                (None, true) => {}
            }
        }
        self.write_range(run, bytes, changed)
    }

    fn write_range(
        &self,
        run: &layout::Run,
        bytes: &[u8],
        range: Option<Range<usize>>,
    ) -> io::Result<()> {
        let Some(range) = range else { return Ok(()) };
        let place = run.place + range.start as u64;
        let Some(bytes) = bytes.get(range) else { return Ok(()) };
        self.backend.write(place, bytes)
    }
}

impl<B: StorageBackend> StorageBackend for Sealed<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset < BLOCK {
            return self.inner().head.read(offset, out);
        }
        if !self.read_blocks(offset, out)? {
            damage::refuse(out);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let bytes = self.layout.physical_len(len)?;
        let shorter = {
            let inner = &mut *self.inner();
            inner.len = len;
            let shorter = len < inner.head.len();
            if shorter {
                inner.head.shorten(&*self.backend, len)?;
            }
            shorter
        };
        if shorter {
            // Known before it is so: else a crash in between looks like a cut file.
            self.sync()?;
        }
        self.inner().sums.set_len(&*self.backend, len)?;
        self.backend.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset < BLOCK {
            return self.inner().head.write(&*self.backend, offset, data);
        }
        for run in self.layout.runs(offset, data.len())? {
            let Some(bytes) = data.get(run.range.clone()) else { continue };
            let sums = (run.first..)
                .zip(bytes.chunks(BLOCK as usize))
                .map(|(block, bytes)| sums::sum(block, bytes))
                .collect::<Vec<_>>();
            self.write_changed(&run, bytes, &sums)?;
            self.inner().sums.set(&*self.backend, run.first, &sums)?;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}

/// A call that redb never makes.
fn misuse(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::metered::Metered;

    #[test]
    fn blocks_that_are_there_already_are_not_written_again() {
        let (backend, meter) = Metered::new(InMemoryBackend::new(), None).unwrap();
        let (sealed, findings) = Sealed::open(backend, 0).unwrap();
        let block = BLOCK as usize;
        sealed.set_len(9 * BLOCK).unwrap();
        let written = |bytes: &[u8]| {
            let before = meter.written();
            sealed.write(BLOCK, bytes).unwrap();
            let mut there = vec![0; bytes.len()];
            sealed.read(BLOCK, &mut there).unwrap();
            assert!(there == bytes);
            (meter.written() - before) as usize / block
        };
        let mut bytes: Vec<u8> = (0..8 * block).map(|n| (n / block) as u8).collect();
        assert_eq!(written(&bytes), 8);
        assert_eq!(written(&bytes), 0);
        for number in [0, 3, 4, 7] {
            bytes[number * block + 9] = 99;
        }
        assert_eq!(written(&bytes), 4);
        assert_eq!(findings.count(), 0);
    }

    #[test]
    fn what_has_changed_on_the_disk_is_written_again() {
        let (backend, meter) = Metered::new(InMemoryBackend::new(), None).unwrap();
        let (sealed, _) = Sealed::open(backend, 0).unwrap();
        sealed.set_len(2 * BLOCK).unwrap();
        let bytes = vec![7; BLOCK as usize];
        sealed.write(BLOCK, &bytes).unwrap();
        sealed.backend.write(sealed.layout.place(1), &[8; 3]).unwrap();
        let before = meter.written();
        sealed.write(BLOCK, &bytes).unwrap();
        assert_eq!(meter.written() - before, BLOCK);
        let mut there = vec![0; BLOCK as usize];
        sealed.read(BLOCK, &mut there).unwrap();
        assert_eq!(there, bytes);
    }
}
