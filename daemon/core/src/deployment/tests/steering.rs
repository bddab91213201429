//! People who pause a rollout, skip its waiting, or have it try again.

use super::*;

const DAY_MS: u64 = 86_400_000;

/// A strategy that applies, then does what is given, then whatever it observes.
fn after_applying(step: &Step, action: serde_json::Value) -> Event {
    let StepKind::Decide { observation } = &step.kind else { unreachable!() };
    match observation.as_ref().map(|it| (it["outcome"].clone(), it["scope"].clone())) {
        None => decide(step, json!({"do": "apply", "track": "canary", "workloads": ["web"]})),
        Some((outcome, _)) if outcome == "promoted" || outcome == "retried" => {
            decide(step, json!({"do": "complete"}))
        }
        Some(_) => decide(step, action),
    }
}

fn waits(step: &Step) -> Event {
    Event::StepPending {
        deployment: active(step),
        step: step.id.clone(),
        token: "waits".into(),
        poll_at: Timestamp(DAY_MS),
        message: "waits".into(),
    }
}

fn sleeps(step: &Step) -> Event {
    match &step.kind {
        StepKind::Decide { .. } => after_applying(step, json!({"do": "sleep", "ms": DAY_MS})),
        StepKind::Rollout { action: Action::Sleep { .. } } => waits(step),
        _ => well(step),
    }
}

fn stops(step: &Step) -> Event {
    match &step.kind {
        StepKind::Decide { .. } => after_applying(step, json!({"do": "pause", "message": "no"})),
        StepKind::Rollout { action: Action::Pause { .. } } => waits(step),
        _ => well(step),
    }
}

fn one() -> DeploymentId {
    DeploymentId("one".into())
}

fn until(world: &mut World<'_>, holds: impl Fn(&Deployment) -> bool) {
    while !world.state.active.as_ref().is_some_and(&holds) {
        assert!(world.step());
    }
}

fn observed(world: &World<'_>) -> serde_json::Value {
    match &world.state.active.as_ref().unwrap().steps.last().unwrap().kind {
        StepKind::Decide { observation: Some(observation) } => observation.clone(),
        other => panic!("nothing was observed: {other:?}"),
    }
}

#[test]
fn what_only_waits_is_skipped_by_who_promotes() {
    for (skip, scope) in [(Skip::Step, "step"), (Skip::All, "all")] {
        let mut world = World::new(&sleeps);
        world.request("one", Mode::Manual);
        let promote = Event::PromoteRequested { deployment: one(), skip, reason: None };
        while world.state.active.as_ref().is_none_or(|active| active.waits().is_none()) {
            assert!(world.append(promote.clone()).is_err(), "it does not wait yet");
            assert!(world.step());
        }
        world.append(promote).unwrap();
        assert_eq!(observed(&world), json!({"outcome": "promoted", "scope": scope}));
        assert_eq!(world.run(), Outcome::Succeeded);
        assert!(world.now < Timestamp(DAY_MS), "it has not waited");
    }
}

#[test]
fn what_has_stopped_is_tried_again_by_who_says_so() {
    let mut world = World::new(&stops);
    world.request("one", Mode::Manual);
    until(&mut world, |active| active.paused().is_some());
    world.append(Event::RetryRequested { deployment: one(), reason: None }).unwrap();
    assert_eq!(observed(&world), json!({"outcome": "retried"}));
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn nothing_more_is_rolled_out_while_a_person_has_paused_it() {
    let mut world = World::new(&sleeps);
    world.request("one", Mode::Manual);
    until(&mut world, |active| active.steps.iter().any(|step| step.id.0 == "rollout:1"));
    let pause = Event::PauseRequested { deployment: one(), reason: Some("look".into()) };
    world.append(pause.clone()).unwrap();
    assert!(world.append(pause).is_err(), "it is paused already");
    while world.step() {}
    let active = world.state.active.clone().expect("it waits");
    let begun = active.steps.iter().filter(|step| step.status == StepStatus::Waiting);
    assert!(begun.count() > 0, "something is left to do, and is not begun");
    assert_eq!(world.kept_state(), world.state);
    let resume = Event::ResumeRequested { deployment: one(), reason: None };
    world.append(resume.clone()).unwrap();
    assert!(world.append(resume).is_err(), "it is not paused any more");
    until(&mut world, |active| active.waits().is_some());
    world
        .append(Event::PromoteRequested { deployment: one(), skip: Skip::Step, reason: None })
        .unwrap();
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn what_is_paused_can_be_cancelled() {
    let mut world = World::new(&sleeps);
    world.request("one", Mode::Manual);
    until(&mut world, |active| active.waits().is_some());
    world.append(Event::PauseRequested { deployment: one(), reason: None }).unwrap();
    world.append(Event::CancelRequested { deployment: one(), reason: None }).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
}

#[test]
fn tracks_are_remembered_until_what_is_left_over_is_gone() {
    let mut world = World::new(&sleeps);
    world.request("one", Mode::Manual);
    until(&mut world, |active| active.waits().is_some());
    assert!(world.state.tracks.contains("canary"));
    assert_eq!(world.kept_state(), world.state);
    world
        .append(Event::PromoteRequested { deployment: one(), skip: Skip::All, reason: None })
        .unwrap();
    assert_eq!(world.run(), Outcome::Succeeded);
    assert!(world.state.tracks.is_empty());
}

#[test]
fn what_checks_have_found_is_what_the_strategy_observes() {
    let checked = |step: &Step| match &step.kind {
        StepKind::Decide { observation: None } => {
            decide(step, json!({"do": "run-checks", "checks": ["errors"]}))
        }
        StepKind::Decide { .. } => decide(step, json!({"do": "complete"})),
        StepKind::Rollout { .. } => Event::StepSucceeded {
            deployment: active(step),
            step: step.id.clone(),
            result: None,
            observed: Some(json!([{"name": "errors", "verdict": "passed"}])),
            published: None,
        },
        _ => well(step),
    };
    let mut world = World::new(&checked);
    world.request("one", Mode::Manual);
    until(&mut world, |active| active.steps.iter().any(|step| step.id.0 == "decide:2"));
    let checks = json!([{"name": "errors", "verdict": "passed"}]);
    assert_eq!(observed(&world), json!({"outcome": "done", "checks": checks}));
}
