//! What the clock on the wall says is believed only after a while, by a clock
//! that can't be set: nothing is ended or dropped because a clock is wrong.

use std::time::Duration;

use deployd_core::Timestamp;
use deployd_core::seeded::{Bug, seeded};
use tokio::time::Instant;

/// For so long something has to have been over, as this process has seen it:
/// after a start with a wrong clock, time servers have set it by then.
pub(crate) const SEEN: Duration = Duration::from_secs(15 * 60);

/// The same when the clock on the wall has jumped ahead: long enough for somebody
/// to notice.
pub(crate) const SEEN_AFTER_JUMP: Duration = Duration::from_secs(24 * 3_600);

/// What is no jump: clocks are put right by seconds all the time.
const JUMP_MS: u64 = 5 * 60_000;

/// The clock on the wall, beside one that can't be set.
#[derive(Debug, Default)]
pub(crate) struct Wall {
    /// When it was looked at last, by both clocks.
    last: Option<(Instant, Timestamp)>,
    /// When it has jumped ahead.
    jumped: Option<Instant>,
}

impl Wall {
    /// Looks at both clocks. For how long something has to have been so by the
    /// clock on the wall, until that is believed.
    pub(crate) fn look(&mut self, (instant, now): (Instant, Timestamp)) -> Duration {
        if let Some((before, then)) = self.last.replace((instant, now)) {
            let passed =
                u64::try_from(instant.duration_since(before).as_millis()).unwrap_or(u64::MAX);
            if now.ms_since(then) > passed.saturating_add(JUMP_MS) {
                tracing::warn!(from = %then, to = %now, "the clock has jumped ahead: it is believed in a day");
                self.jumped = Some(instant);
            }
        }
        self.jumped.take_if(|jumped| instant.duration_since(*jumped) > SEEN_AFTER_JUMP * 2);
        match self.jumped {
            _ if seeded(Bug::JumpBelieved) => Duration::ZERO,
            Some(_) => SEEN_AFTER_JUMP,
            None => SEEN,
        }
    }
}
