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
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deployd_core::seeded::{Bug, seeded};
use redb::{BackendError, StorageBackend};

pub(crate) use self::damage::Findings;
use self::head::Head;
pub(crate) use self::head::is_plain;
use self::layout::BLOCK;
use self::sums::Sums;

/// The version of the file's format. Files of version 1 were redb's own.
pub(crate) const FILE_FORMAT: u32 = 2;

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
    backend: B,
    inner: Mutex<Inner>,
    findings: Findings,
}

#[derive(Debug)]
struct Inner {
    head: Head,
    sums: Sums,
    /// As redb sees it, in bytes.
    len: u64,
}

impl<B: StorageBackend> Sealed<B> {
    /// Reads the head of the storage; makes one where the storage is empty.
    pub(crate) fn open(backend: B) -> Result<(Self, Findings), SealError> {
        let bytes = backend.len()?;
        let (head, len) = if bytes == 0 {
            (Head::create(&backend)?, 0)
        } else {
            let head = Head::open(&backend, bytes)?;
            let len = layout::logical_len(bytes).ok_or_else(|| {
                SealError::Damaged(format!("its {bytes} bytes are no whole blocks: it was cut"))
            })?;
            (head, len)
        };
        if len < head.len() {
            let had = layout::physical_len(head.len())?;
            let why = format!("it was cut: of at least {had} bytes it has {bytes}");
            return Err(SealError::Damaged(why));
        }
        if len > 0 && head.is_blank() {
            return Err(SealError::Damaged(
                "all four copies of its header are not what was written".to_owned(),
            ));
        }
        let findings = Findings::default();
        let inner = Mutex::new(Inner { head, sums: Sums::new(len), len });
        Ok((Self { backend, inner, findings: findings.clone() }, findings))
    }

    /// Nobody waits for the disk but who syncs: blocks are read meanwhile.
    fn sync(&self) -> io::Result<()> {
        if seeded(Bug::ChecksumsAfterSync) {
            self.backend.sync_data()?;
            return self.inner().sums.write(&self.backend);
        }
        let len = {
            let inner = &mut *self.inner();
            inner.sums.write(&self.backend)?;
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
        for run in layout::runs(offset, out.len())? {
            let Some(bytes) = out.get_mut(run.range.clone()) else { continue };
            let expected = {
                let inner = &mut *self.inner();
                if run.first + run.count() > inner.len / BLOCK {
                    self.findings.cut(run.place, bytes.len() as u64);
                    return Ok(false);
                }
                inner.sums.of(&self.backend, run.first, run.count())?
            };
            self.backend.read(run.place, bytes)?;
            let blocks = (run.first..).zip(bytes.chunks(BLOCK as usize)).zip(expected);
            for ((block, bytes), expected) in blocks {
                if !sums::matches(block, bytes, expected) {
                    self.findings.changed(layout::place(block), BLOCK);
                    sound = false;
                }
            }
        }
        Ok(sound)
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
        let bytes = layout::physical_len(len)?;
        let shorter = {
            let inner = &mut *self.inner();
            inner.len = len;
            let shorter = len < inner.head.len();
            if shorter {
                inner.head.shorten(&self.backend, len)?;
            }
            shorter
        };
        if shorter {
            // Known before it is so: else a crash in between looks like a cut file.
            self.sync()?;
        }
        self.inner().sums.set_len(&self.backend, len)?;
        self.backend.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset < BLOCK {
            return self.inner().head.write(&self.backend, offset, data);
        }
        for run in layout::runs(offset, data.len())? {
            let Some(bytes) = data.get(run.range.clone()) else { continue };
            self.backend.write(run.place, bytes)?;
            let sums = (run.first..)
                .zip(bytes.chunks(BLOCK as usize))
                .map(|(block, bytes)| sums::sum(block, bytes))
                .collect::<Vec<_>>();
            self.inner().sums.set(&self.backend, run.first, &sums)?;
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
