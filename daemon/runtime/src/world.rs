//! The real clock and the real randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use deployd_core::Timestamp;
use deployd_core::ports::{Clock, Random};

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The system's randomness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            // A kernel without randomness can't make keys, tokens or nonces:
            // going on would make guessable ones.
            tracing::error!(%error, "no randomness; ending");
            std::process::abort();
        }
    }
}
