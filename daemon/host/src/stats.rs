//! What is counted per plugin, for status pages and metrics.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deployd_core::config::PluginKind;
use deployd_core::ports::PluginRef;
use deployd_core::{Fault, FaultClass, Timestamp};

use crate::record::CallRecord;

/// Durations that medians are made of: the latest so many.
const DURATIONS: usize = 256;

/// A plugin as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginStatus {
    /// Which.
    pub plugin: PluginRef,
    /// Its id, from its manifest.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: PluginKind,
    /// What was counted since it was loaded.
    pub counts: Counts,
    /// Strikes in a row.
    pub strikes: u32,
    /// What the last strike was for.
    pub last_strike: Option<String>,
    /// Until when it is not called.
    pub quarantined_until: Option<Timestamp>,
    /// The median of the latest calls.
    pub p50: Option<Duration>,
    /// What 95 of 100 of the latest calls stayed below.
    pub p95: Option<Duration>,
}

/// What was counted of a plugin's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that ran.
    pub calls: u64,
    /// Calls that run now.
    pub running: u64,
    /// Answers that were faults.
    pub faults: u64,
    /// Calls that broke the contract: traps, limits, results that are none.
    pub broken: u64,
    /// Calls refused because of quarantine.
    pub refused: u64,
    /// Calls that found no place in time.
    pub crowded_out: u64,
    /// Processor time, in ticks of [`crate::limits::TICK`].
    pub ticks: u64,
    /// The most memory that a call took, in bytes.
    pub memory_peak: usize,
    /// Lines over the limit of logs.
    pub lines_dropped: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    latest: VecDeque<Duration>,
}

impl Stats {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn refused(&self) {
        self.state().counts.refused += 1;
    }

    pub(crate) fn crowded_out(&self) {
        self.state().counts.crowded_out += 1;
    }

    /// Counts a call as running until what is returned is dropped.
    pub(crate) fn running(&self) -> Running<'_> {
        self.state().counts.running += 1;
        Running(self)
    }

    /// Counts a call that ran.
    pub(crate) fn ran(&self, took: Duration, record: &CallRecord, fault: Option<&Fault>) {
        let (memory, ticks) = record.used();
        let mut state = self.state();
        let counts = &mut state.counts;
        counts.calls += 1;
        match fault.map(|fault| fault.class) {
            Some(FaultClass::Bug) => counts.broken += 1,
            Some(_) => counts.faults += 1,
            None => {}
        }
        counts.ticks += ticks;
        counts.memory_peak = counts.memory_peak.max(memory);
        counts.lines_dropped += record.lines_dropped();
        if state.latest.len() == DURATIONS {
            state.latest.pop_front();
        }
        state.latest.push_back(took);
    }

    /// The counts, the median and the 95th percentile.
    pub(crate) fn view(&self) -> (Counts, Option<Duration>, Option<Duration>) {
        let state = self.state();
        let mut sorted: Vec<Duration> = state.latest.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let last = sorted.len().checked_sub(1)?;
            sorted.get(last * percent / 100).copied()
        };
        (state.counts, at(50), at(95))
    }
}

/// A call that runs.
pub(crate) struct Running<'a>(&'a Stats);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.counts.running = state.counts.running.saturating_sub(1);
    }
}
