//! Refusing while there still is room to refuse in.
//!
//! redb can't go on after a write that failed for want of space: part of a
//! transaction may be in the file, and it answers nothing more until it is
//! opened again. So a full disk must not be met in a commit. Before each change
//! the free space is compared with a reserve; below it, batches are refused as
//! `Full`, with nothing stored, and are taken again once there is room. Small
//! changes that don't add up (claims, leases, outcomes) go on down to a quarter
//! of the reserve, so that work that is under way can end. Should the disk
//! still be full in a commit, because others filled it at once, the store
//! stops as after any failed write.

use std::io;
use std::path::PathBuf;

use deployd_core::ports::StoreError;

use crate::metered::Meter;

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Room for good.
    Growth,
    /// Room for a moment.
    Change,
}

/// Tells the free bytes where the store is.
pub(crate) type Free = Box<dyn Fn() -> io::Result<u64> + Send>;

/// Knows how much room there is.
pub(crate) struct Room {
    free: Option<Free>,
    reserve: u64,
    quota: Option<u64>,
    meter: Meter,
}

impl Room {
    pub(crate) fn new(free: Option<Free>, reserve: u64, quota: Option<u64>, meter: Meter) -> Self {
        Self { free, reserve, quota, meter }
    }

    /// Fails with [`StoreError::Full`] when there is too little.
    pub(crate) fn check(&self, needs: Needs) -> Result<(), StoreError> {
        if needs == Needs::Growth
            && let Some(quota) = self.quota
            && self.meter.bytes() >= quota
        {
            let bytes = self.meter.bytes();
            return Err(StoreError::Full(format!("it has {bytes} bytes, and may have {quota}")));
        }
        let Some(free) = &self.free else { return Ok(()) };
        let reserve = match needs {
            Needs::Growth => self.reserve,
            Needs::Change => self.reserve / 4,
        };
        match free() {
            Ok(free) if free < reserve => Err(StoreError::Full(format!(
                "{free} bytes are free on its disk, and {reserve} are held in reserve"
            ))),
            Ok(_) => Ok(()),
            // Not to know is no reason to refuse: the commit itself will tell.
            Err(error) => {
                tracing::warn!(%error, "the free space of the store's disk can't be told");
                Ok(())
            }
        }
    }
}

/// The free bytes of the file system that holds this file.
pub(crate) fn free_at(path: PathBuf) -> Free {
    Box::new(move || {
        let found = rustix::fs::statvfs(&path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(room: &Room, needs: Needs) -> bool {
        matches!(room.check(needs), Err(StoreError::Full(_)))
    }

    #[test]
    fn growth_is_refused_before_changes_are() {
        let with =
            |free: u64| Room::new(Some(Box::new(move || Ok(free))), 1_000, None, Meter::default());
        assert!(!refused(&with(1_000), Needs::Growth));
        assert!(refused(&with(999), Needs::Growth));
        assert!(!refused(&with(250), Needs::Change));
        assert!(refused(&with(249), Needs::Change));
    }

    #[test]
    fn unknown_free_space_refuses_nothing() {
        let unknown = Some(Box::new(|| Err(io::Error::other("no"))) as Free);
        let room = Room::new(unknown, 1_000, None, Meter::default());
        assert!(!refused(&room, Needs::Growth));
    }

    #[test]
    fn the_free_space_of_a_real_disk_is_told() {
        assert!(free_at(std::env::temp_dir())().unwrap() > 0);
    }
}
