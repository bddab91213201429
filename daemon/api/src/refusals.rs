//! Refusals are journalled, but not as fast as somebody can provoke them.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::limits::{REFUSALS_BURST, REFUSALS_REFILL};

/// How many refusals may still be journalled.
#[derive(Debug)]
struct Allowance {
    left: u32,
    refilled: Instant,
    passed_over: u64,
}

/// Decides which refusals are journalled.
#[derive(Debug)]
pub(crate) struct Refusals(Mutex<Allowance>);

impl Default for Refusals {
    fn default() -> Self {
        let refilled = Instant::now();
        Self(Mutex::new(Allowance { left: REFUSALS_BURST, refilled, passed_over: 0 }))
    }
}

impl Refusals {
    /// Whether a refusal is journalled now: how many before it were not.
    pub(crate) fn journalled(&self, now: Instant) -> Option<u64> {
        let mut allowance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(allowance.refilled);
        let more = since.as_millis() / REFUSALS_REFILL.as_millis().max(1);
        if let Ok(more @ 1..) = u32::try_from(more) {
            allowance.left = allowance.left.saturating_add(more).min(REFUSALS_BURST);
            allowance.refilled = now;
        }
        match allowance.left.checked_sub(1) {
            Some(left) => {
                allowance.left = left;
                Some(std::mem::take(&mut allowance.passed_over))
            }
            None => {
                allowance.passed_over = allowance.passed_over.saturating_add(1);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_journalled_and_the_rest_counted() {
        let refusals = Refusals::default();
        let start = Instant::now();
        for _ in 0..REFUSALS_BURST {
            assert_eq!(refusals.journalled(start), Some(0));
        }
        assert_eq!(refusals.journalled(start), None);
        assert_eq!(refusals.journalled(start), None);
        let later = start + REFUSALS_REFILL * 2;
        assert_eq!(refusals.journalled(later), Some(2));
        assert_eq!(refusals.journalled(later), Some(0));
        assert_eq!(refusals.journalled(later), None);
    }
}
