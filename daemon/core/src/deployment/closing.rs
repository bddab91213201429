//! What is left to do of a deployment once what was asked for runs, or can't.

use std::collections::BTreeMap;

use super::event::DestroyStep;
use super::jobs;
use super::pulled::withdraw;
use super::state::{Deployment, EnvironmentState};
use super::step::{Step, StepId, StepKind};
use super::transition::push;
use crate::graph::Uid;
use crate::rollout::jobs::When;
use crate::seeded::{Bug, seeded};

/// What is left to do once what was asked for runs: objects that nobody wants
/// go, then resources, each after those that need it.
pub(super) fn push_closing(deployment: &mut Deployment, after: Vec<StepId>) {
    push(deployment, "prune", StepKind::Prune, after);
    let prune = StepId("prune".to_owned());
    let destroy = std::mem::take(&mut deployment.destroy);
    let mut of: BTreeMap<&Uid, Vec<StepId>> = BTreeMap::new();
    for step in &destroy {
        of.entry(&step.uid).or_default().push(destroy_id(step));
    }
    let mut before = prune.clone();
    for step in &destroy {
        let id = destroy_id(step);
        let after = match &step.after {
            Some(after) => {
                let needing = after.iter().filter_map(|uid| of.get(uid)).flatten();
                // What is there goes first, then what was begun, one by one:
                // to a driver all of it has the same uid.
                let own = of.get(&step.uid).into_iter().flatten().take_while(|other| **other != id);
                [&prune].into_iter().chain(needing).chain(own).cloned().collect()
            }
            None => vec![before],
        };
        let kind = StepKind::Destroy { uid: step.uid.clone() };
        let mut pushed = Step::new(&deployment.id, &*id.0, kind, after);
        pushed.unsafe_to_repeat = step.unsafe_to_repeat;
        pushed.inputs = step.inputs;
        deployment.steps.push(pushed);
        before = id;
    }
    deployment.destroy = destroy;
}

/// `destroy:<uid>`, and `destroy:<uid>@<inputs>` for what was begun of it.
fn destroy_id(step: &DestroyStep) -> StepId {
    let of_begun = step.inputs.map(|inputs| format!("@{}", inputs.short())).unwrap_or_default();
    StepId(format!("destroy:{}{of_begun}", step.uid))
}

/// Has what ran before brought back, if something of the new may be in the
/// cluster, and if there is something to go back to.
///
/// In the reverse order of what was done: Jobs that ran after the rollout are undone,
/// then what ran before is brought back and what is new goes, then Jobs that ran
/// before the rollout are undone. So nothing is undone as long as something is there
/// that came after it.
pub(super) fn restore(state: &EnvironmentState, deployment: &mut Deployment) {
    withdraw(deployment);
    let needed = !seeded(Bug::RestoreForgotten)
        && state.deployed.is_some()
        && deployment.has_applied()
        && !deployment.is_restoring()
        && !deployment.is_committed();
    if !needed {
        return;
    }
    let (after, before): (Vec<_>, Vec<_>) =
        jobs::to_undo(deployment).into_iter().partition(|(job, _)| job.when == When::After);
    let undone = jobs::push_undo(deployment, after, &[]);
    // What ran before comes back also where something could not be undone: `next`
    // has it begin when nothing more can be.
    push(deployment, "restore", StepKind::Restore, Vec::new());
    let prune = StepId("prune".to_owned());
    push(deployment, &prune.0, StepKind::Prune, vec![StepId("restore".to_owned())]);
    let first: Vec<StepId> = [prune].into_iter().chain(undone).collect();
    jobs::push_undo(deployment, before, &first);
}
