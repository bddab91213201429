//! Whose turn it is: by the order of the queue, by schedules, and by calendars.

use super::event::Event;
use super::hold::held;
use super::next::Intent;
use super::request::{Request, Schedule};
use super::state::{Deferral, EnvironmentState, Outcome, Queued};
use crate::Fault;
use crate::Timestamp;
use crate::calendar::{Decision, Outlook, Reason, SlotOutlook};
use crate::seeded::{Bug, seeded};

/// Why something does not begin now; none when it may.
pub(super) fn deferral(request: &Request, now: Timestamp, outlook: &Outlook) -> Option<Deferral> {
    if let Some(at) = request.schedule.not_before.filter(|at| *at > now) {
        return Some(Deferral { until: Some(at), reasons: vec![Reason::Scheduled { at }] });
    }
    let slot = in_slot(request, outlook).map(|found| &found.decision);
    match slot.unwrap_or_else(|| outlook.of(request.origin.errand())) {
        Decision::Open { .. } => None,
        Decision::Closed { until, reasons } => {
            Some(Deferral { until: *until, reasons: reasons.clone() })
        }
    }
}

/// The slot that something is to begin in, if there is one.
fn in_slot<'o>(request: &Request, outlook: &'o Outlook) -> Option<&'o SlotOutlook> {
    request.schedule.slot.as_ref().and_then(|slot| outlook.of_slot(slot))
}

/// Whether the slot of something has begun: then it comes before what waits at its gates.
pub(super) fn has_its_slot(request: &Request, outlook: &Outlook) -> bool {
    in_slot(request, outlook).is_some_and(|found| found.decision.is_open())
}

/// The first of the queue that may begin, and what is to be recorded of those before
/// it. Who takes the environment away comes before nobody.
pub(super) fn whose_turn(
    state: &EnvironmentState,
    now: Timestamp,
    outlook: &Outlook,
) -> Vec<Intent> {
    let mut intents = Vec::new();
    let mut waiting: Vec<(&Queued, Option<Deferral>)> = state
        .queue
        .iter()
        .map(|queued| {
            let held = held(state, &queued.request);
            (queued, held.or_else(|| deferral(&queued.request, now, outlook)))
        })
        .collect();
    if seeded(Bug::LastComeFirstServed) {
        waiting.reverse();
    }
    for (place, (queued, deferral)) in waiting.into_iter().enumerate() {
        let deployment = queued.id.clone();
        let Some(deferral) = deferral else {
            if place > 0 && queued.request.teardown.is_some() {
                continue;
            }
            intents.push(Intent::Append(Event::DeploymentStarted { deployment }));
            break;
        };
        intents.extend(deferral.until.map(Intent::WakeAt));
        if queued.deferred.as_ref().is_none_or(|known| known.is_other(&deferral)) {
            intents.push(Intent::Append(Event::DeploymentDeferred { deployment, deferral }));
        }
    }
    intents
}

/// What is to be done about those whose time is over, or whose slot is not theirs, and
/// when the next one's is. What has passed its gates goes on.
pub(super) fn expired(state: &EnvironmentState, now: Timestamp, outlook: &Outlook) -> Vec<Intent> {
    let active = state.active.as_ref().filter(|active| {
        !active.is_stopping()
            && !active.is_committed()
            && (active.plan.is_none() || !active.gates.is_empty())
    });
    let active = active.map(|active| (&active.id, &active.request, true));
    let queued = state.queue.iter().map(|queued| (&queued.id, &queued.request, false));
    let mut intents = Vec::new();
    for (id, request, has_begun) in active.into_iter().chain(queued) {
        let gone = in_slot(request, outlook).filter(|found| found.slot.is_gone());
        let (code, reason) = match (gone, request.schedule.expires) {
            (Some(SlotOutlook { slot, .. }), _) => (
                "cancelled",
                format!("it was to begin in slot {}, which {}", slot.id, slot.how(now)),
            ),
            (None, Some(expires)) if expires <= now => ("expired", expiry(expires)),
            (None, Some(expires)) => {
                intents.push(Intent::WakeAt(expires));
                continue;
            }
            (None, None) => continue,
        };
        let deployment = id.clone();
        intents.push(Intent::Append(match has_begun {
            true => Event::CancelRequested { deployment, reason: Some(reason) },
            false => Event::DeploymentEnded {
                deployment,
                outcome: Outcome::Cancelled,
                fault: Some(Fault::permanent(code, reason)),
            },
        }));
    }
    intents
}

fn expiry(at: Timestamp) -> String {
    format!("it was to begin before {at}, and could not")
}

/// Whether it was the request's schedule that has ended it, and nobody else.
pub(super) fn is_expiry(request: &Request, reason: &str) -> bool {
    let Schedule { expires, .. } = request.schedule;
    expires.is_some_and(|at| reason == expiry(at))
}
