//! The actions of a rollout in which all goes well.

use crate::Millis;
use deployd_plugin_sdk::strategy::{Action, STABLE, Version, Workload};
use std::collections::{BTreeMap, BTreeSet};

/// How long a batch may take to become ready, if nothing is said.
const DEADLINE: Millis = Millis(600_000);

/// How long checks run beside a pause that waits for a person: longer than any
/// duration in a configuration. After that the rollout waits without them.
const WATCH_MS: u64 = 30 * 24 * 3_600_000;

/// One action of a [`Program`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// What that is, for a person.
    pub message: String,
    /// How many further steps a promotion ends that ends this one.
    pub also: usize,
}

impl Step {
    /// Whether a person can have what comes next happen instead.
    pub fn waits(&self) -> bool {
        matches!(
            self.action,
            Action::Pause { .. } | Action::Sleep { .. } | Action::RunChecks { .. }
        )
    }
}

/// How long workloads may take to become ready.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// Those of whom nothing else is said.
    pub all: Millis,
    /// By workload.
    pub by_workload: BTreeMap<String, Millis>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { all: DEADLINE, by_workload: BTreeMap::new() }
    }
}

impl From<Millis> for Deadlines {
    fn from(all: Millis) -> Self {
        Self { all, ..Self::default() }
    }
}

/// The actions of a rollout, in their order.
#[derive(Debug)]
pub struct Program<'c> {
    workloads: &'c [Workload],
    deadlines: Deadlines,
    hasty: Option<usize>,
    steps: Vec<Step>,
}

impl<'c> Program<'c> {
    /// None yet. `hasty` is the step from which on a person wants all that
    /// remains to happen at once.
    pub fn new(workloads: &'c [Workload], deadlines: Deadlines, hasty: Option<usize>) -> Self {
        Self { workloads, deadlines, hasty, steps: Vec::new() }
    }

    /// One for the same workloads and deadlines, without steps and without haste.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.workloads, self.deadlines.clone(), None)
    }

    /// The steps so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The workloads that it is for.
    pub fn workloads(&self) -> &'c [Workload] {
        self.workloads
    }

    /// Whether a person wants all from here on at once. Waits are left out by
    /// themselves.
    pub fn is_hasty(&self) -> bool {
        self.hasty.is_some_and(|from| from <= self.steps.len())
    }

    /// Adds an action.
    pub fn act(&mut self, action: Action, message: impl Into<String>) {
        self.steps.push(Step { action, message: message.into(), also: 0 });
    }

    /// Has workloads applied on the stable track.
    pub fn apply(&mut self, workloads: &[String]) {
        self.apply_track(STABLE, workloads, Version::New, 100);
    }

    /// Has workloads applied on a track; nothing for no workloads.
    pub fn apply_track(&mut self, track: &str, names: &[String], version: Version, percent: u32) {
        if names.is_empty() {
            return;
        }
        let message = match track {
            STABLE => format!("applying {}", names.join(", ")),
            _ => format!("applying {} as {track}", names.join(", ")),
        };
        let track = track.to_owned();
        self.act(Action::Apply { track, workloads: names.to_vec(), version, percent }, message);
    }

    /// Has workloads on a track waited for, those with the shortest deadline
    /// first. Nothing is waited for twice in a row.
    pub fn await_ready(&mut self, track: &str, names: &[String]) {
        let deadline =
            |name: &String| self.deadlines.by_workload.get(name).unwrap_or(&self.deadlines.all).0;
        let mut by_deadline: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for name in names {
            by_deadline.entry(deadline(name)).or_default().push(name.clone());
        }
        for (deadline_ms, workloads) in by_deadline {
            let message = match track {
                STABLE => format!("waiting for {}", workloads.join(", ")),
                _ => format!("waiting for {} on {track}", workloads.join(", ")),
            };
            let track = track.to_owned();
            let action = Action::AwaitReady { track, workloads, deadline_ms };
            if self.steps.last().is_none_or(|last| last.action != action) {
                self.act(action, message);
            }
        }
    }

    /// Has workloads on a track run with so many replicas; nothing for no workloads.
    pub fn scale(&mut self, track: &str, names: &[String], percent: u32) {
        if !names.is_empty() {
            let message = format!("scaling {track} of {} to {percent} %", names.join(", "));
            let (track, workloads) = (track.to_owned(), names.to_vec());
            self.act(Action::Scale { track, workloads, percent }, message);
        }
    }

    /// Has a track of workloads taken away; nothing for no workloads.
    pub fn retire(&mut self, track: &str, names: &[String]) {
        if !names.is_empty() {
            let message = format!("taking {track} of {} away", names.join(", "));
            let (track, workloads) = (track.to_owned(), Some(names.to_vec()));
            self.act(Action::Retire { track, workloads }, message);
        }
    }

    /// Has a person waited for.
    pub fn pause(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.wait(Action::Pause { message: message.clone() }, message);
    }

    /// Has time pass.
    pub fn sleep(&mut self, duration: Millis) {
        if duration.0 > 0 {
            self.wait(Action::Sleep { ms: duration.0 }, format!("waiting for {duration}"));
        }
    }

    /// Has checks run, each once, for at least so long; without checks, only
    /// time passes.
    pub fn check(&mut self, checks: &[String], of: &Checked, duration: Millis) {
        match of.action(checks, duration.0) {
            Some((action, checks)) if duration.0 > 0 => {
                self.wait(action, format!("checking {checks} for {duration}"));
            }
            Some((action, checks)) => self.wait(action, format!("checking {checks}")),
            None => self.sleep(duration),
        }
    }

    /// Has a person waited for while checks run.
    pub fn pause_checked(&mut self, message: &str, checks: &[String], of: &Checked) {
        if let Some((action, checks)) = of.action(checks, WATCH_MS) {
            // Whoever promotes means the pause, of which this is the first part.
            self.wait(action, format!("{message}; checking {checks} until promoted"));
            let pauses = !self.is_hasty();
            if let Some(step) = self.steps.last_mut().filter(|_| pauses) {
                step.also = 1;
            }
        }
        self.pause(message);
    }

    /// Adds a wait, unless a person wants all at once.
    fn wait(&mut self, action: Action, message: String) {
        if !self.is_hasty() {
            self.act(action, message);
        }
    }
}

/// What checks look at.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The track.
    pub track: String,
    /// The track to compare it with.
    pub baseline: Option<String>,
    /// The workloads.
    pub workloads: Vec<String>,
}

impl Checked {
    /// The action, and the names of the checks for a person; none without checks.
    fn action(&self, checks: &[String], for_ms: u64) -> Option<(Action, String)> {
        let mut seen = BTreeSet::new();
        let checks: Vec<String> =
            checks.iter().filter(|name| seen.insert(name.as_str())).cloned().collect();
        let names = checks.join(", ");
        let action = Action::RunChecks {
            checks,
            track: Some(self.track.clone()),
            baseline: self.baseline.clone(),
            for_ms,
            workloads: Some(self.workloads.clone()),
        };
        (!names.is_empty()).then_some((action, names))
    }
}
