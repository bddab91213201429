//! What an event makes of a state, and which events can't be.

use serde_json::{Value, json};

use super::action::Action;
use super::approved::approved;
use super::begun::{forget_begun, remember_begun};
use super::closing::{push_closing, restore};
use super::decided::decided;
use super::drift;
use super::event::Event;
use super::hold;
use super::jobs;
use super::observed::failed;
use super::pulled::{brought, push_propose, superseded};
use super::record::{DeploymentRecord, record_of, record_queued};
use super::retry::{ATTEMPTS_MAX, retry_at};
use super::state::{
    ActiveResource, Deployed, Deployment, EnvironmentState, Outcome, Phase, Queued,
};
use super::steered::{failed_while_held, steered};
use super::step::{Step, StepId, StepKind, StepStatus};
use super::yielding::give_way;
use crate::rollout::STABLE;
use crate::seeded::{Bug, seeded};
use crate::{Actor, DeploymentId, EnvironmentId, Fault, Timestamp};

/// An event that can't happen in this state. Live it is refused; on replay it
/// means that the journal is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} of deployment {deployment} can't happen now: {reason}")]
pub struct Illegal {
    /// The event's type.
    pub event: &'static str,
    /// The deployment that it is about.
    pub deployment: DeploymentId,
    /// Why not.
    pub reason: String,
}

/// The state after an event, and the record of the deployment that it is about;
/// none for an event that is about what is there, and changes no deployment.
pub fn transition(
    environment: &EnvironmentId,
    mut state: EnvironmentState,
    at: Timestamp,
    actor: &Actor,
    event: &Event,
) -> Result<(EnvironmentState, Option<DeploymentRecord>), Illegal> {
    let illegal = |reason: String| Illegal {
        event: event.kind(),
        deployment: event.deployment().clone(),
        reason,
    };
    if let Event::DriftChanged { .. } | Event::HealingGivenUp { .. } = event {
        return Ok((drift::drifted(state, at, event).map_err(illegal)?, None));
    }
    if let Event::HoldReleased { deployment, .. } = event {
        return Ok((hold::released(state, deployment).map_err(illegal)?, None));
    }
    let id = event.deployment();
    let waiting = state.queue.iter().position(|queued| queued.id == *id);
    let record = match (event, waiting) {
        (Event::DeploymentQueued { request, .. }, None) => {
            if state.active.as_ref().is_some_and(|active| active.id == *id) {
                return Err(illegal("it is active already".to_owned()));
            }
            if let Some(teardown) = state.teardown() {
                return Err(illegal(format!("deployment {teardown} takes the environment away")));
            }
            state.accepted = state.accepted.saturating_add(1);
            state.touched = Some(at);
            let queued = Queued {
                id: id.clone(),
                number: state.accepted,
                actor: actor.clone(),
                at,
                request: request.clone(),
                deferred: None,
                yielded: None,
            };
            state.queue.push(queued.clone());
            drift::queued(&mut state, request, at);
            if seeded(Bug::WallClockOrdersTheQueue) {
                state.queue.sort_by_key(|queued| queued.at);
            }
            record_queued(environment, queued, None, None)
        }
        (Event::DeploymentSuperseded { .. }, Some(place)) => {
            let queued = state.queue.remove(place);
            record_queued(environment, queued, Some((at, Outcome::Superseded)), None)
        }
        (Event::DeploymentEnded { outcome: Outcome::Cancelled, fault, .. }, Some(place)) => {
            let queued = state.queue.remove(place);
            record_queued(environment, queued, Some((at, Outcome::Cancelled)), fault.clone())
        }
        (Event::DeploymentDeferred { deferral, .. }, Some(place)) => {
            let queued = state.queue.get_mut(place).ok_or_else(|| illegal("it is gone".into()))?;
            queued.deferred = Some(deferral.clone());
            record_queued(environment, queued.clone(), None, None)
        }
        (Event::DeploymentStarted { .. }, Some(place)) => {
            if let Some(active) = state.active.as_ref().filter(|_| !seeded(Bug::TwoActive)) {
                return Err(illegal(format!("deployment {} is active", active.id)));
            }
            let overtaken = state.queue.iter().take(place).find(|one| one.deferred.is_none());
            if let Some(other) = overtaken.filter(|_| !seeded(Bug::LastComeFirstServed)) {
                return Err(illegal(format!("it is the turn of {}", other.id)));
            }
            let deployment = begin(state.queue.remove(place), at);
            let record = record_of(environment, &deployment);
            state.active = Some(deployment);
            record
        }
        (_, Some(_)) => return Err(illegal("it has not begun".to_owned())),
        (Event::DeploymentYielded { to, .. }, None) => {
            let active = state.active.take_if(|active| active.id == *id);
            let active = active.ok_or_else(|| illegal("it is not active".to_owned()))?;
            let queued = give_way(&mut state, active, to, at).map_err(illegal)?;
            record_queued(environment, queued, None, None)
        }
        (_, None) => {
            let Some(mut deployment) = state.active.take_if(|active| active.id == *id) else {
                return Err(illegal("it is neither queued nor active".to_owned()));
            };
            let ended = work(&mut state, &mut deployment, (at, actor), event).map_err(illegal)?;
            let mut record = record_of(environment, &deployment);
            match ended {
                Some((outcome, fault)) => {
                    hold::ended(&mut state, &deployment, outcome, at);
                    state.touched = Some(at);
                    record.ended = Some(at);
                    record.phase = Phase::Ended;
                    record.outcome = Some(outcome);
                    record.fault = fault;
                }
                None => state.active = Some(deployment),
            }
            record
        }
    };
    Ok((state, Some(record)))
}

fn begin(queued: Queued, at: Timestamp) -> Deployment {
    let plan = Step::new(&queued.id, "plan", StepKind::Plan, Vec::new());
    Deployment {
        id: queued.id,
        number: queued.number,
        actor: queued.actor,
        queued: queued.at,
        request: queued.request,
        started: at,
        plan: None,
        gates: Vec::new(),
        approvals: queued.yielded.map(|yielded| yielded.approvals).unwrap_or_default(),
        unattested: None,
        deferred: None,
        steps: vec![plan].into(),
        destroy: Vec::new(),
        jobs: Vec::new(),
        policies: None,
        rollout: None,
        held: None,
        cancel: None,
        superseded: None,
        failure: None,
    }
}

type Ended = Option<(Outcome, Option<Fault>)>;

/// What an event makes of the active deployment.
fn work(
    state: &mut EnvironmentState,
    deployment: &mut Deployment,
    (at, actor): (Timestamp, &Actor),
    event: &Event,
) -> Result<Ended, String> {
    match event {
        Event::DeploymentPlanned {
            plan,
            gates,
            resources,
            destroy,
            basis,
            policies,
            proposes,
            ..
        } => {
            finish(deployment, &StepId("plan".to_owned()), at)?.result = *basis;
            deployment.plan = Some(*plan);
            deployment.gates.clone_from(gates);
            deployment.destroy.clone_from(destroy);
            if deployment.is_teardown() {
                // Nothing is made, so that nothing is left to be brought back.
                push_closing(deployment, Vec::new());
                return Ok(None);
            }
            for resource in resources {
                let after = resource.after.iter().map(|uid| StepId(format!("provision:{uid}")));
                let kind =
                    StepKind::Provision { uid: resource.uid.clone(), name: resource.name.clone() };
                let id = format!("provision:{}", resource.uid);
                let mut step = Step::new(&deployment.id, id, kind, after.collect());
                step.unsafe_to_repeat = resource.unsafe_to_repeat;
                step.inputs = resource.inputs;
                deployment.steps.push(step);
            }
            let provisioned: Vec<StepId> =
                deployment.steps.iter().skip(1).map(|step| step.id.clone()).collect();
            let after = |id: &str| vec![StepId(id.to_owned())];
            push(deployment, "render", StepKind::Render, provisioned);
            let judged = if *policies {
                push(deployment, "policies", StepKind::Policies, after("render"));
                "policies"
            } else {
                "render"
            };
            let agreed = if *proposes { push_propose(deployment, judged) } else { judged };
            push(deployment, "apply-resources", StepKind::ApplyResources, after(agreed));
            let decide = StepKind::Decide { observation: None };
            push(deployment, "decide:1", decide, after("apply-resources"));
        }
        Event::PlanOutdated { .. }
        | Event::ApprovalRequested { .. }
        | Event::ApprovalGiven { .. }
        | Event::ApprovalWithdrawn { .. }
        | Event::ApprovalRefused { .. }
        | Event::ApprovalExpired { .. }
        | Event::AttestationExpired { .. }
        | Event::GlassBroken { .. } => approved(state, deployment, (at, actor), event)?,
        Event::GatePassed { gate, .. } => {
            let before = deployment.gates.len();
            deployment.gates.retain(|open| open.id != *gate);
            if deployment.gates.len() == before {
                return Err(format!("there is no gate {gate}"));
            }
            deployment.deferred = None;
        }
        Event::DeploymentDeferred { deferral, .. } => {
            if deployment.gates.is_empty() {
                return Err("there is no gate that it waits for".to_owned());
            }
            deployment.deferred = Some(deferral.clone());
        }
        Event::StepStarted { step, attempt, .. } => {
            start(deployment, step, *attempt, at)?;
            let applies = deployment
                .step(step)
                .is_some_and(|step| matches!(step.kind, StepKind::ApplyResources));
            if let Some(manifests) = deployment.result("render").filter(|_| applies)
                && state.applied.last() != Some(&manifests)
            {
                state.applied.push(manifests);
            }
            let kind = deployment.step(step).map(|step| &step.kind);
            if let Some(StepKind::Rollout { action: Action::Apply { track, .. } }) = kind
                && track != STABLE
            {
                state.tracks.insert(track.clone());
            }
            jobs::begun(state, deployment, step);
        }
        Event::StepPending { step, token, poll_at, message, .. } => {
            let step = open_step(deployment, step)?;
            step.status = StepStatus::Pending { token: token.clone(), poll_at: *poll_at };
            step.operation = Some(token.clone());
            step.message = Some(message.clone());
        }
        Event::StepSucceeded { step, result, observed, published, .. } => {
            brought(state, deployment, step, published.as_deref());
            let finished = finish(deployment, step, at)?;
            finished.result = *result;
            let finished = finished.clone();
            succeeded(state, deployment, &finished, observed.as_ref(), at)?;
        }
        Event::StepFailed { step, fault, published, .. } if deployment.holds(step) => {
            brought(state, deployment, step, published.as_deref());
            failed_while_held(deployment, step, fault, at)?;
        }
        Event::StepFailed { step, fault, published, .. } => {
            brought(state, deployment, step, published.as_deref());
            let failed = open_step(deployment, step)?;
            failed.fault = Some(fault.clone());
            match retry_at(fault, failed.attempts, &failed.key, at) {
                Some(at) => failed.status = StepStatus::Retrying { at },
                None => give_up(state, deployment, step, fault, at)?,
            }
        }
        Event::StepInterrupted { step, .. } => {
            let interrupted = open_step(deployment, step)?;
            if interrupted.status != StepStatus::Running {
                return Err(format!("step {step} does not run"));
            }
            if interrupted.unsafe_to_repeat && !seeded(Bug::UnsafeEffectRepeated) {
                let fault = Fault::permanent(
                    "unknown-outcome",
                    format!(
                        "deployd ended while step {step} ran, and its driver declares that a repeat is not safe: look whether it was done"
                    ),
                );
                interrupted.fault = Some(fault.clone());
                give_up(state, deployment, step, &fault, at)?;
            } else if interrupted.attempts >= ATTEMPTS_MAX {
                let fault = Fault::bug(
                    "interrupted-too-often",
                    format!("deployd ended {ATTEMPTS_MAX} times while step {step} ran"),
                );
                interrupted.fault = Some(fault.clone());
                give_up(state, deployment, step, &fault, at)?;
            } else {
                interrupted.status = StepStatus::Retrying { at };
            }
        }
        Event::RolloutDecided { step, state: own, action, progress, message, .. } => {
            finish(deployment, step, at)?;
            decided(state, deployment, step, own, action, *progress, message);
        }
        Event::PauseRequested { .. }
        | Event::ResumeRequested { .. }
        | Event::PromoteRequested { .. }
        | Event::RetryRequested { .. } => steered(deployment, event, at)?,
        Event::CancelRequested { reason, .. } => {
            if deployment.is_committed() && deployment.is_teardown() {
                return Err("its environment is being taken away already".to_owned());
            }
            if deployment.is_committed() {
                return Err("what was asked for runs already, and only cleaning up is left".into());
            }
            if deployment.cancel.is_none() {
                deployment.cancel = Some(reason.clone().unwrap_or_default());
                restore(state, deployment);
            }
        }
        Event::DeploymentEnded { outcome, fault, .. } => {
            if let Some(step) = deployment.steps.iter().find(|s| s.status == StepStatus::Running) {
                return Err(format!("step {} runs", step.id));
            }
            let runs = deployment.is_committed() && deployment.failure.is_none();
            if *outcome == Outcome::Succeeded && !runs {
                return Err("what was asked for does not run".to_owned());
            }
            remember_begun(state, deployment);
            // Also when cleaning up has failed: what was asked for runs.
            if deployment.is_committed() {
                state.deployed = Deployed::by(deployment, at);
                if deployment.is_teardown() && *outcome == Outcome::Succeeded {
                    state.applied.clear();
                    state.tracks.clear();
                    state.jobs.clear();
                    state.drift = None;
                    state.published = None;
                }
                drift::deployed(state, &deployment.request);
            }
            return Ok(Some((*outcome, fault.clone())));
        }
        Event::DeploymentSuperseded { by, .. } if deployment.waits_at_gates() => {
            if !state.queue.iter().any(|queued| queued.id == *by) {
                return Err(format!("{by} does not wait"));
            }
            return Ok(Some((Outcome::Superseded, None)));
        }
        Event::DeploymentSuperseded { by, .. } if deployment.waits_for_merge() => {
            superseded(state, deployment, by)?;
        }
        Event::DeploymentQueued { .. }
        | Event::DeploymentYielded { .. }
        | Event::DeploymentSuperseded { .. }
        | Event::DeploymentStarted { .. }
        | Event::DriftChanged { .. }
        | Event::HealingGivenUp { .. }
        | Event::HoldReleased { .. } => return Err("it has begun already".to_owned()),
    }
    Ok(None)
}

pub(super) fn push(deployment: &mut Deployment, id: &str, kind: StepKind, after: Vec<StepId>) {
    let step = Step::new(&deployment.id, id, kind, after);
    deployment.steps.push(step);
}

pub(super) fn find<'a>(
    deployment: &'a mut Deployment,
    id: &StepId,
) -> Result<&'a mut Step, String> {
    deployment.steps.find_mut(&id.0).ok_or_else(|| format!("there is no step {id}"))
}

fn open_step<'a>(deployment: &'a mut Deployment, id: &StepId) -> Result<&'a mut Step, String> {
    let step = find(deployment, id)?;
    match step.status {
        StepStatus::Running | StepStatus::Pending { .. } => Ok(step),
        _ => Err(format!("step {id} does not run")),
    }
}

fn start(
    deployment: &mut Deployment,
    id: &StepId,
    attempt: u32,
    at: Timestamp,
) -> Result<(), String> {
    let step = find(deployment, id)?;
    if !matches!(step.status, StepStatus::Waiting | StepStatus::Retrying { .. }) {
        return Err(format!("step {id} was begun already"));
    }
    if attempt != step.attempts.saturating_add(1) {
        return Err(format!("step {id} is at attempt {}", step.attempts));
    }
    step.status = StepStatus::Running;
    step.attempts = attempt;
    step.started.get_or_insert(at);
    let after = step.after.clone();
    let unmet = after.iter().find(|needed| {
        deployment.step(needed).is_none_or(|step| step.status != StepStatus::Succeeded)
    });
    match unmet {
        Some(needed) => Err(format!("step {id} comes after {needed}")),
        None => Ok(()),
    }
}

pub(super) fn finish<'a>(
    deployment: &'a mut Deployment,
    id: &StepId,
    at: Timestamp,
) -> Result<&'a mut Step, String> {
    let step = open_step(deployment, id)?;
    step.status = StepStatus::Succeeded;
    step.ended = Some(at);
    step.fault = None;
    step.message = None;
    Ok(step)
}

/// What follows upon a step that has succeeded.
fn succeeded(
    state: &mut EnvironmentState,
    deployment: &mut Deployment,
    step: &Step,
    observed: Option<&Value>,
    at: Timestamp,
) -> Result<(), String> {
    let result = step.result;
    match &step.kind {
        StepKind::Provision { uid, name } => {
            let (Some(provisioned), Some(plan)) = (result, deployment.plan) else {
                return Err("a provisioned resource needs a result and a plan".to_owned());
            };
            let since = state.resources.get(uid).map_or(Some(at), |known| known.since);
            let resource = ActiveResource {
                name: name.clone(),
                provisioned,
                plan,
                deployment: deployment.id.clone(),
                at,
                since,
                inputs: step.inputs,
            };
            forget_begun(state, uid, step.inputs);
            state.resources.change().insert(uid.clone(), resource.into());
        }
        StepKind::Rollout { .. } => {
            let mut observation = json!({"outcome": "done"});
            if let Some(checks) = observed {
                json_patch::merge(&mut observation, &json!({ "checks": checks }));
            }
            observe(deployment, observation);
        }
        // Objects of resources are still there, and go with them.
        StepKind::Prune if deployment.is_teardown() => {}
        StepKind::Prune => {
            let kept = if deployment.is_restoring() {
                state.deployed.as_ref().map(|deployed| deployed.manifests)
            } else {
                deployment.result("render")
            };
            state.applied = kept.into_iter().collect();
            state.tracks.clear();
            state.jobs.retain(|run| run.deployment == deployment.id);
        }
        StepKind::Destroy { uid } => {
            forget_begun(state, uid, step.inputs);
            if step.inputs.is_none() {
                state.resources.change().remove(uid);
            }
        }
        StepKind::Plan | StepKind::Decide { .. } => {
            return Err("such a step ends with what came of it".to_owned());
        }
        StepKind::Render if result.is_none() => {
            return Err("rendering needs a result".to_owned());
        }
        StepKind::Render => jobs::rendered(deployment, observed)?,
        StepKind::Policies => {
            let report = observed.cloned().ok_or("a judgement needs what was found")?;
            let report = serde_json::from_value(report)
                .map_err(|error| format!("what policies found can't be read: {error}"))?;
            deployment.policies = Some(report);
        }
        StepKind::Job { job } => jobs::ran(state, deployment, &step.id, job),
        // It was merged before it could be closed.
        StepKind::Withdraw => restore(state, deployment),
        StepKind::Propose
        | StepKind::ApplyResources
        | StepKind::Restore
        | StepKind::Undo { .. } => {}
    }
    Ok(())
}

/// What follows upon a step that won't be tried again.
fn give_up(
    state: &EnvironmentState,
    deployment: &mut Deployment,
    id: &StepId,
    fault: &Fault,
    at: Timestamp,
) -> Result<(), String> {
    let step = find(deployment, id)?;
    step.status = StepStatus::Failed;
    step.ended = Some(at);
    if matches!(step.kind, StepKind::Rollout { .. }) {
        observe(deployment, failed(fault));
        return Ok(());
    }
    deployment.failure.get_or_insert_with(|| fault.clone());
    restore(state, deployment);
    Ok(())
}

/// Has the strategy decide upon what came of its last action.
pub(super) fn observe(deployment: &mut Deployment, observation: Value) {
    if deployment.is_stopping() {
        return;
    }
    let round = deployment.rollout.as_ref().map_or(0, |rollout| rollout.round).saturating_add(1);
    let kind = StepKind::Decide { observation: Some(observation) };
    push(deployment, &format!("decide:{round}"), kind, Vec::new());
}
