//! What people say to a plan that waits for them, and what becomes of a plan that is
//! not what documents say any more.

use super::closing::restore;
use super::event::Event;
use super::state::{Deployment, EnvironmentState};
use super::step::{Step, StepKind};
use crate::approval::{Approval, Approvals, Asked, BrokenGlass, GIVEN_MAX, Refusal, rules};
use crate::attestation;
use crate::plan::GateCondition;
use crate::{Actor, Digest, Timestamp};

/// What such an event makes of the active deployment.
pub(super) fn approved(
    state: &mut EnvironmentState,
    deployment: &mut Deployment,
    (at, actor): (Timestamp, &Actor),
    event: &Event,
) -> Result<(), String> {
    if deployment.is_stopping() {
        return Err("it ends already".to_owned());
    }
    if deployment.gates.is_empty() {
        return Err("it waits at no gate".to_owned());
    }
    match event {
        Event::PlanOutdated { .. } => plan_again(deployment),
        Event::ApprovalRequested { plan, before, .. } => {
            asks(deployment)?;
            is_of(deployment, *plan)?;
            deployment.approvals.asked = Some(Asked { plan: *plan, at, before: *before });
        }
        Event::ApprovalGiven { plan, rules, on_behalf_of, reason, by_link, .. } => {
            asks(deployment)?;
            is_of(deployment, *plan)?;
            let approval = Approval {
                by: actor.clone(),
                on_behalf_of: on_behalf_of.clone(),
                at,
                plan: *plan,
                rules: rules.clone(),
                reason: reason.clone(),
                by_link: *by_link,
            };
            let given = &mut deployment.approvals.given;
            given.retain(|known| known.by != *actor || known.plan != *plan);
            if given.len() >= GIVEN_MAX {
                return Err(format!("{GIVEN_MAX} approvals were given already"));
            }
            given.push(approval);
        }
        Event::ApprovalWithdrawn { .. } => {
            let given = &mut deployment.approvals.given;
            let before = given.len();
            given.retain(|known| known.by != *actor);
            if given.len() == before {
                return Err(format!("{actor} has not approved it"));
            }
        }
        Event::ApprovalRefused { reason, .. } => {
            asks(deployment)?;
            let refusal = Refusal { by: actor.clone(), reason: reason.clone() };
            deployment.cancel = Some(format!("{} does not agree: {}", refusal.by, refusal.reason));
            deployment.approvals.refused = Some(refusal);
            restore(state, deployment);
        }
        Event::ApprovalExpired { rule, .. } => {
            asks(deployment)?;
            deployment.approvals.expired = Some(rule.clone());
            deployment.cancel = Some(format!("the approval {rule} was not given in time"));
            restore(state, deployment);
        }
        Event::AttestationExpired { rule, .. } => {
            if !attestation::rules(&deployment.gates).any(|(_, known)| known.name == *rule) {
                return Err(format!("it waits for no attestation {rule}"));
            }
            deployment.unattested = Some(rule.clone());
            deployment.cancel = Some(format!("{rule} was not attested of each image in time"));
            restore(state, deployment);
        }
        Event::GlassBroken { plan, reason, .. } => {
            asks(deployment)?;
            is_of(deployment, *plan)?;
            let (by, reason) = (actor.clone(), reason.clone());
            deployment.approvals.broken_glass = Some(BrokenGlass { by, plan: *plan, reason });
        }
        _ => return Err("it is no event of an approval".to_owned()),
    }
    Ok(())
}

/// Back to where it began: nothing of the plan was executed, since it waits at gates.
/// What people have said stays.
fn plan_again(deployment: &mut Deployment) {
    deployment.steps = vec![Step::new(&deployment.id, "plan", StepKind::Plan, Vec::new())].into();
    deployment.plan = None;
    deployment.gates.clear();
    deployment.destroy.clear();
    deployment.deferred = None;
}

fn asks(deployment: &Deployment) -> Result<(), String> {
    match rules(&deployment.gates).next() {
        Some(_) => Ok(()),
        None => Err("it waits for no approval".to_owned()),
    }
}

fn is_of(deployment: &Deployment, plan: Digest) -> Result<(), String> {
    match deployment.plan {
        Some(known) if known == plan => Ok(()),
        Some(known) => {
            Err(format!("its plan is {known} now, and not {plan}: look at that, and decide again"))
        }
        None => Err("its plan is being made again".to_owned()),
    }
}

/// Why it was cancelled, as its fault has it; none where it was not for an approval or
/// an attestation.
pub(super) fn fault_code(deployment: &Deployment) -> Option<&'static str> {
    if deployment.unattested.is_some() {
        return Some("attestation-missing");
    }
    match &deployment.approvals {
        Approvals { refused: Some(_), .. } => Some("approval-refused"),
        Approvals { expired: Some(_), .. } => Some("approval-expired"),
        _ => None,
    }
}

impl Deployment {
    /// What is to be recorded when its documents are not those any more that its plan
    /// was made from: nothing where it waits at no gate, for then it has begun.
    pub fn outdated(&self, configuration: crate::journal::Version) -> Option<Event> {
        let waits = !self.gates.is_empty() && !self.is_stopping() && self.plan.is_some();
        // What is pinned follows from no documents, and by a signal or a time alone
        // nobody has looked at the plan.
        let asks = |condition: &GateCondition| {
            matches!(condition, GateCondition::Approval { .. } | GateCondition::Attestation { .. })
        };
        (waits && self.gates.iter().any(|gate| asks(&gate.condition)))
            .then(|| Event::PlanOutdated { deployment: self.id.clone(), configuration })
    }
}
