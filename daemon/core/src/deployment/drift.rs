//! What drift, and the deployments that heal it, make of a state.

use super::event::Event;
use super::request::{Origin, Request};
use super::state::EnvironmentState;
use crate::Timestamp;
use crate::drift::DriftState;

/// After a check that found something new, or after giving up. Both are about
/// what runs, while nothing else changes it.
pub(super) fn drifted(
    mut state: EnvironmentState,
    at: Timestamp,
    event: &Event,
) -> Result<EnvironmentState, String> {
    let deployed = state.deployed.as_ref().map(|deployed| &deployed.deployment);
    if deployed != Some(event.deployment()) {
        return Err("it is not what runs".to_owned());
    }
    if let Some(active) = &state.active {
        return Err(format!("deployment {} is active", active.id));
    }
    match event {
        Event::DriftChanged { deployment, report, summary, .. } => {
            let known = state.drift.take();
            let mut drift = DriftState {
                deployment: deployment.clone(),
                report: *report,
                findings: summary.findings,
                at,
                heals: known.as_ref().map_or(0, |known| known.heals),
                healed: known.as_ref().and_then(|known| known.healed),
                gave_up: known.as_ref().is_some_and(|known| known.gave_up),
            };
            // Others have mended what deployd has not.
            if drift.findings == 0 && drift.gave_up {
                drift = drift.calmed();
            }
            state.drift = Some(drift);
        }
        Event::HealingGivenUp { .. } => match &mut state.drift {
            Some(drift) if !drift.gave_up => drift.gave_up = true,
            Some(_) => return Err("it was given up already".to_owned()),
            None => return Err("there is no drift".to_owned()),
        },
        _ => return Err("it is not about drift".to_owned()),
    }
    Ok(state)
}

/// After a deployment was asked for.
pub(super) fn queued(state: &mut EnvironmentState, request: &Request, at: Timestamp) {
    if let Origin::Drift { .. } = request.origin {
        state.drift = state.drift.take().map(|drift| drift.healed(at));
    }
}

/// After what was asked for runs.
pub(super) fn deployed(state: &mut EnvironmentState, request: &Request) {
    if !matches!(request.origin, Origin::Drift { .. }) {
        state.drift = state.drift.take().map(DriftState::calmed);
    }
}
