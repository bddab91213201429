//! When a step that failed is tried again.

use crate::seeded::{Bug, seeded};
use crate::{Digest, Fault, Timestamp};

/// How often a step is tried: with the delays below, for about four minutes,
/// which covers an API server's restart and a registry's hiccup. What takes
/// longer needs a person, or a driver that answers `pending`.
pub const ATTEMPTS_MAX: u32 = 8;

/// The wait before the second attempt. It doubles from there.
const DELAY_MS: u64 = 1_000;

/// The longest wait between attempts, if nobody asked for a longer one.
const DELAY_MS_MAX: u64 = 60_000;

/// The longest wait that the other side can ask for.
const ASKED_MS_MAX: u64 = 10 * 60_000;

/// The longest that anything waits: what is due later than this was put off
/// before the clock was set back.
pub const WAIT_MS_MAX: u64 = 15 * 60_000;

/// Whether it is time for what was put off until `at`. A clock that was set
/// back by years does not make a retry wait for years.
pub fn is_due(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at.ms_since(now) > WAIT_MS_MAX
}

/// When to try again after the attempt of this number (1 for the first) ended
/// `at` with this fault; none when it should not be tried again.
///
/// Up to a quarter is added, always the same for the same key and attempt, so
/// that many deployments that failed together do not come back together, and a
/// replay decides as the first time.
pub fn retry_at(fault: &Fault, attempt: u32, key: &str, at: Timestamp) -> Option<Timestamp> {
    let hopeless = !fault.is_transient() && !seeded(Bug::RetryOfPermanentFault);
    if hopeless || (attempt >= ATTEMPTS_MAX && !seeded(Bug::StepTriedForEver)) {
        return None;
    }
    let doubled = DELAY_MS.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let asked = fault.retry_after_ms.unwrap_or(0).min(ASKED_MS_MAX);
    let delay = doubled.min(DELAY_MS_MAX).max(asked);
    let digest = Digest::of_parts(&[key.as_bytes(), &attempt.to_be_bytes()]);
    let spread = u64::from(digest.as_bytes().first().copied().unwrap_or(0));
    Some(at.plus_ms(delay + delay / 4 * spread / 255))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_faults_and_only_so_often() {
        let transient = Fault::transient("x", "x");
        let at = Timestamp(0);
        let delays: Vec<u64> =
            (1..100).map_while(|n| retry_at(&transient, n, "key", at)).map(|t| t.0).collect();
        assert_eq!(delays.len(), 7);
        assert!(delays[0] >= 1_000 && delays[0] <= 1_250, "{delays:?}");
        assert!(delays[6] >= 60_000 && delays[6] <= 75_000, "{delays:?}");
        for fault in [Fault::permanent("x", "x"), Fault::conflict("x", "x"), Fault::bug("x", "x")] {
            assert_eq!(retry_at(&fault, 1, "key", at), None);
        }
    }

    #[test]
    fn the_other_side_can_ask_for_more_time() {
        let fault = Fault::transient("x", "x").with_retry_after_ms(Some(120_000));
        assert!(retry_at(&fault, 1, "k", Timestamp(0)).unwrap().0 >= 120_000);
    }
}
