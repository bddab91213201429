//! How a rollout sleeps for longer than anything is put off at once.
//!
//! What is due later than [`WAIT_MS_MAX`] counts as put off before the clock was
//! set back, and is done at once. So a longer sleep is one of several parts; what
//! is left after the part that goes on is the step's token, so that neither a
//! start nor a clock that was set makes all of it longer or shorter by more than
//! a part.

use crate::deployment::WAIT_MS_MAX;

/// A part of a sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nap {
    /// So long.
    pub ms: u64,
    /// The step's token: what is left after it.
    pub token: String,
}

/// The next part of a sleep of `ms` milliseconds in all; none when it is over.
/// `token` is that of the part before.
pub fn nap(ms: u64, token: Option<&str>) -> Option<Nap> {
    let left = token.map_or(ms, left_after);
    let part = left.min(WAIT_MS_MAX);
    (part > 0).then(|| Nap { ms: part, token: left.saturating_sub(part).to_string() })
}

/// Milliseconds that are left of a sleep after the part with this token. One of
/// an earlier version says nothing, and was the whole sleep.
pub fn left_after(token: &str) -> u64 {
    token.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sleep_has_parts_that_make_all_of_it() {
        for ms in [0, 1, WAIT_MS_MAX, WAIT_MS_MAX + 1, 3_600_000, 86_400_001] {
            let (mut slept, mut token, mut parts) = (0, None, 0);
            while let Some(nap) = nap(ms, token.as_deref()) {
                assert!(nap.ms <= WAIT_MS_MAX);
                assert_eq!(left_after(&nap.token), ms - slept - nap.ms);
                slept += nap.ms;
                token = Some(nap.token);
                parts += 1;
            }
            assert_eq!((slept, parts), (ms, ms.div_ceil(WAIT_MS_MAX)), "{ms}");
        }
        assert_eq!(nap(5, Some("slept")), None, "as an earlier version slept");
    }
}
