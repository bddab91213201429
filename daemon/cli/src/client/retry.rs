//! When and how often a request is made again.

use std::time::Duration;

/// The longest wait that the daemon's `Retry-After` can ask of a command.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// How long to wait before coming back, and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt; doubled for each further one.
    pub first: Duration,
    /// Never longer, unless the daemon asks for it.
    pub longest: Duration,
    /// Attempts of a request, the first included.
    pub attempts: u32,
    /// Attempts in a row to take up a stream again.
    pub stream_attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(5),
            attempts: 4,
            // About a minute: a daemon that is restarted is back by then.
            stream_attempts: 15,
        }
    }
}

impl Backoff {
    /// The wait after so many attempts in a row failed; none when that was the
    /// last one, or the daemon asks for more patience than a command has.
    pub(crate) fn wait(
        &self,
        failed: u32,
        most: u32,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        if failed >= most {
            return None;
        }
        let doubled = 1u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let own = self.first.saturating_mul(doubled).min(self.longest);
        match retry_after {
            Some(asked) if asked > RETRY_AFTER_MAX => None,
            Some(asked) => Some(asked.max(own)),
            None => Some(own),
        }
    }
}

/// `Retry-After` in seconds; the form with a date is not understood, and then
/// the own wait counts.
pub(super) fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_end() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_millis(350),
            attempts: 5,
            stream_attempts: 1,
        };
        let waits: Vec<Option<u128>> = (1..=5)
            .map(|failed| backoff.wait(failed, backoff.attempts, None).map(|w| w.as_millis()))
            .collect();
        assert_eq!(waits, [Some(100), Some(200), Some(350), Some(350), None]);
        let asked = |seconds| backoff.wait(1, 5, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(0), Some(Duration::from_millis(100)));
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(31), None);
        assert_eq!(backoff.wait(200, 201, None), Some(Duration::from_millis(350)));
    }
}
