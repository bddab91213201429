//! A backend that counts what goes through it.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use redb::{BackendError, StorageBackend};

use crate::at_once::AtOnce;

/// What went through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    written: AtomicU64,
    syncs: AtomicU64,
    at_once: AtOnce,
}

impl Meter {
    /// What learns from how long reads take.
    pub(crate) fn at_once(&self) -> AtOnce {
        self.0.at_once.clone()
    }

    /// The length of the store.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Bytes written since it was opened.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Syncs since it was opened.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::Relaxed)
    }
}

/// Passes everything on, and counts.
#[derive(Debug)]
pub(crate) struct Metered<B> {
    backend: B,
    /// The file behind the backend, if it is one: to read what need not be waited for.
    file: Option<File>,
    meter: Meter,
}

impl<B: StorageBackend> Metered<B> {
    pub(crate) fn new(backend: B, file: Option<File>) -> io::Result<(Self, Meter)> {
        let meter = Meter::default();
        meter.0.bytes.store(backend.len()?, Ordering::Relaxed);
        Ok((Self { backend, file, meter: meter.clone() }, meter))
    }
}

/// Reads what the system has in memory; whether it has all of it.
#[cfg(target_os = "linux")]
fn read_from_memory(file: &File, offset: u64, out: &mut [u8]) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let wanted = out.len();
    let read = preadv2(file, &mut [io::IoSliceMut::new(out)], offset, ReadWriteFlags::NOWAIT);
    read == Ok(wanted)
}

#[cfg(not(target_os = "linux"))]
fn read_from_memory(_: &File, _: u64, _: &mut [u8]) -> bool {
    false
}

impl<B: StorageBackend> StorageBackend for Metered<B> {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|file| read_from_memory(file, offset, out)) {
            return Ok(());
        }
        let begun = Instant::now();
        let read = self.backend.read(offset, out);
        self.meter.0.at_once.took(begun.elapsed());
        read
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)?;
        self.meter.0.bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.meter.0.syncs.fetch_add(1, Ordering::Relaxed);
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.meter.0.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.backend.write(offset, data)
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
