//! What comes of each action in the simulated world, told as the engine would.

use serde_json::{Value, json};

use super::measuring::CheckNotes;
use super::scenario::Steers;
use super::world::{Scene, Standing, World};
use crate::deployment::{Action, retry_at};
use crate::ports::CheckOutcome;
use crate::rollout::checking::{self, CheckResult, Checking};
use crate::rollout::{STABLE, Tracks, course};
use crate::{Fault, Name, Timestamp};

/// How long it takes to apply something: some requests to an API server.
const APPLYING_MS: u64 = 1_000;

/// How long pods take that only a division by their number needs, at most; as in
/// the engine.
const MORE_READY_MS: u64 = 10 * 60_000;

/// The longest wait for readiness; as in the engine.
const DEADLINE_MS_MAX: u64 = 24 * 3_600_000;

/// The longest that checks go on; as in the engine.
const CHECKS_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// After so long it is seen that pods crash: some restarts.
const CRASH_SEEN_MS: u64 = 30_000;

/// The most measurements of a rehearsal: a week of minutes is some ten thousand.
const MEASUREMENTS_MAX: u32 = 100_000;

/// The most simulated time: a rollout that takes longer than a month has not
/// been thought through.
const SIMULATED_MS_MAX: u64 = 31 * 24 * 3_600_000;

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Came {
    /// The strategy is told this.
    Observed(Value),
    /// A person has ended the rollout.
    Aborted,
}

/// What goes on beside the world while it is played with.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    pub(super) checks: CheckNotes,
    measured: u32,
}

impl World<'_> {
    /// Does what a strategy asks for; a fault for what can't be.
    pub(super) fn perform(
        &mut self,
        action: &Action,
        round: u32,
        notes: &mut Notes,
    ) -> Result<Came, Fault> {
        if self.now > SIMULATED_MS_MAX {
            let message = "the rehearsal has come to more than a month of simulated time";
            return Err(Fault::bug("rollout-without-end", message));
        }
        let after = self.possible(action)?;
        match action {
            Action::Apply { workloads, .. } | Action::Scale { workloads, .. } => {
                let workloads = workloads.clone();
                Ok(self.applied(round, action, after, &workloads))
            }
            Action::Retire { .. } => {
                let workloads = self.changed(&after);
                Ok(self.applied(round, action, after, &workloads))
            }
            Action::Shift { .. } => Ok(self.shifted(round, after)),
            Action::AwaitReady { track, workloads, deadline_ms } => {
                let deadline = (*deadline_ms).min(DEADLINE_MS_MAX);
                Ok(self.await_ready(track, workloads, deadline))
            }
            Action::RunChecks { checks, track, workloads, for_ms, .. } => {
                let track = track.as_deref().unwrap_or(STABLE);
                let all = || self.scene.workloads.to_vec();
                let workloads = workloads.clone().unwrap_or_else(all);
                self.run_checks(checks, track, &workloads, *for_ms, notes)
            }
            Action::Sleep { ms } => {
                self.advance(self.now.saturating_add((*ms).min(SIMULATED_MS_MAX)));
                Ok(done())
            }
            Action::Pause { .. } => Ok(self.paused()),
            Action::Complete {} | Action::RollBack { .. } => Ok(done()),
        }
    }

    /// The tracks after an action that can be done.
    pub(super) fn possible(&self, action: &Action) -> Result<Tracks, Fault> {
        if let Action::AwaitReady { track, workloads, .. } = action {
            let has =
                |name: &&String| self.tracks.of(name).is_some_and(|own| own.track(track).is_some());
            if let Some(name) = workloads.iter().find(|name| !has(name)) {
                let message = format!(
                    "the strategy waits for the track {track} of workload {name}, which it has not applied"
                );
                return Err(Fault::bug("track-unknown", message));
            }
        }
        let Scene { new, current, ways, .. } = self.scene;
        course::possible(&self.tracks, action, new, current, ways)
            .map_err(|refused| refused.fault())
    }

    /// Brings back what ran before, as the engine does: `stable` first, while other
    /// tracks keep their requests, and those that need others before these.
    pub(super) fn restore(&mut self) {
        self.reach_api();
        let names: Vec<String> = self.scene.workloads.iter().rev().cloned().collect();
        for name in &names {
            if !self.is_changed(name) {
                continue;
            }
            let own = std::slice::from_ref(name);
            self.tracks = self.tracks.restored(name);
            let tracks = self.tracks.clone();
            self.place(&tracks, own, true);
            self.advance(self.now.saturating_add(APPLYING_MS));
            self.await_ready(STABLE, own, MORE_READY_MS);
        }
        let before = Tracks::stable(self.scene.workloads.iter().map(String::as_str));
        self.advance(self.now.saturating_add(APPLYING_MS));
        for (track, name) in self.place(&before, &names, true) {
            self.await_ready(&track, &[name], MORE_READY_MS);
        }
        self.lead(&before, &names);
        if self.tracks.leaves(&before) {
            self.drain();
        }
        self.place(&before, &names, false);
        self.tracks = before;
        self.await_ready(STABLE, &names, MORE_READY_MS);
    }

    fn changed(&self, after: &Tracks) -> Vec<String> {
        let names = self.scene.workloads.iter();
        names.filter(|name| self.tracks.of(name) != after.of(name)).cloned().collect()
    }

    fn applied(
        &mut self,
        round: u32,
        action: &Action,
        after: Tracks,
        workloads: &[String],
    ) -> Came {
        if let Err(fault) = self.retried(round) {
            if let Ok(tracks) = course::failed(&self.tracks, action) {
                self.tracks = tracks;
            }
            return failed(&fault);
        }
        self.tracks = after;
        self.advance(self.now.saturating_add(APPLYING_MS));
        let tracks = self.tracks.clone();
        self.place(&tracks, workloads, false);
        self.lead(&tracks, workloads);
        done()
    }

    /// Those who will serve have their pods before they do.
    fn shifted(&mut self, round: u32, after: Tracks) -> Came {
        let workloads = self.changed(&after);
        if let Err(fault) = self.retried(round) {
            return failed(&fault);
        }
        self.advance(self.now.saturating_add(APPLYING_MS));
        let mut awaited = self.tracks.gaining(&after);
        awaited.extend(self.place(&after, &workloads, true));
        for (track, name) in awaited {
            let came = self.await_ready(&track, &[name], MORE_READY_MS);
            if came != done() {
                return came;
            }
        }
        self.lead(&after, &workloads);
        if self.tracks.leaves(&after) {
            self.drain();
        }
        self.place(&after, &workloads, false);
        self.tracks = after;
        done()
    }

    /// Who has lost all traffic goes on as it is for a while.
    fn drain(&mut self) {
        self.advance(self.now.saturating_add(self.scene.drain_ms));
    }

    fn await_ready(&mut self, track: &str, workloads: &[String], deadline_ms: u64) -> Came {
        let deadline = self.now.saturating_add(deadline_ms);
        let began = self.now;
        loop {
            let waiting = workloads
                .iter()
                .map(|name| (name, self.standing(track, name)))
                .find(|(_, standing)| *standing != Standing::Ready);
            let Some((name, standing)) = waiting else {
                // Nobody learns of it before the API server is there again.
                self.reach_api();
                return done();
            };
            let message = match standing {
                Standing::Crashing => {
                    let seen = self.now.max(began).saturating_add(CRASH_SEEN_MS).min(deadline);
                    self.advance(seen);
                    let message = format!("Deployment {name}: its pods of track {track} crash");
                    return failed(&Fault::permanent("crash-loop", message));
                }
                Standing::Waiting { ready, wanted } => format!(
                    "Deployment {name}: {ready} of {wanted} pods of track {track} are ready after {} s",
                    deadline_ms / 1000
                ),
                Standing::Ready => return done(),
            };
            match self.next().filter(|next| *next <= deadline) {
                Some(next) => self.advance(next),
                None => {
                    self.advance(deadline);
                    return failed(&Fault::permanent("not-ready", message));
                }
            }
        }
    }

    fn run_checks(
        &mut self,
        names: &[String],
        track: &str,
        workloads: &[String],
        for_ms: u64,
        notes: &mut Notes,
    ) -> Result<Came, Fault> {
        let mut timings = Vec::new();
        for name in names {
            let found = self.scene.checks.iter().find(|(known, _)| known.as_str() == name);
            let (known, check) = found.ok_or_else(|| {
                let message = format!("the environment type has no check {name:?}");
                Fault::invalid("check-unknown", message)
            })?;
            timings.push((known.clone(), check.timing));
        }
        let mut checking = Checking::new(timings, for_ms.min(CHECKS_MS_MAX), Timestamp(self.now));
        loop {
            let now = Timestamp(self.now);
            let due: Vec<Name> = checking.due(now).into_iter().cloned().collect();
            for name in due {
                notes.measured = notes.measured.saturating_add(1);
                if notes.measured > MEASUREMENTS_MAX {
                    let message = format!(
                        "the rehearsal has come to more than {MEASUREMENTS_MAX} measurements"
                    );
                    return Err(Fault::bug("rollout-without-end", message));
                }
                let outcome = self.measure(name.as_str(), track, workloads);
                checking.measured(&name, Ok(outcome), now);
            }
            let due = match checking.standing(now) {
                checking::Standing::Running { due } => due,
                checking::Standing::Passed => {
                    for name in names {
                        self.note(name, true, notes);
                    }
                    let checks = json!(checking.reports());
                    return Ok(Came::Observed(json!({"outcome": "done", "checks": checks})));
                }
                checking::Standing::Failed => {
                    return Ok(self.unpassed(
                        "checks-failed",
                        CheckResult::Failed,
                        &checking,
                        notes,
                    ));
                }
                checking::Standing::Inconclusive => {
                    let (code, result) = ("checks-inconclusive", CheckResult::Inconclusive);
                    return Ok(self.unpassed(code, result, &checking, notes));
                }
            };
            self.advance(due.0.max(self.now.saturating_add(1)));
        }
    }

    fn unpassed(
        &self,
        code: &str,
        result: CheckResult,
        checking: &Checking,
        notes: &mut Notes,
    ) -> Came {
        for report in checking.reports() {
            self.note(report.name.as_str(), false, notes);
        }
        failed(&checking.fault(code, result))
    }

    /// How much the new version got until now without a check.
    pub(super) fn note(&self, name: &str, passed: bool, notes: &mut Notes) {
        notes.checks.note(name, passed, self.share_max.max(self.share()));
    }

    fn measure(&self, name: &str, track: &str, workloads: &[String]) -> CheckOutcome {
        let answers = workloads.iter().filter_map(|name| self.seen_of(track, name));
        self.scenario.finding(name).of(track, answers)
    }

    fn paused(&mut self) -> Came {
        let person = self.scenario.person;
        self.advance(self.now.saturating_add(person.after_ms.min(SIMULATED_MS_MAX)));
        let observation = match person.does {
            Steers::Resumes => json!({"outcome": "done"}),
            Steers::Promotes => json!({"outcome": "promoted", "scope": "step"}),
            Steers::PromotesAll => json!({"outcome": "promoted", "scope": "all"}),
            Steers::Retries => json!({"outcome": "retried"}),
            Steers::Aborts => return Came::Aborted,
        };
        Came::Observed(observation)
    }

    /// Tries until the API server answers, as often as the engine does.
    fn retried(&mut self, round: u32) -> Result<(), Fault> {
        let key = format!("rehearsal:{round}");
        let mut attempt = 1;
        while self.is_api_away() {
            let fault = Fault::transient("cluster-unreachable", "the API server can't be reached");
            match retry_at(&fault, attempt, &key, Timestamp(self.now)) {
                Some(at) => self.advance(at.0),
                None => return Err(fault),
            }
            attempt = attempt.saturating_add(1);
        }
        Ok(())
    }

    /// Waits until the API server answers, however long that takes.
    fn reach_api(&mut self) {
        if let Some(away) = self.scenario.api_server_away.filter(|_| self.is_api_away()) {
            self.advance(away.at_ms.saturating_add(away.for_ms.min(SIMULATED_MS_MAX)));
        }
    }

    fn is_api_away(&self) -> bool {
        self.scenario.api_server_away.is_some_and(|away| {
            self.now >= away.at_ms
                && self.now < away.at_ms.saturating_add(away.for_ms.min(SIMULATED_MS_MAX))
        })
    }
}

fn done() -> Came {
    Came::Observed(json!({"outcome": "done"}))
}

fn failed(fault: &Fault) -> Came {
    Came::Observed(json!({
        "outcome": "failed",
        "code": fault.code,
        "message": fault.message,
        "detail": fault.detail,
    }))
}
