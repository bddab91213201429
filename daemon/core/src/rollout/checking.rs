//! How measurements of checks become one verdict: a state machine that knows no
//! clock and asks nobody.
//!
//! A [`Checking`] is one run of several checks. The engine asks what is [due],
//! measures it, and tells what came of it; [`Checking::standing`] says whether
//! that is enough. The first check that has failed, or is inconclusive, ends the
//! run; it passes when every check has, and has gone on for long enough.
//!
//! [due]: Checking::due

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::CheckTiming;
use crate::ports::{CheckOutcome, Measurement, PLUGIN_BUSY, PluginRef, Verdict};
use crate::{Fault, FaultClass, Name, Timestamp};

/// Measurements of a check that are kept, for a small graph.
pub const TAIL_MAX: usize = 40;

/// Values of one measurement that are kept: a value, what it is compared with,
/// and what came of that.
pub const VALUES_MAX: usize = 4;

/// Bytes of the name of a value that are kept: a line of a table.
const NAME_BYTES_MAX: usize = 64;

/// Bytes of a unit that are kept.
const UNIT_BYTES_MAX: usize = 16;

/// Bytes of a message that are kept: some lines of a terminal.
const MESSAGE_BYTES_MAX: usize = 1024;

/// How soon a pending measurement can be asked for again.
const POLL_MS_MIN: u64 = 100;

/// The longest wait for anything that a plugin or a server asked to wait for.
const POLL_MS_MAX: u64 = 10 * 60_000;

/// How long a measurement may be pending: a day. What starts something has a
/// deadline of its own; this one is for those that have forgotten theirs.
pub const PENDING_MS_MAX: u64 = 24 * 3_600_000;

/// How long a measurement may find no place among others before that counts as an
/// error. Hundreds of rollouts that are measured in the same moment stand in line
/// here, which says nothing of what is measured.
pub const CROWDED_MS_MAX: u64 = 10 * 60_000;

/// The wait before it is tried again: a place is what it waits for then.
const CROWDED_POLL_MS: u64 = 1_000;

/// A check as a plan has it: all that measuring needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCheck {
    /// The plugin, pinned.
    pub plugin: PluginRef,
    /// The check's configuration.
    pub config: Value,
    /// When it is measured, and when that is enough.
    pub timing: CheckTiming,
    /// Whether its plugin is told how the pods are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pods: bool,
}

/// What a measurement has shown, or a check so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// It is measured still.
    Running,
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// It can't be told.
    Inconclusive,
    /// Nothing could be measured. Of measurements only.
    Error,
}

/// One run of several checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checking {
    /// When it began; earlier by as much as the clock was set back since.
    started: Timestamp,
    /// When something was measured last.
    seen: Timestamp,
    /// How long to go on at least, also when all have passed.
    #[serde(default)]
    for_ms: u64,
    checks: BTreeMap<Name, CheckProgress>,
}

/// How far one check has got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckProgress {
    /// When it is measured, and when that is enough.
    pub timing: CheckTiming,
    /// Measurements that have passed since the last one that failed.
    pub passes: u32,
    /// Measurements that have failed.
    pub failures: u32,
    /// Measurements that were inconclusive.
    pub inconclusives: u32,
    /// Errors since something was measured last.
    pub errors: u32,
    /// Measurements that are done, whatever came of them. With the check's name
    /// it tells one measurement from all others of the run.
    pub measured: u32,
    /// What the newest measurement has shown, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Measured>,
    /// The newest measurements, oldest first; [`TAIL_MAX`] at most.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub tail: VecDeque<Point>,
    /// A measurement that was begun and is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingCheck>,
    /// Since when it finds no place among others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowded_since: Option<Timestamp>,
    /// When it is measured, or asked for, next.
    pub due: Timestamp,
    /// When that was decided: a clock that shows less was set back.
    pub waits_since: Timestamp,
    /// What it has come to, if no measurement can change that any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<CheckResult>,
}

/// What one measurement has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// When.
    pub at: Timestamp,
    /// What it has shown.
    pub result: CheckResult,
    /// For a person.
    pub message: String,
    /// What was measured; none for an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
}

/// A point of a small graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// What it has shown.
    pub result: CheckResult,
    /// The values; [`VALUES_MAX`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Measurement>,
}

/// A measurement that takes long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingCheck {
    /// To be handed back to the plugin.
    pub token: String,
    /// Since when.
    pub since: Timestamp,
    /// For a person.
    pub message: String,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not enough is known.
    Running {
        /// When something is to be done next.
        due: Timestamp,
    },
    /// All have passed, for long enough.
    Passed,
    /// One has failed.
    Failed,
    /// One is inconclusive, and none has failed.
    Inconclusive,
}

/// What is told of one check, to a strategy for example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// Its name.
    pub name: Name,
    /// What it has come to.
    pub verdict: CheckResult,
    /// For a person: its newest measurement.
    pub message: String,
    /// What that was made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
}

impl Checking {
    /// A run that begins now and goes on for so long at least.
    pub fn new(
        checks: impl IntoIterator<Item = (Name, CheckTiming)>,
        for_ms: u64,
        now: Timestamp,
    ) -> Self {
        let begin = |timing: CheckTiming| CheckProgress {
            timing,
            passes: 0,
            failures: 0,
            inconclusives: 0,
            errors: 0,
            measured: 0,
            last: None,
            tail: VecDeque::new(),
            pending: None,
            crowded_since: None,
            due: now.plus_ms(timing.initial_delay_ms),
            waits_since: now,
            ended: None,
        };
        let checks = checks.into_iter().map(|(name, timing)| (name, begin(timing))).collect();
        Self { started: now, seen: now, for_ms, checks }
    }

    /// How far each check has got.
    pub fn checks(&self) -> &BTreeMap<Name, CheckProgress> {
        &self.checks
    }

    /// When the run began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Milliseconds that are left of the time that the run goes on at least.
    pub fn left_ms(&self, now: Timestamp) -> u64 {
        self.for_ms.saturating_sub(now.max(self.seen).ms_since(self.started))
    }

    /// Milliseconds until it has passed at the earliest: when each measurement
    /// that is still needed is made in time, and passes.
    pub fn soonest_ms(&self, now: Timestamp) -> u64 {
        let all = self.checks.values().map(|check| check.soonest_ms(now));
        all.chain([self.left_ms(now)]).max().unwrap_or(0)
    }

    /// Checks that are to be measured now, or asked for again.
    pub fn due(&self, now: Timestamp) -> Vec<&Name> {
        if !matches!(self.standing(now), Standing::Running { .. }) {
            return Vec::new();
        }
        let is_due = |check: &CheckProgress| now >= check.due || now < check.waits_since;
        let due = self.checks.iter().filter(|(_, check)| check.goes_on() && is_due(check));
        due.map(|(name, _)| name).collect()
    }

    /// Takes notice of what came of measuring a check. One that is not of this
    /// run, or that goes on no longer, is no news.
    pub fn measured(&mut self, name: &Name, came: Result<CheckOutcome, Fault>, now: Timestamp) {
        // A clock that was set back does not make a run longer.
        let back = self.seen.ms_since(now);
        self.started = Timestamp(self.started.0.saturating_sub(back));
        self.seen = now;
        if let Some(check) = self.checks.get_mut(name).filter(|check| check.goes_on()) {
            check.came(came, now);
        }
    }

    /// How the run stands.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let ended = |result| self.checks.values().any(|check| check.ended == Some(result));
        if ended(CheckResult::Failed) {
            return Standing::Failed;
        }
        if ended(CheckResult::Inconclusive) {
            return Standing::Inconclusive;
        }
        let left = self.left_ms(now);
        if left == 0 && self.checks.values().all(CheckProgress::has_passed) {
            return Standing::Passed;
        }
        let going_on = self.checks.values().filter(|check| check.goes_on());
        let next = going_on.map(|check| check.due);
        let over = (left > 0).then(|| now.plus_ms(left));
        Standing::Running { due: next.chain(over).min().unwrap_or(now) }
    }

    /// What is told of each check.
    pub fn reports(&self) -> Vec<CheckReport> {
        let report = |(name, check): (&Name, &CheckProgress)| {
            let (message, measurements) = match (&check.last, &check.pending) {
                (Some(last), _) => (last.message.clone(), last.measurements.clone()),
                (None, Some(pending)) => (pending.message.clone(), Vec::new()),
                (None, None) => ("nothing is measured yet".to_owned(), Vec::new()),
            };
            CheckReport { name: name.clone(), verdict: check.result(), message, measurements }
        };
        self.checks.iter().map(report).collect()
    }
}

impl Checking {
    /// What a run has come to that has not passed, with all of its checks as the
    /// detail; told of those that have this result.
    pub fn fault(&self, code: &str, result: CheckResult) -> Fault {
        let reports = self.reports();
        let told: Vec<String> = reports
            .iter()
            .filter(|report| report.verdict == result)
            .map(|CheckReport { name, message, .. }| format!("{name}: {message}"))
            .collect();
        let detail = serde_json::json!({ "checks": reports });
        Fault::permanent(code, told.join("; ")).with_detail(detail)
    }
}

impl CheckProgress {
    /// What it has come to so far.
    pub fn result(&self) -> CheckResult {
        match self.ended {
            Some(result) => result,
            None if self.has_passed() => CheckResult::Passed,
            None => CheckResult::Running,
        }
    }

    /// The token of a measurement that was begun and is not done.
    pub fn token(&self) -> Option<&str> {
        Some(&self.pending.as_ref()?.token)
    }

    fn soonest_ms(&self, now: Timestamp) -> u64 {
        if self.ended.is_some() || self.has_passed() {
            return 0;
        }
        // One at least: what is pending has not passed.
        let more = u64::from(self.timing.count.saturating_sub(self.passes).max(1));
        let between = self.timing.interval_ms.saturating_mul(more.saturating_sub(1));
        self.due.ms_since(now).saturating_add(between)
    }

    fn has_passed(&self) -> bool {
        self.ended.is_none() && self.passes >= self.timing.count && self.pending.is_none()
    }

    /// Whether it is measured as long as the run goes on.
    pub fn goes_on(&self) -> bool {
        self.ended.is_none() && !(self.timing.once && self.has_passed())
    }

    fn came(&mut self, came: Result<CheckOutcome, Fault>, now: Timestamp) {
        if came.as_ref().is_err_and(|fault| fault.code == PLUGIN_BUSY) {
            let since = *self.crowded_since.get_or_insert(now);
            if now.ms_since(since) < CROWDED_MS_MAX {
                return self.wait(now, CROWDED_POLL_MS);
            }
        }
        self.crowded_since = None;
        let (result, verdict) = match came {
            Ok(CheckOutcome::Passed(verdict)) => (CheckResult::Passed, verdict),
            Ok(CheckOutcome::Failed(verdict)) => (CheckResult::Failed, verdict),
            Ok(CheckOutcome::Inconclusive(verdict)) => (CheckResult::Inconclusive, verdict),
            Ok(CheckOutcome::Pending { token, poll_after_ms, message }) => {
                let since = self.pending.as_ref().map_or(now, |pending| pending.since);
                if now.ms_since(since) < PENDING_MS_MAX {
                    let message = cut(message, MESSAGE_BYTES_MAX);
                    self.pending = Some(PendingCheck { token, since, message });
                    self.errors = 0;
                    self.wait(now, poll_after_ms.clamp(POLL_MS_MIN, POLL_MS_MAX));
                    return;
                }
                let message = format!("there is no answer after a day: {message}");
                (CheckResult::Inconclusive, Verdict { message, measurements: Vec::new() })
            }
            Err(fault) => return self.error(fault, now),
        };
        self.pending = None;
        self.errors = 0;
        self.measured = self.measured.saturating_add(1);
        let limits = self.timing;
        match result {
            CheckResult::Passed => self.passes = self.passes.saturating_add(1),
            CheckResult::Failed => {
                self.passes = 0;
                self.failures = self.failures.saturating_add(1);
            }
            _ => self.inconclusives = self.inconclusives.saturating_add(1),
        }
        if self.failures > limits.failure_limit {
            self.ended = Some(CheckResult::Failed);
        } else if self.inconclusives > limits.inconclusive_limit {
            self.ended = Some(CheckResult::Inconclusive);
        }
        self.keep(result, verdict, now);
        self.wait(now, limits.interval_ms);
    }

    /// Nothing could be measured. What trying again can't help ends it at once.
    fn error(&mut self, fault: Fault, now: Timestamp) {
        self.errors = self.errors.saturating_add(1);
        let may_pass = matches!(fault.class, FaultClass::Transient | FaultClass::Bug);
        if !may_pass || self.errors > self.timing.error_limit {
            self.ended = Some(CheckResult::Inconclusive);
            self.pending = None;
        }
        // The measurement is not done: it keeps its number, and so its key.
        let asked = fault.retry_after_ms.unwrap_or(0).min(POLL_MS_MAX);
        let verdict = Verdict { message: fault.message, measurements: Vec::new() };
        self.keep(CheckResult::Error, verdict, now);
        self.wait(now, self.timing.interval_ms.max(asked));
    }

    fn wait(&mut self, now: Timestamp, ms: u64) {
        self.due = now.plus_ms(ms);
        self.waits_since = now;
    }

    fn keep(&mut self, result: CheckResult, verdict: Verdict, at: Timestamp) {
        let Verdict { message, mut measurements } = verdict;
        measurements.truncate(VALUES_MAX);
        for measurement in &mut measurements {
            measurement.name = cut(std::mem::take(&mut measurement.name), NAME_BYTES_MAX);
            measurement.unit = cut(std::mem::take(&mut measurement.unit), UNIT_BYTES_MAX);
        }
        self.tail.push_back(Point { at, result, values: measurements.clone() });
        while self.tail.len() > TAIL_MAX {
            self.tail.pop_front();
        }
        let message = cut(message, MESSAGE_BYTES_MAX);
        self.last = Some(Measured { at, result, message, measurements });
    }
}

/// The beginning of a text, so many bytes at most.
fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[cfg(test)]
#[path = "checking_tests.rs"]
mod tests;
