//! Steps, as people read them.

use std::collections::BTreeMap;

use deployd_core::deployment::{Action, Deployment, Step, StepId, StepKind, StepStatus};

use crate::output::clean;

/// What a step does, in a few words.
pub fn label(step: &Step) -> String {
    match &step.kind {
        StepKind::Plan => "plan".to_owned(),
        StepKind::Provision { name, .. } => format!("provision {}", clean(name)),
        StepKind::Render => "render manifests".to_owned(),
        StepKind::Policies => "ask policies".to_owned(),
        StepKind::Propose => "propose it to the branch, and wait until it is merged".to_owned(),
        StepKind::ApplyResources => "apply resources' objects".to_owned(),
        StepKind::Decide { .. } => "ask the strategy".to_owned(),
        StepKind::Rollout { action } => action_label(action),
        StepKind::Job { job } => format!("run Job {}", clean(&job.name)),
        StepKind::Undo { job, .. } => clean(&job.undoing()),
        StepKind::Withdraw => "close the pull request".to_owned(),
        StepKind::Restore => "bring back what ran before".to_owned(),
        StepKind::Prune => "remove what is left over".to_owned(),
        StepKind::Destroy { uid } if step.inputs.is_some() => {
            format!("destroy what was begun of resource {uid}")
        }
        StepKind::Destroy { uid } => format!("destroy resource {uid}"),
    }
}

fn action_label(action: &Action) -> String {
    let of = |track: &str, workloads: &[String]| {
        let track = if track == "stable" { String::new() } else { format!(" ({track})") };
        clean(&format!("{}{track}", workloads.join(", ")))
    };
    match action {
        Action::Apply { track, workloads, .. } => format!("apply {}", of(track, workloads)),
        Action::Scale { track, workloads, percent } => {
            format!("scale {} to {percent} %", of(track, workloads))
        }
        Action::Shift { weights, .. } => {
            let shares = weights.iter().map(|(track, percent)| format!("{track} {percent} %"));
            format!("traffic: {}", clean(&shares.collect::<Vec<_>>().join(", ")))
        }
        Action::RunChecks { checks, .. } => format!("check {}", clean(&checks.join(", "))),
        Action::Retire { track, .. } => format!("take {} away", clean(track)),
        Action::AwaitReady { track, workloads, .. } => {
            format!("wait until {} is ready", of(track, workloads))
        }
        Action::Sleep { ms } => format!("wait {}", crate::output::lasted(*ms)),
        Action::Pause { message } => format!("paused: {}", clean(message)),
        Action::Complete {} => "complete".to_owned(),
        Action::RollBack { reason } => format!("roll back: {}", clean(reason)),
    }
}

/// Whether a step is one of many rounds of a rollout, of which only where it
/// stands is interesting.
pub(super) fn is_round(step: &Step) -> bool {
    matches!(step.kind, StepKind::Decide { .. } | StepKind::Rollout { .. })
}

/// Whether a step waits for a person.
pub(super) fn is_pause(step: &Step) -> bool {
    matches!(&step.kind, StepKind::Rollout { action: Action::Pause { .. } })
}

/// Whether a step has failed, for good or for now.
pub(super) fn is_in_trouble(step: &Step) -> bool {
    matches!(step.status, StepStatus::Failed | StepStatus::Retrying { .. })
}

/// How deep each step of a kind stands below what it comes after.
pub(super) fn depths(work: &Deployment) -> BTreeMap<&StepId, usize> {
    let provisions: Vec<&Step> =
        work.steps.iter().filter(|step| matches!(step.kind, StepKind::Provision { .. })).collect();
    let mut depths: BTreeMap<&StepId, usize> =
        provisions.iter().map(|step| (&step.id, 0)).collect();
    // Steps are mostly in order, so that a few passes do; a cycle, which no
    // plan has, ends with the passes.
    for _ in 0..provisions.len() {
        let mut changed = false;
        for step in &provisions {
            let below = step
                .after
                .iter()
                .filter_map(|id| depths.get(id))
                .max()
                .map_or(0, |depth| depth + 1);
            changed |= depths.insert(&step.id, below) != Some(below);
        }
        if !changed {
            break;
        }
    }
    depths
}
