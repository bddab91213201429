//! What waits at its gates makes way: it gives the environment up to one that goes
//! back, or whose slot has begun, and its place to a newer version. What has begun to
//! apply never does.

use super::event::Event;
use super::next::Intent;
use super::request::{Mode, Request};
use super::state::{Deployment, EnvironmentState, Queued, Yielded};
use super::turn::{deferral, has_its_slot};
use crate::calendar::{Errand, Outlook};
use crate::seeded::{Bug, seeded};
use crate::{DeploymentId, Timestamp};

/// Whether a newer request takes the place of an older one that has not begun, or waits
/// at its gates: an automatic one does that of an automatic one, and so does one that
/// takes the environment away.
///
/// What is `kept` waits for more than its turn, by a calendar or at its gates: who goes
/// back, or mends, comes before that, and not instead of it.
pub(super) fn replaces(newer: &Request, older: &Request, kept: bool) -> bool {
    let supersedes = newer.mode == Mode::Automatic || newer.teardown.is_some();
    let stays = kept && goes_back(newer);
    supersedes && ((older.mode == Mode::Automatic && !stays) || seeded(Bug::ManualOneSuperseded))
}

/// That the active deployment makes way, if it waits at its gates, and to whom; or when
/// that is to be looked at again.
pub(super) fn makes_way(
    state: &EnvironmentState,
    now: Timestamp,
    outlook: &Outlook,
) -> Vec<Intent> {
    let active = state.active.as_ref().filter(|active| active.waits_at_gates());
    let Some(active) = active else { return Vec::new() };
    let deployment = active.id.clone();
    // By their numbers: what was deferred may be older than what has begun.
    let newer = state.queue.iter().filter(|queued| queued.number > active.number);
    let newer = newer.filter(|newer| replaces(&newer.request, &active.request, true));
    if let Some(newest) = newer.max_by_key(|newer| newer.number) {
        let by = newest.id.clone();
        return vec![Intent::Append(Event::DeploymentSuperseded { deployment, by })];
    }
    if goes_back(&active.request) || seeded(Bug::RollbackBehindPeople) {
        return Vec::new();
    }
    let mut later = Vec::new();
    for queued in state.queue.iter().filter(|queued| comes_before(&queued.request, &active.request))
    {
        match deferral(&queued.request, now, outlook) {
            None if goes_back(&queued.request) || has_its_slot(&queued.request, outlook) => {
                let to = queued.id.clone();
                return vec![Intent::Append(Event::DeploymentYielded { deployment, to })];
            }
            None => {}
            Some(deferral) => later.extend(deferral.until.map(Intent::WakeAt)),
        }
    }
    later
}

/// Puts what waited at its gates back into the queue, behind the one that it makes way
/// for, which comes first. Its plan is made again when it begins again; what people have
/// said of it stays.
pub(super) fn give_way(
    state: &mut EnvironmentState,
    deployment: Deployment,
    to: &DeploymentId,
    at: Timestamp,
) -> Result<Queued, String> {
    if !deployment.waits_at_gates() {
        return Err("it does not wait at its gates".to_owned());
    }
    let place = state.queue.iter().position(|queued| queued.id == *to);
    let first = place.map(|place| state.queue.remove(place));
    let Some(first) = first.filter(|first| comes_before(&first.request, &deployment.request))
    else {
        return Err(format!("{to} does not wait to go back, or for a slot"));
    };
    let yielded = Yielded { to: to.clone(), at, approvals: deployment.approvals };
    let queued = Queued {
        id: deployment.id,
        number: deployment.number,
        actor: deployment.actor,
        at: deployment.queued,
        request: deployment.request,
        deferred: None,
        yielded: Some(Box::new(yielded)),
    };
    state.queue.splice(0..0, [first, queued.clone()]);
    Ok(queued)
}

/// Whether something may have another one make way that waits at its gates: it goes
/// back, or is to begin in a slot, and the other one not in the same.
fn comes_before(request: &Request, other: &Request) -> bool {
    let slot = &request.schedule.slot;
    goes_back(request) || (slot.is_some() && *slot != other.schedule.slot)
}

/// Whether something goes back, or mends what others have changed.
pub(super) fn goes_back(request: &Request) -> bool {
    request.origin.errand() == Errand::Rollback
}
