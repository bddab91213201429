//! After somebody went back, automation leaves an environment at that, until a person
//! says that it may go on, or deploys something else. What comes by itself waits in the
//! queue when it was a person who went back; the flow promotes nothing in either case.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::{Mode, Origin, Request};
use super::state::{Deferral, Deployment, EnvironmentState, Outcome};
use crate::calendar::{Errand, Reason};
use crate::seeded::{Bug, seeded};
use crate::{Actor, DeploymentId, Timestamp};

/// That somebody went back here, or deployd itself has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// By which deployment.
    pub deployment: DeploymentId,
    /// Who.
    pub by: Actor,
    /// Since when that is over.
    pub at: Timestamp,
}

/// Whether somebody wants back what ran before.
fn goes_back(request: &Request) -> bool {
    matches!(request.origin, Origin::Rollback { .. })
}

/// Why a request does not begin: it comes by itself, and a person went back here, or is
/// about to.
pub(super) fn held(state: &EnvironmentState, request: &Request) -> Option<Deferral> {
    let comes_by_itself =
        request.mode != Mode::Manual && request.origin.errand() == Errand::Deployment;
    if !comes_by_itself || seeded(Bug::HoldForgotten) {
        return None;
    }
    // What deployd has gone back from by itself is in quarantine, and what is newer may
    // come.
    let is_person = |by: &Actor| *by != Actor::deployd();
    let active = state.active.iter().map(|active| (&active.request, &active.actor, &active.id));
    let queued = state.queue.iter().map(|queued| (&queued.request, &queued.actor, &queued.id));
    let mut coming = active.chain(queued).filter(|(request, ..)| goes_back(request));
    let coming = coming.next().map(|(_, by, deployment)| (by, deployment));
    let hold = || state.hold.as_ref().map(|hold| (&hold.by, &hold.deployment));
    let (by, deployment) = coming.or_else(hold).filter(|(by, _)| is_person(by))?;
    let reason = Reason::WentBack { by: by.clone(), deployment: deployment.clone() };
    Some(Deferral { until: None, reasons: vec![reason] })
}

/// After a deployment has ended that had begun. Who went back in vain is not asked what
/// they want now: it is for a person to say.
pub(super) fn ended(
    state: &mut EnvironmentState,
    ended: &Deployment,
    outcome: Outcome,
    at: Timestamp,
) {
    let request = &ended.request;
    if goes_back(request) {
        if !matches!(outcome, Outcome::Cancelled | Outcome::Superseded) {
            let (deployment, by) = (ended.id.clone(), ended.actor.clone());
            state.hold = Some(Hold { deployment, by, at });
        }
    } else if request.mode == Mode::Manual
        && request.origin.errand() == Errand::Deployment
        && outcome == Outcome::Succeeded
    {
        state.hold = None;
    }
}

/// After a person had automation go on.
pub(super) fn released(
    mut state: EnvironmentState,
    deployment: &DeploymentId,
) -> Result<EnvironmentState, String> {
    match state.hold.take().filter(|hold| hold.deployment == *deployment) {
        Some(_) => Ok(state),
        None => Err("nothing is held by it".to_owned()),
    }
}
