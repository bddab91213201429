//! Jobs that a deployment runs once: before its rollout, after it, and in the
//! reverse order what undoes them, when what ran before is brought back.

use serde_json::{Value, json};

use super::closing::push_closing;
use super::state::{Deployment, EnvironmentState};
use super::step::{Step, StepId, StepKind, StepStatus};
use super::transition::push;
use crate::Digest;
use crate::rollout::jobs::{JobRun, RolloutJob, When, tag};
use crate::seeded::{Bug, seeded};

/// Of what is recorded with the manifests: which Jobs there are to run.
const JOBS: &str = "jobs";

/// What is recorded with the manifests of a deployment that runs these Jobs; nothing
/// where there are none.
pub fn observed(jobs: &[RolloutJob]) -> Option<Value> {
    (!jobs.is_empty()).then(|| json!({ JOBS: jobs }))
}

/// The manifests are there: what runs before the rollout does so one after the other,
/// and the strategy is asked after the last.
pub(super) fn rendered(
    deployment: &mut Deployment,
    observed: Option<&Value>,
) -> Result<(), String> {
    let Some(jobs) = observed.and_then(|observed| observed.get(JOBS)) else { return Ok(()) };
    let jobs: Vec<RolloutJob> = serde_json::from_value(jobs.clone())
        .map_err(|error| format!("its Jobs can't be read: {error}"))?;
    let (before, after): (Vec<RolloutJob>, Vec<RolloutJob>) =
        jobs.into_iter().partition(|job| job.when == When::Before);
    deployment.jobs = after;
    let mut last = StepId("apply-resources".to_owned());
    for job in before {
        last = push_job(deployment, job, last);
    }
    if let Some(decide) = deployment.steps.find_mut("decide:1") {
        decide.after = vec![last];
    }
    Ok(())
}

/// The strategy calls the rollout complete: what runs after it does so, and only then
/// it can't be undone any more.
pub(super) fn completed(deployment: &mut Deployment, decided: &StepId) {
    let jobs = std::mem::take(&mut deployment.jobs);
    if jobs.is_empty() {
        push_closing(deployment, vec![decided.clone()]);
        return;
    }
    let mut last = decided.clone();
    for job in jobs {
        last = push_job(deployment, job, last);
    }
}

/// A Job has come to its end.
pub(super) fn ran(
    state: &mut EnvironmentState,
    deployment: &mut Deployment,
    id: &StepId,
    job: &RolloutJob,
) {
    // Whoever runs one has taken away those of others.
    state.jobs.retain(|run| run.deployment == deployment.id);
    let is_left = |step: &Step| {
        matches!(step.kind, StepKind::Job { .. }) && step.status != StepStatus::Succeeded
    };
    let is_last = !deployment.steps.iter().any(is_left);
    if job.when == When::After && is_last {
        push_closing(deployment, vec![id.clone()]);
    }
}

fn push_job(deployment: &mut Deployment, job: RolloutJob, after: StepId) -> StepId {
    let id = free(deployment, &format!("job:{}", job.name));
    push(deployment, &id.0, StepKind::Job { job }, vec![after]);
    id
}

/// A name that no step has yet: going back over several deployments may run Jobs of
/// the same name.
fn free(deployment: &Deployment, name: &str) -> StepId {
    let mut id = name.to_owned();
    let mut count = 1_u32;
    while deployment.steps.find(&id).is_some() {
        count = count.saturating_add(1);
        id = format!("{name}@{count}");
    }
    StepId(id)
}

/// Jobs that have to be undone, the last one first: those begun that have something
/// that undoes them, or may still run.
pub(super) fn to_undo(deployment: &Deployment) -> Vec<(RolloutJob, StepId)> {
    let steps = deployment.steps.iter().rev().filter(|step| step.started.is_some());
    let begun = steps.filter_map(|step| match &step.kind {
        StepKind::Job { job } if is_undone(step, job) => Some((job.clone(), step.id.clone())),
        _ => None,
    });
    let mut found: Vec<(RolloutJob, StepId)> = begun.collect();
    if seeded(Bug::JobsUndoneInOrder) {
        found.reverse();
    }
    found
}

fn is_undone(step: &Step, job: &RolloutJob) -> bool {
    job.undone_by.is_some() || step.status != StepStatus::Succeeded
}

/// Adds steps that undo Jobs, each after the one before it; returns the last.
pub(super) fn push_undo(
    deployment: &mut Deployment,
    jobs: Vec<(RolloutJob, StepId)>,
    after: &[StepId],
) -> Option<StepId> {
    let mut last = None;
    for (job, of) in jobs {
        let id = free(deployment, &format!("undo:{}", job.name));
        let after = last.take().map_or_else(|| after.to_vec(), |last| vec![last]);
        push(deployment, &id.0, StepKind::Undo { job, of }, after);
        last = Some(id);
    }
    last
}

/// Remembers that objects of a run may be in the cluster from now on.
pub(super) fn begun(state: &mut EnvironmentState, deployment: &Deployment, step: &StepId) {
    let Some(step) = deployment.step(step) else { return };
    let (manifests, name) = match &step.kind {
        StepKind::Job { job } => (job.manifests, Some(&job.name)),
        StepKind::Undo { job, .. } => (job.manifests, job.undone_by.as_ref()),
        _ => return,
    };
    if let Some(name) = name {
        remember(state, deployment, manifests, name, &step.key);
    }
}

fn remember(
    state: &mut EnvironmentState,
    deployment: &Deployment,
    manifests: Digest,
    name: &str,
    key: &str,
) {
    let (deployment, name) = (deployment.id.clone(), name.to_owned());
    let run = JobRun { deployment, manifests, name, tag: tag(key) };
    if !state.jobs.contains(&run) {
        state.jobs.push(run);
    }
}
