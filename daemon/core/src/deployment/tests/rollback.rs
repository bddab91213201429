//! Rollouts that fail, or wait for a person.

use super::*;

pub(super) fn rollout_fails(step: &Step) -> Event {
    match &step.kind {
        StepKind::Rollout { action: Action::AwaitReady { .. } } if active(step).0 == "two" => {
            failed(step, Fault::permanent("crash-loop", "web does not start"))
        }
        _ => well(step),
    }
}

#[test]
fn i7_a_failed_rollout_brings_back_what_ran() {
    let mut world = World::new(&rollout_fails);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    assert_eq!(world.run(), Outcome::RolledBack);
    let record = world.last.clone().unwrap();
    assert_eq!(record.fault.unwrap().code, "crash-loop");
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "one");
    assert_eq!(world.state.applied, [world.state.deployed.as_ref().unwrap().manifests]);
}

#[test]
fn a_failed_first_rollout_has_nothing_to_go_back_to() {
    let fails = |step: &Step| match &step.kind {
        StepKind::Rollout { .. } => failed(step, Fault::permanent("crash-loop", "no")),
        _ => well(step),
    };
    let mut world = World::new(&fails);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(world.state.applied.len(), 1, "what is left is pruned by the next deployment");
}

#[test]
fn a_rollback_that_fails_needs_an_operator() {
    let fails = |step: &Step| match &step.kind {
        StepKind::Restore => failed(step, Fault::permanent("gone", "no")),
        _ => rollout_fails(step),
    };
    let mut world = World::new(&fails);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    assert_eq!(world.run(), Outcome::NeedsOperator);
}

#[test]
fn a_paused_rollout_waits_for_a_person() {
    let paused = |step: &Step| match &step.kind {
        StepKind::Decide { observation: None } => {
            decide(step, json!({"do": "pause", "message": "look at it"}))
        }
        StepKind::Decide { .. } => decide(step, json!({"do": "complete"})),
        StepKind::Rollout { action: Action::Pause { message } } => Event::StepPending {
            deployment: active(step),
            step: step.id.clone(),
            token: "paused".into(),
            poll_at: Timestamp(u64::MAX),
            message: message.clone(),
        },
        _ => well(step),
    };
    let resume = Event::ResumeRequested { deployment: DeploymentId("one".into()), reason: None };
    let mut world = World::new(&paused);
    world.request("one", Mode::Manual);
    while world.state.active.as_ref().is_none_or(|active| active.paused().is_none()) {
        assert!(world.append(resume.clone()).is_err(), "there is nothing to resume yet");
        assert!(world.step());
    }
    world.append(resume).unwrap();
    let steps = &world.state.active.as_ref().unwrap().steps;
    let observed = StepKind::Decide { observation: Some(json!({"outcome": "done"})) };
    assert_eq!(steps.last().unwrap().kind, observed, "as wit/strategy.wit has it");
    assert_eq!(world.run(), Outcome::Succeeded);
}
