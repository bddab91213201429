//! What was begun of resources, and never finished.

use super::state::{BEGUN_MAX, BegunResource, Deployment, EnvironmentState};
use super::step::{StepKind, StepStatus};
use crate::Digest;
use crate::graph::Uid;
use crate::seeded::{Bug, seeded};

/// Remembers what a deployment has begun to provision and does not know to be
/// there: whoever takes the environment away must not leave it behind.
pub(super) fn remember_begun(state: &mut EnvironmentState, deployment: &Deployment) {
    let Some(plan) = deployment.plan.filter(|_| !seeded(Bug::BegunForgotten)) else { return };
    for step in &deployment.steps {
        let StepKind::Provision { uid, name } = &step.kind else { continue };
        // What is there with the same inputs is what was begun.
        let is_there = state.resources.get(uid).is_some_and(|there| there.inputs == step.inputs);
        if step.started.is_none() || step.status == StepStatus::Succeeded || is_there {
            continue;
        }
        let begun = state.begun.entry(uid.clone()).or_default();
        begun.retain(|other| other.inputs != step.inputs);
        begun.push(BegunResource { name: name.clone(), plan, inputs: step.inputs });
        if begun.len() > BEGUN_MAX {
            begun.remove(0);
        }
    }
}

/// What was begun with these inputs is there, or gone.
pub(super) fn forget_begun(state: &mut EnvironmentState, uid: &Uid, inputs: Option<Digest>) {
    if let Some(begun) = state.begun.get_mut(uid) {
        begun.retain(|one| one.inputs != inputs);
        if begun.is_empty() {
            state.begun.remove(uid);
        }
    }
}
