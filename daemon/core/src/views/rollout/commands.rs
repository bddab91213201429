//! What a person can do about a rollout that is under way.

use serde_json::Value;

use super::NextCommand;
use crate::EnvironmentId;
use crate::deployment::{Action, Deployment, Step, StepKind};

/// The commands for a deployment that has not ended. An environment alone stands
/// for what is being deployed there.
pub(super) fn commands(environment: &EnvironmentId, work: &Deployment) -> Vec<NextCommand> {
    if work.is_stopping() || work.is_committed() || work.is_teardown() {
        return Vec::new();
    }
    let command = |verb: &str, more: &str, does: &str| NextCommand {
        command: format!("deployd {verb} {environment}{more}"),
        does: does.to_owned(),
    };
    let waits =
        work.steps.iter().rev().find(|step| step.is_open()).and_then(|step| match &step.kind {
            StepKind::Rollout { action } if action.is_waiting() => Some((step, action)),
            _ => None,
        });
    let mut found = Vec::new();
    if work.held.is_some() {
        found.push(command("resume", "", "has it go on"));
    }
    match waits {
        Some((step, Action::Pause { .. })) if has_failed_before(work, step) => {
            found.push(command("retry", "", "tries again what has failed"));
            found.push(command("promote", "", "goes on all the same"));
        }
        Some((_, Action::Pause { .. })) => {
            found.push(command("promote", "", "has it go on"));
            found.push(command("promote", " --all", "has it go on to its end, without waiting"));
        }
        Some(_) => {
            found.push(command("promote", "", "has it go on without waiting for this"));
            found.push(command("promote", " --all", "has it go on to its end, without waiting"));
        }
        None => {}
    }
    let is_paused = matches!(waits, Some((_, Action::Pause { .. })));
    if work.held.is_none() && !is_paused {
        found.push(command("pause", "", "has it stop where it is"));
    }
    found.push(command("abort", " -m WHY", "brings back what ran before"));
    found
}

/// Whether the strategy has stopped upon a failure: what it observed before it
/// decided to pause.
fn has_failed_before(work: &Deployment, pause: &Step) -> bool {
    pause.after.iter().filter_map(|id| work.step(id)).any(|decided| {
        matches!(&decided.kind, StepKind::Decide { observation: Some(observation) }
            if observation.get("outcome").and_then(Value::as_str) == Some("failed"))
    })
}
