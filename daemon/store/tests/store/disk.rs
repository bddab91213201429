//! A disk that loses power.
//!
//! What was written since the last sync is, after a crash, there or not, sector
//! by sector and in any order; what was synced is there. It can also fail at a
//! chosen call, whole or after half of a write, and be held in a sync.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use redb::StorageBackend;

/// What a real disk writes whole or not at all.
const SECTOR: usize = 512;

/// Repeats itself for a seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    /// That call fails, and no other.
    Once,
    /// That call fails, and all after it: the power is gone.
    Ever,
    /// That call fails, and no other; if it is a write, half of it has happened.
    Short,
}

#[derive(Debug)]
enum Unsynced {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct Platter {
    synced: Vec<u8>,
    /// As the running process sees it.
    seen: Vec<u8>,
    unsynced: Vec<Unsynced>,
    calls: u64,
    fail: Option<(u64, Failing)>,
    kind: Option<io::ErrorKind>,
    failed: bool,
    lies: bool,
    held: bool,
    waiting: usize,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<(Mutex<Platter>, Condvar)>);

impl Disk {
    fn platter(&self) -> std::sync::MutexGuard<'_, Platter> {
        self.0.0.lock().unwrap()
    }

    /// A disk with these bytes on it, all synced.
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.platter().synced = bytes.clone();
        disk.platter().seen = bytes;
        disk
    }

    /// A disk that says it has synced when it has not.
    pub(crate) fn lying() -> Self {
        let disk = Self::default();
        disk.platter().lies = true;
        disk
    }

    /// What a process sees that is killed and started again: the kernel's
    /// cache outlives it.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.platter().seen.clone()
    }

    /// The disk after power was lost.
    pub(crate) fn after_power_loss(&self, random: &mut Random) -> Self {
        let platter = self.platter();
        let mut left = platter.synced.clone();
        // How likely a sector is to have reached the disk differs by crash, and
        // now and then the disk took the writes in another order.
        let kept = *random.pick(&[0, 10, 50, 90, 100]);
        let mut unsynced: Vec<&Unsynced> = platter.unsynced.iter().collect();
        if random.chance(30) {
            for n in (1..unsynced.len()).rev() {
                unsynced.swap(n, random.below(n as u64 + 1) as usize);
            }
        }
        for unsynced in unsynced {
            match unsynced {
                Unsynced::Length(length) => {
                    if random.chance(kept) {
                        left.resize(*length, 0);
                    }
                }
                Unsynced::Write(offset, bytes) => {
                    for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                        if random.chance(kept) {
                            write_at(&mut left, offset + n * SECTOR, sector);
                        }
                    }
                }
            }
        }
        let after = Self::with(left);
        after.platter().lies = platter.lies;
        after
    }

    /// Fails at the n-th call from now on (the next is the first).
    pub(crate) fn fail_at(&self, n: u64, failing: Failing, kind: io::ErrorKind) {
        let mut platter = self.platter();
        platter.fail = Some((platter.calls + n, failing));
        platter.kind = Some(kind);
    }

    /// Whether it has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.platter().failed
    }

    /// Holds every sync from now on until [`Disk::let_go`].
    pub(crate) fn hold(&self) {
        self.platter().held = true;
    }

    /// Whether somebody is held in a sync.
    pub(crate) fn holds_somebody(&self) -> bool {
        self.platter().waiting > 0
    }

    /// Lets syncs happen again.
    pub(crate) fn let_go(&self) {
        self.platter().held = false;
        self.0.1.notify_all();
    }

    fn call(&self) -> io::Result<std::sync::MutexGuard<'_, Platter>> {
        let (platter, failure) = self.called();
        failure.map_or(Ok(platter), Err)
    }

    /// Counts a call; tells whether it fails.
    fn called(&self) -> (std::sync::MutexGuard<'_, Platter>, Option<io::Error>) {
        let mut platter = self.platter();
        platter.calls += 1;
        let fails = match platter.fail {
            Some((at, Failing::Once | Failing::Short)) => platter.calls == at,
            Some((at, Failing::Ever)) => platter.calls >= at,
            None => false,
        };
        platter.failed |= fails;
        let kind = platter.kind.unwrap_or(io::ErrorKind::Other);
        (platter, fails.then(|| io::Error::from(kind)))
    }
}

fn write_at(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.call()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.call()?;
        let start = offset as usize;
        let bytes = platter.seen.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.call()?;
        platter.seen.resize(len as usize, 0);
        platter.unsynced.push(Unsynced::Length(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.call()?;
        platter.waiting += 1;
        platter = self.0.1.wait_while(platter, |platter| platter.held).unwrap();
        platter.waiting -= 1;
        if !platter.lies {
            let Platter { synced, unsynced, .. } = &mut *platter;
            for change in unsynced.drain(..) {
                match change {
                    Unsynced::Write(offset, bytes) => write_at(synced, offset, &bytes),
                    Unsynced::Length(length) => synced.resize(length, 0),
                }
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut platter, failure) = self.called();
        let written = match (&failure, platter.fail) {
            (None, _) => data,
            (Some(_), Some((_, Failing::Short))) => &data[..data.len() / 2],
            (Some(_), _) => &[],
        };
        write_at(&mut platter.seen, offset as usize, written);
        platter.unsynced.push(Unsynced::Write(offset as usize, written.to_vec()));
        failure.map_or(Ok(()), Err)
    }
}
