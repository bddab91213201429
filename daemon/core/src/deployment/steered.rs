//! What people ask of a rollout that is under way, and what it comes to.

use serde_json::json;

use super::event::Event;
use super::observed::failed;
use super::state::Deployment;
use super::step::{StepId, StepKind, StepStatus};
use super::transition::{find, finish, observe};
use crate::{Fault, Timestamp};

/// What such an event makes of the active deployment; nothing for any other.
pub(super) fn steered(
    deployment: &mut Deployment,
    event: &Event,
    at: Timestamp,
) -> Result<(), String> {
    match event {
        Event::PauseRequested { reason, .. } => {
            if deployment.is_committed() || deployment.is_stopping() || deployment.is_teardown() {
                return Err("nothing is rolled out any more".to_owned());
            }
            if deployment.held.is_some() {
                return Err("it is paused already".to_owned());
            }
            deployment.held = Some(reason.clone().unwrap_or_default());
        }
        Event::ResumeRequested { .. } => {
            // What a person has stopped goes on first; what the strategy waits
            // for with that is another question.
            let held = deployment.held.take();
            if held.is_none() {
                let paused = deployment.paused().map(|step| step.id.clone());
                let id = paused.ok_or("its rollout is not paused")?;
                finish(deployment, &id, at)?;
                observe(deployment, json!({"outcome": "done"}));
            }
        }
        Event::PromoteRequested { skip, .. } => {
            let waits = deployment.waits().map(|step| step.id.clone());
            let id = waits.ok_or("its rollout waits for nothing that could be skipped")?;
            deployment.held = None;
            finish(deployment, &id, at)?;
            observe(deployment, json!({"outcome": "promoted", "scope": skip}));
        }
        Event::RetryRequested { .. } => {
            let paused = deployment.paused().map(|step| step.id.clone());
            let id = paused.ok_or("its rollout has not stopped upon a failure")?;
            deployment.held = None;
            finish(deployment, &id, at)?;
            observe(deployment, json!({"outcome": "retried"}));
        }
        _ => {}
    }
    Ok(())
}

/// A person has stopped the rollout, and what it has brought so far fails. Nothing
/// is gained by standing still: the strategy is told, in place of what it was to be
/// told, or of the action that it wanted.
pub(super) fn failed_while_held(
    deployment: &mut Deployment,
    id: &StepId,
    fault: &Fault,
    at: Timestamp,
) -> Result<(), String> {
    deployment.held = None;
    let step = find(deployment, id)?;
    if let StepKind::Decide { observation } = &mut step.kind {
        *observation = Some(failed(fault));
        return Ok(());
    }
    step.fault = Some(fault.clone());
    step.status = StepStatus::Failed;
    step.ended = Some(at);
    observe(deployment, failed(fault));
    Ok(())
}
