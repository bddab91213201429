//! What a strategy's decision makes of a deployment.

use serde_json::Value;

use super::action::Action;
use super::closing::restore;
use super::jobs;
use super::observed::told;
use super::state::{Deployment, EnvironmentState, ROUNDS_MAX, Rollout};
use super::step::{Step, StepId, StepKind};
use super::transition::push;
use crate::Fault;

/// What a decision of the strategy leads to.
pub(super) fn decided(
    state: &EnvironmentState,
    deployment: &mut Deployment,
    step: &StepId,
    own: &Value,
    action: &Value,
    progress: u8,
    message: &str,
) {
    let round = deployment.rollout.as_ref().map_or(0, |rollout| rollout.round).saturating_add(1);
    deployment.rollout = Some(Rollout {
        round,
        state: own.clone(),
        progress: progress.min(100),
        message: message.to_owned(),
    });
    if deployment.is_stopping() {
        return;
    }
    let failure = match serde_json::from_value::<Action>(action.clone()) {
        Ok(_) if round >= ROUNDS_MAX => Some(Fault::bug(
            "rollout-without-end",
            format!("the strategy has not come to an end in {ROUNDS_MAX} rounds"),
        )),
        Ok(Action::Complete {}) => {
            jobs::completed(deployment, step);
            None
        }
        Ok(Action::RollBack { reason }) => Some(roll_back_fault(deployment, reason)),
        Ok(action) => {
            let kind = StepKind::Rollout { action };
            push(deployment, &format!("rollout:{round}"), kind, vec![step.clone()]);
            None
        }
        Err(error) => Some(
            Fault::bug(
                "strategy-action-unknown",
                format!("the strategy asks for an action that deployd does not know: {error}"),
            )
            .with_detail(action.clone()),
        ),
    };
    if let Some(fault) = failure {
        deployment.failure.get_or_insert(fault);
        restore(state, deployment);
    }
}

/// Why a rollout is rolled back: the strategy's words, with the fault of the
/// action that made it decide so as the detail.
fn roll_back_fault(deployment: &Deployment, reason: String) -> Fault {
    let newest = |fault: fn(&Step) -> Option<Fault>| deployment.steps.iter().rev().find_map(fault);
    let met = newest(|step| match &step.kind {
        StepKind::Rollout { .. } => step.fault.clone(),
        _ => None,
    });
    let told = newest(|step| match &step.kind {
        StepKind::Decide { observation } => told(observation.as_ref()?),
        _ => None,
    });
    // What the strategy was told is of a step, or of none while a person had stopped
    // it; the step knows more.
    let cause = match (met, told) {
        (Some(met), Some(told)) if met.message != told.message => Some(told),
        (None, told) => told,
        (met, _) => met,
    };
    match cause {
        Some(cause) if reason.contains(&cause.message) => Fault { message: reason, ..cause },
        Some(cause) => cause.with_reason(reason),
        None => Fault::permanent("rolled-back", reason),
    }
}
