//! Strikes and quarantine: a plugin that breaks its contract again and again is
//! not called for a while, and nothing else is touched.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deployd_core::Timestamp;

use crate::interfaces::clock;
use crate::limits;

/// How long quarantines last.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: limits::QUARANTINE, longest: limits::QUARANTINE_MAX }
    }
}

/// How a plugin has behaved of late.
#[derive(Debug)]
pub(crate) struct Health {
    backoff: Backoff,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    strikes: u32,
    /// Why the last strike was given.
    reason: String,
    quarantine: Option<Quarantine>,
    /// How often in a row it was quarantined.
    quarantines: u32,
}

#[derive(Debug, Clone, Copy)]
struct Quarantine {
    ends: Instant,
    /// The same for people.
    until: Timestamp,
    /// One call is trying whether the plugin behaves again.
    tried: bool,
}

/// Why a call is not made.
#[derive(Debug)]
pub(crate) struct Quarantined {
    pub(crate) reason: String,
    pub(crate) strikes: u32,
    pub(crate) retry_after: Duration,
}

/// What an operator sees of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthView {
    pub(crate) strikes: u32,
    pub(crate) reason: Option<String>,
    pub(crate) quarantined_until: Option<Timestamp>,
}

impl Health {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may be made. After a quarantine, one at a time.
    pub(crate) fn admit(&self) -> Result<Admission<'_>, Quarantined> {
        let mut state = self.state();
        let (strikes, reason) = (state.strikes, state.reason.clone());
        let mut trial = false;
        if let Some(quarantine) = &mut state.quarantine {
            let left = quarantine.ends.saturating_duration_since(Instant::now());
            if !left.is_zero() || quarantine.tried {
                let retry_after = left.max(limits::TICK);
                return Err(Quarantined { reason, strikes, retry_after });
            }
            quarantine.tried = true;
            trial = true;
        }
        Ok(Admission { health: self, trial, told: false })
    }

    /// Forgets strikes and quarantine.
    pub(crate) fn clear(&self) {
        *self.state() = State::default();
    }

    pub(crate) fn view(&self) -> HealthView {
        let state = self.state();
        HealthView {
            strikes: state.strikes,
            reason: (state.strikes > 0).then(|| state.reason.clone()),
            quarantined_until: state.quarantine.map(|quarantine| quarantine.until),
        }
    }

    fn strike(&self, reason: &str) {
        let mut state = self.state();
        state.strikes = state.strikes.saturating_add(1);
        reason.clone_into(&mut state.reason);
        if state.strikes < limits::STRIKES {
            return;
        }
        let doubled = 2u32.saturating_pow(state.quarantines.min(16));
        let lasts = self.backoff.first.saturating_mul(doubled).min(self.backoff.longest);
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        state.quarantines = state.quarantines.saturating_add(1);
        state.quarantine = Some(Quarantine {
            ends: Instant::now() + lasts,
            until: Timestamp(clock::now_ms()).plus_ms(lasts_ms),
            tried: false,
        });
    }
}

/// A call that may be made. Whoever drops it without a word (a caller that went
/// away) leaves everything as it was.
pub(crate) struct Admission<'a> {
    health: &'a Health,
    trial: bool,
    told: bool,
}

impl Admission<'_> {
    /// The plugin kept to its contract.
    pub(crate) fn behaved(mut self) {
        self.told = true;
        self.health.clear();
    }

    /// It did not.
    pub(crate) fn misbehaved(mut self, reason: &str) {
        self.told = true;
        self.health.strike(reason);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.trial
            && !self.told
            && let Some(quarantine) = &mut self.health.state().quarantine
        {
            quarantine.tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        let first = Duration::from_millis(20);
        Health::new(Backoff { first, longest: first * 2 })
    }

    fn strike(health: &Health) {
        health.admit().unwrap().misbehaved("it trapped");
    }

    #[test]
    fn three_strikes_in_a_row_quarantine() {
        let health = health();
        strike(&health);
        strike(&health);
        health.admit().unwrap().behaved();
        strike(&health);
        strike(&health);
        assert_eq!(health.view().quarantined_until, None);
        strike(&health);
        let quarantined = health.admit().err().unwrap();
        assert_eq!((quarantined.strikes, quarantined.reason.as_str()), (3, "it trapped"));
        health.clear();
        assert!(health.admit().is_ok());
    }

    #[test]
    fn after_a_quarantine_one_call_tries() {
        let health = health();
        (0..3).for_each(|_| strike(&health));
        std::thread::sleep(Duration::from_millis(25));
        let trial = health.admit().unwrap();
        assert!(health.admit().is_err(), "one at a time");
        drop(trial);
        health.admit().unwrap().misbehaved("again");
        let quarantined = health.admit().err().unwrap();
        assert!(quarantined.retry_after > Duration::from_millis(20), "twice as long");
        std::thread::sleep(Duration::from_millis(45));
        health.admit().unwrap().behaved();
        assert_eq!(health.view().strikes, 0);
    }
}
