//! What should happen now.

use super::approved::fault_code;
use super::event::Event;
use super::gates::gates;
use super::pulled;
use super::request::Request;
use super::retry::is_due;
use super::state::{Deployment, EnvironmentState, Outcome};
use super::step::{Step, StepId, StepKind, StepStatus};
use super::turn::{expired, is_expiry, whose_turn};
use super::yielding::{makes_way, replaces};
use crate::calendar::Outlook;
use crate::seeded::{Bug, seeded};
use crate::{DeploymentId, Fault, Timestamp};

/// The most deployments that can wait in one environment. Automatic ones never
/// fill it, since a newer one takes the place of an older one.
pub const QUEUE_MAX: usize = 100;

/// The most steps of a deployment that run at the same time. What a driver
/// says to do later is not counted: it runs elsewhere. A plugin's call takes
/// memory and a connection; this many keep every core and network busy.
pub const RUNNING_MAX: usize = 64;

/// What the engine should do.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are few, and they are gone at once")]
pub enum Intent {
    /// Record this, and ask again.
    Append(Event),
    /// Do this, unless it is being done, and record what came of it.
    Perform {
        /// The deployment.
        deployment: DeploymentId,
        /// The step, which is recorded as running, or pending and due.
        step: StepId,
    },
    /// Stop doing this: nobody waits for it any more.
    Abandon {
        /// The deployment.
        deployment: DeploymentId,
        /// The step.
        step: StepId,
    },
    /// Ask again then, if nothing happens before.
    WakeAt(Timestamp),
}

/// Why a deployment is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotQueued {
    /// Too many deployments wait.
    #[error("{QUEUE_MAX} deployments wait in this environment already")]
    Full,
    /// The environment is about to go.
    #[error(
        "deployment {0} takes this environment away; wait until it has ended, or cancel it while it waits"
    )]
    Teardown(DeploymentId),
}

/// The events that accept a request: it is queued, and an automatic one takes
/// the place of automatic ones that still wait; so does one that takes the
/// environment away, after which nothing is accepted.
pub fn queue(
    state: &EnvironmentState,
    deployment: &DeploymentId,
    request: Request,
) -> Result<Vec<Event>, NotQueued> {
    if let Some(teardown) = state.teardown() {
        return Err(NotQueued::Teardown(teardown.clone()));
    }
    let superseded =
        state.queue.iter().filter(|queued| replaces(&request, &queued.request, queued.is_kept()));
    let mut events: Vec<Event> = superseded
        .map(|queued| Event::DeploymentSuperseded {
            deployment: queued.id.clone(),
            by: deployment.clone(),
        })
        .collect();
    let waiting = state.queue.len().saturating_sub(events.len());
    if waiting >= QUEUE_MAX && !seeded(Bug::QueueWithoutEnd) {
        return Err(NotQueued::Full);
    }
    events.push(Event::DeploymentQueued { deployment: deployment.clone(), request });
    Ok(events)
}

/// The events that a start of deployd begins with: nobody does what was being
/// done when it ended.
pub fn interrupted(state: &EnvironmentState) -> Vec<Event> {
    let Some(active) = &state.active else { return Vec::new() };
    active
        .steps
        .iter()
        .filter(|step| step.status == StepStatus::Running)
        .map(|step| Event::StepInterrupted { deployment: active.id.clone(), step: step.id.clone() })
        .collect()
}

/// What should happen now, by what calendars say now. Asked again after every event,
/// it always leads on until nothing is left to do; asked twice, it answers the same.
pub fn next(state: &EnvironmentState, now: Timestamp, outlook: &Outlook) -> Vec<Intent> {
    let mut intents = expired(state, now, outlook);
    let Some(active) = &state.active else {
        // Whose turn it is shows once those are gone.
        if !intents.iter().any(|intent| matches!(intent, Intent::Append(_))) {
            intents.extend(whose_turn(state, now, outlook));
        }
        return intents;
    };
    let appends = |intents: &[Intent]| intents.iter().any(|it| matches!(it, Intent::Append(_)));
    if !appends(&intents) {
        intents.extend(makes_way(state, now, outlook));
        intents.extend(pulled::makes_way(state, now, outlook));
        // What is to be done of it shows once it has made way, or has not.
        if appends(&intents) {
            return intents;
        }
    }
    let stopping = active.is_stopping();
    if !stopping {
        intents.extend(gates(active, now, outlook));
    }
    let mut running = active.steps.iter().filter(|step| step.status == StepStatus::Running).count();
    let busy = running > 0;
    for step in &active.steps {
        let intent = of_step(active, step, stopping, now);
        if matches!(intent, Some(Intent::Append(_))) {
            if running >= RUNNING_MAX {
                continue;
            }
            running += 1;
        }
        intents.extend(intent);
    }
    if !busy && let Some(event) = end(active, stopping) {
        intents.push(Intent::Append(event));
    }
    intents
}

/// Whether a step goes on although the deployment can't succeed any more, or
/// has succeeded but for cleaning up.
fn is_closing(step: &Step) -> bool {
    matches!(
        step.kind,
        StepKind::Withdraw
            | StepKind::Restore
            | StepKind::Prune
            | StepKind::Destroy { .. }
            | StepKind::Undo { .. }
    )
}

fn of_step(active: &Deployment, step: &Step, stopping: bool, now: Timestamp) -> Option<Intent> {
    let abandoned = stopping && !is_closing(step) && !seeded(Bug::CancelledGoesOn);
    let deployment = active.id.clone();
    let id = step.id.clone();
    match &step.status {
        StepStatus::Running if abandoned => Some(Intent::Abandon { deployment, step: id }),
        StepStatus::Running => Some(Intent::Perform { deployment, step: id }),
        _ if abandoned => None,
        StepStatus::Pending { poll_at, .. } if is_due(*poll_at, now) => {
            Some(Intent::Perform { deployment, step: id })
        }
        StepStatus::Pending { poll_at: at, .. } => Some(Intent::WakeAt(*at)),
        StepStatus::Retrying { at } if !is_due(*at, now) => Some(Intent::WakeAt(*at)),
        StepStatus::Retrying { .. } => (!active.holds(&step.id)).then(|| begin(active, step)),
        StepStatus::Waiting => can_begin(active, step).then(|| begin(active, step)),
        StepStatus::Succeeded | StepStatus::Failed => None,
    }
}

fn can_begin(active: &Deployment, step: &Step) -> bool {
    let met = step
        .after
        .iter()
        .all(|needed| active.step(needed).is_some_and(|step| step.status == StepStatus::Succeeded));
    let open_gate = active.gates.is_empty()
        || step.kind == StepKind::Plan
        || (is_closing(step) && !active.is_teardown());
    // What is brought back must not meet what is still being applied.
    let alone =
        !matches!(step.kind, StepKind::Withdraw | StepKind::Restore | StepKind::Undo { .. })
            || !active.steps.iter().any(|other| other.status == StepStatus::Running);
    met && open_gate && alone && !active.holds(&step.id) && !waits_for_undoing(active, step)
}

/// Whether something is to be undone before what ran before is brought back. Where
/// that fails it comes back all the same.
fn waits_for_undoing(active: &Deployment, step: &Step) -> bool {
    let waits = |other: &Step| {
        matches!(other.kind, StepKind::Undo { .. })
            && (other.is_open()
                || (other.status == StepStatus::Waiting && can_begin(active, other)))
    };
    step.kind == StepKind::Restore && active.steps.iter().any(waits)
}

fn begin(active: &Deployment, step: &Step) -> Intent {
    Intent::Append(Event::StepStarted {
        deployment: active.id.clone(),
        step: step.id.clone(),
        attempt: step.attempts.saturating_add(1),
        key: step.key.clone(),
    })
}

/// How the deployment ends, if nothing is left to do.
fn end(active: &Deployment, stopping: bool) -> Option<Event> {
    let closing = || active.steps.iter().filter(|step| is_closing(step));
    let ended = |outcome, fault| {
        Some(Event::DeploymentEnded { deployment: active.id.clone(), outcome, fault })
    };
    if let Some(stuck) = closing().find(|step| step.status == StepStatus::Failed) {
        // Others may still be on their way, or about to begin.
        let open = closing().any(|step| {
            step.is_open() || (step.status == StepStatus::Waiting && can_begin(active, step))
        });
        let fault = stuck.fault.clone().or_else(|| active.failure.clone());
        let outcome = match seeded(Bug::FailedUndoSwallowed) {
            true => Outcome::RolledBack,
            false => Outcome::NeedsOperator,
        };
        return if open { None } else { ended(outcome, fault) };
    }
    let closed = closing().all(|step| step.status == StepStatus::Succeeded);
    if active.is_committed() {
        return if closed { ended(Outcome::Succeeded, None) } else { None };
    }
    if !stopping || !closed {
        return None;
    }
    let unknown = active.steps.iter().find_map(|step| {
        step.fault.clone().filter(|fault| step.unsafe_to_repeat && fault.code == "unknown-outcome")
    });
    if let Some(fault) = unknown {
        return ended(Outcome::NeedsOperator, Some(fault));
    }
    if active.superseded.is_some() && !active.is_restoring() {
        return ended(Outcome::Superseded, None);
    }
    if let Some(reason) = &active.cancel {
        let message = if reason.is_empty() { "cancelled".to_owned() } else { reason.clone() };
        let code = match fault_code(active) {
            Some(code) => code,
            None if is_expiry(&active.request, reason) => "expired",
            None => "cancelled",
        };
        return ended(Outcome::Cancelled, Some(Fault::permanent(code, message)));
    }
    let outcome = if active.is_restoring() { Outcome::RolledBack } else { Outcome::Failed };
    ended(outcome, active.failure.clone())
}
