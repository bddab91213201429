//! What is told of a rehearsal, once it has ended.

use deployd_core::Fault;
use deployd_core::deployment::{Action, DeploymentRecord, Outcome, StepId};
use deployd_core::rehearsal::{Ending, Moment, Report, cut, percent, told};

use super::decisions::{Decided, Decisions, action};
use super::traffic::Look;
use super::world::Ledger;

/// Why what ran before came back, when a person wanted it.
const ABORTED: &str = "a person has aborted it";

/// The end of a rehearsal.
pub(super) struct Ended<'r> {
    pub(super) record: &'r DeploymentRecord,
    /// When, since the first decision.
    pub(super) at_ms: u64,
    /// When a person has aborted it.
    pub(super) aborted_ms: Option<u64>,
    /// Whether there was something to go back to.
    pub(super) had_current: bool,
}

/// The report of a rehearsal. Checks that never ran have not passed either.
pub(super) fn report<'n>(
    ended: &Ended<'_>,
    decisions: Decisions,
    ledger: &Ledger,
    checks: impl Iterator<Item = &'n str>,
) -> Report {
    let share_max = ledger.share_max.max(ledger.look.share());
    let Decisions { all, checks: mut notes, .. } = decisions;
    for name in checks {
        notes.note(name, false, share_max);
    }
    Report {
        ended: ending(ended, all.last()),
        duration_ms: ended.at_ms,
        requests: ledger.requests,
        of_new: ledger.of_new,
        weight_max: percent(share_max),
        checks: notes.into_figures(),
        timeline: timeline(ended, &all, &ledger.look),
    }
}

fn fault(ended: &Ended<'_>) -> Fault {
    let unknown = || Fault::bug("rehearsal", "the rollout has ended without a reason");
    ended.record.fault.clone().unwrap_or_else(unknown)
}

/// Why it was given up, and when, if the strategy or a person wanted that.
fn given_up(ended: &Ended<'_>, last: Option<&Decided>) -> Option<(String, u64)> {
    if let Some(at_ms) = ended.aborted_ms {
        return Some((ABORTED.to_owned(), at_ms));
    }
    let last = last?;
    match action(&last.action) {
        Some(Action::RollBack { reason }) => Some((reason, last.at_ms)),
        _ => None,
    }
}

fn ending(ended: &Ended<'_>, last: Option<&Decided>) -> Ending {
    let outcome = ended.record.outcome;
    if outcome == Some(Outcome::Succeeded) {
        return Ending::Completed;
    }
    let is_back = !matches!(outcome, None | Some(Outcome::NeedsOperator));
    match given_up(ended, last).filter(|_| is_back) {
        Some((reason, decided_ms)) if ended.had_current => {
            Ending::RolledBack { reason: cut(&reason), decided_ms }
        }
        Some((reason, _)) => Ending::Failed { reason: cut(&reason) },
        None => Ending::Stuck { fault: fault(ended) },
    }
}

fn timeline(ended: &Ended<'_>, all: &[Decided], at_the_end: &Look) -> Vec<Moment> {
    let mut moments = Vec::with_capacity(all.len().saturating_add(1));
    let after = all.iter().skip(1).map(Some).chain([None]);
    for (number, (decided, next)) in all.iter().zip(after).enumerate() {
        let what = match action(&decided.action) {
            Some(action) => action.sentence(),
            None => decided.action.to_string(),
        };
        let (ended_ms, outcome, look) = match next {
            Some(next) => {
                let came = next.observation.as_ref().map(told).unwrap_or_default();
                (next.at_ms, came, &next.look)
            }
            None => last(ended, decided, number),
        };
        moments.push(moment((decided.at_ms, ended_ms), &what, &outcome, &decided.message, look));
    }
    let is_undone = ended.record.outcome.is_some_and(|outcome| outcome != Outcome::Succeeded);
    if let Some(decided) = all.last().filter(|_| is_undone && ended.had_current) {
        let why = match given_up(ended, Some(decided)) {
            Some((reason, _)) => reason,
            None => fault(ended).message,
        };
        let began = moments.last().map_or(0, |last| last.at_ms.saturating_add(last.lasted_ms));
        let outcome = match ended.record.outcome {
            Some(Outcome::NeedsOperator) => format!("failed: {}", fault(ended).message),
            _ => "done".to_owned(),
        };
        let what = "bring back what ran before";
        moments.push(moment((began, ended.at_ms), what, &outcome, &why, at_the_end));
    }
    moments
}

/// When the last decision was over, what came of it, and how all was then.
fn last<'l>(ended: &Ended<'_>, decided: &'l Decided, number: usize) -> (u64, String, &'l Look) {
    let look = &decided.look;
    if let Some(at_ms) = ended.aborted_ms {
        return (at_ms, "aborted".to_owned(), look);
    }
    match action(&decided.action) {
        Some(Action::Complete {} | Action::RollBack { .. })
            if ended.record.outcome == Some(Outcome::Succeeded)
                || given_up(ended, Some(decided)).is_some() =>
        {
            (decided.at_ms, String::new(), look)
        }
        _ => {
            // What was never begun was refused when it was decided.
            let step = StepId(format!("rollout:{}", number.saturating_add(1)));
            let steps = ended.record.work.as_ref().map(|work| &work.steps);
            let begun = steps.and_then(|steps| steps.iter().find(|it| it.id == step));
            match begun {
                Some(_) => (decided.at_ms, format!("failed: {}", fault(ended).message), look),
                None => (decided.at_ms, "refused".to_owned(), look),
            }
        }
    }
}

fn moment(
    (at_ms, ended_ms): (u64, u64),
    what: &str,
    outcome: &str,
    message: &str,
    look: &Look,
) -> Moment {
    Moment {
        at_ms,
        lasted_ms: ended_ms.saturating_sub(at_ms),
        what: cut(what),
        outcome: cut(outcome),
        message: cut(message),
        weight: percent(look.share()),
        tracks: look.tracks(),
    }
}
