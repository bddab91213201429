//! What a rollout does now, or waits for.

use super::{RolloutDoing, WaitsFor};
use crate::Timestamp;
use crate::deployment::{Action, Deployment, Step, StepKind, StepStatus};
use crate::rollout::checking::Checking;
use crate::rollout::sleeping;

/// What the rollout of a deployment that has not ended does; none before it has
/// begun.
pub(super) fn doing(
    work: &Deployment,
    checking: Option<&Checking>,
    now: Timestamp,
) -> Option<RolloutDoing> {
    let is_of_it = |step: &&Step| {
        matches!(
            step.kind,
            StepKind::Decide { .. }
                | StepKind::Rollout { .. }
                | StepKind::Job { .. }
                | StepKind::Undo { .. }
                | StepKind::Propose
                | StepKind::Withdraw
                | StepKind::Restore
                | StepKind::Prune
        )
    };
    let step = work.steps.iter().rev().filter(is_of_it).find(|step| step.is_open());
    let Some(step) = step else { return held(work) };
    let (waits_for, until) = waits_for(step, checking, now);
    Some(RolloutDoing {
        step: Some(step.id.clone()),
        what: what(&step.kind),
        why: why(work, step),
        waits_for,
        since: step.started,
        until,
        left_ms: until.map(|until| until.ms_since(now)),
    })
}

/// Nothing is begun because somebody does not want it.
fn held(work: &Deployment) -> Option<RolloutDoing> {
    work.rollout.as_ref()?;
    let why = work.held.clone()?;
    Some(RolloutDoing {
        step: None,
        what: "paused by a person".to_owned(),
        why,
        waits_for: WaitsFor::Person,
        since: None,
        until: None,
        left_ms: None,
    })
}

fn what(kind: &StepKind) -> String {
    match kind {
        StepKind::Decide { .. } => "ask the strategy what to do".to_owned(),
        StepKind::Rollout { action } => action.sentence(),
        StepKind::Job { job } => format!("run Job {}", job.name),
        StepKind::Undo { job, .. } => job.undoing(),
        StepKind::Propose => "wait until the pull request is merged".to_owned(),
        StepKind::Withdraw => "close the pull request".to_owned(),
        StepKind::Restore => "bring back what ran before".to_owned(),
        _ => "remove what is left over".to_owned(),
    }
}

fn why(work: &Deployment, step: &Step) -> String {
    let failed = step.fault.as_ref().filter(|_| matches!(step.status, StepStatus::Retrying { .. }));
    if let Some(fault) = failed {
        return fault.message.clone();
    }
    if let (Some(reason), true) = (&work.cancel, work.is_restoring()) {
        return if reason.is_empty() { "it was cancelled".to_owned() } else { reason.clone() };
    }
    if let (Some(fault), true) = (&work.failure, work.is_stopping()) {
        return fault.message.clone();
    }
    match &work.rollout {
        Some(rollout) => rollout.message.clone(),
        None => String::new(),
    }
}

fn waits_for(
    step: &Step,
    checking: Option<&Checking>,
    now: Timestamp,
) -> (WaitsFor, Option<Timestamp>) {
    if let StepStatus::Retrying { at } = step.status {
        return (WaitsFor::Retry, Some(at.max(now)));
    }
    match &step.kind {
        StepKind::Propose => (WaitsFor::Person, None),
        StepKind::Decide { .. } => (WaitsFor::Decision, None),
        StepKind::Rollout { action } => match action {
            Action::AwaitReady { deadline_ms, .. } => {
                // The wait begins anew with each attempt, and when is not known of
                // any but the first.
                let first = step.started.filter(|_| step.attempts <= 1);
                (WaitsFor::Pods, first.map(|began| began.plus_ms(*deadline_ms)))
            }
            Action::Sleep { .. } => {
                let until = match &step.status {
                    StepStatus::Pending { token, poll_at } => {
                        Some(poll_at.plus_ms(sleeping::left_after(token)))
                    }
                    _ => None,
                };
                (WaitsFor::Time, until)
            }
            Action::RunChecks { .. } => {
                let left = checking.map(|checking| now.plus_ms(checking.soonest_ms(now)));
                (WaitsFor::Checks, left)
            }
            Action::Pause { .. } => (WaitsFor::Person, None),
            _ => (WaitsFor::Cluster, None),
        },
        _ => (WaitsFor::Cluster, None),
    }
}
