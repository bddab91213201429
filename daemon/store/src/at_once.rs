//! Short reads that are done at once, on the thread of who asks.
//!
//! What is in memory is read in microseconds, and handing that to another thread
//! and back takes many times as long. What is not waits for the disk, which the
//! async runtime must not. Nobody knows before which of both it will be, but one
//! read tells much of the next: after one that has waited, all reads go to the
//! readers for a hundred times as long, so that no thread waits for more than about
//! a hundredth of its time, however slow the disk is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A read that the system's memory had no answer to, and that takes longer, has
/// waited for the disk.
const WAITED: Duration = Duration::from_micros(100);

/// How many times as long as somebody has waited nobody does so again.
const PAUSES: u32 = 100;

/// Records of a read at once.
pub(crate) const RECORDS_AT_ONCE: usize = 64;

/// Content that is unpacked at once, in bytes as it is kept and as it is given: in
/// some fifty microseconds, most of it for its digest.
pub(crate) const PACKED_AT_ONCE: usize = 16 << 10;
pub(crate) const UNPACKED_AT_ONCE: usize = 64 << 10;

/// Whether reads are done at once. All clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct AtOnce(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    /// From when on, in microseconds since the beginning.
    from_us: AtomicU64,
}

impl Default for AtOnce {
    fn default() -> Self {
        Self(Arc::new(Inner { began: Instant::now(), from_us: AtomicU64::new(0) }))
    }
}

impl AtOnce {
    fn now_us(&self) -> u64 {
        micros(self.0.began.elapsed())
    }

    /// Whether a read may be done at once now.
    pub(crate) fn may(&self) -> bool {
        self.now_us() >= self.0.from_us.load(Ordering::Relaxed)
    }

    /// Learns how long the file took to give something.
    pub(crate) fn took(&self, took: Duration) {
        if took > WAITED {
            let from = self.now_us().saturating_add(micros(took.saturating_mul(PAUSES)));
            self.0.from_us.fetch_max(from, Ordering::Relaxed);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_read_that_waited_nobody_waits_for_a_hundred_times_as_long() {
        let at_once = AtOnce::default();
        at_once.took(WAITED);
        assert!(at_once.may(), "what took no longer was in memory");
        at_once.took(Duration::from_secs(3600));
        assert!(!at_once.may());
        let from = at_once.0.from_us.load(Ordering::Relaxed);
        assert!(from >= 100 * 3_600_000_000, "{from}");
        // A short wait afterwards makes the pause no shorter.
        at_once.took(2 * WAITED);
        assert_eq!(at_once.0.from_us.load(Ordering::Relaxed), from);
    }
}
