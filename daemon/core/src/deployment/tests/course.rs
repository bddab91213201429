//! How deployments come to their end, one after another.

use super::*;
use crate::journal::StreamId;
use crate::notice::notice;

#[test]
fn a_deployment_goes_through_all_its_steps() {
    let mut world = World::new(&well);
    world.request("one", Mode::Automatic);
    assert_eq!(world.run(), Outcome::Succeeded);
    let record = world.last.clone().unwrap();
    let steps: Vec<String> = record.work.unwrap().steps.iter().map(|s| s.id.0.clone()).collect();
    assert_eq!(
        steps,
        [
            "plan",
            "provision:cluster",
            "provision:db",
            "render",
            "apply-resources",
            "decide:1",
            "rollout:1",
            "decide:2",
            "rollout:2",
            "decide:3",
            "prune",
        ]
    );
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "one");
    assert_eq!(world.state.resources.len(), 2);
    assert_eq!(world.state.applied.len(), 1);
}

#[test]
fn i4_one_active_deployment_and_automatic_ones_supersede_each_other() {
    let mut world = World::new(&well);
    world.request("one", Mode::Automatic);
    world.step();
    world.request("two", Mode::Automatic);
    world.request("three", Mode::Automatic);
    assert!(world.kinds().contains(&"deployment-superseded"));
    assert_eq!(world.state.queue.len(), 1);
    assert!(matches!(
        world.append(Event::DeploymentStarted { deployment: DeploymentId("three".into()) }),
        Err(Illegal { .. })
    ));
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "three");
}

#[test]
fn a_manual_deployment_is_never_dropped() {
    let mut world = World::new(&well);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    world.request("three", Mode::Automatic);
    assert_eq!(world.state.queue.len(), 3);
    world.run();
    let ended = world.kinds().iter().filter(|kind| **kind == "deployment-ended").count();
    assert_eq!(ended, 3);
}

#[test]
fn transient_faults_are_tried_again_and_others_are_not() {
    let transient = |step: &Step| match &step.kind {
        StepKind::Provision { uid, .. } if uid.0 == "db" && step.attempts < 3 => {
            failed(step, Fault::transient("busy", "try again"))
        }
        _ => well(step),
    };
    let mut world = World::new(&transient);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let work = world.last.clone().unwrap().work.unwrap();
    assert_eq!(work.step(&StepId("provision:db".into())).unwrap().attempts, 3);

    let keys: std::collections::BTreeSet<String> = world
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            Event::StepStarted { step, key, .. } if step.0 == "provision:db" => Some(key.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 1, "every attempt carries the same key");

    let permanent = |step: &Step| match &step.kind {
        StepKind::Provision { uid, .. } if uid.0 == "db" => {
            failed(step, Fault::permanent("no-quota", "no"))
        }
        _ => well(step),
    };
    let mut world = World::new(&permanent);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "no-quota");
    assert!(world.state.active.is_none());
    assert!(world.state.resources.contains_key(&Uid("cluster".into())));
}

#[test]
fn an_operation_is_known_after_a_poll_that_failed() {
    let slow = |step: &Step| match (&step.kind, &step.status) {
        (StepKind::Provision { uid, .. }, StepStatus::Running) if uid.0 == "db" => {
            if step.attempts == 1 {
                return Event::StepPending {
                    deployment: active(step),
                    step: step.id.clone(),
                    token: "op-1".into(),
                    poll_at: Timestamp(5_000),
                    message: String::new(),
                };
            }
            assert_eq!(step.operation.as_deref(), Some("op-1"));
            done(step)
        }
        (StepKind::Provision { uid, .. }, StepStatus::Pending { .. }) if uid.0 == "db" => {
            failed(step, Fault::transient("busy", "try again"))
        }
        _ => well(step),
    };
    let mut world = World::new(&slow);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn a_strategy_without_end_is_ended_before_its_record_is_too_large() {
    let endless = |step: &Step| match &step.kind {
        StepKind::Decide { .. } => decide(step, json!({"do": "sleep", "ms": 1})),
        _ => well(step),
    };
    let mut world = World::new(&endless);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    let record = world.last.clone().unwrap();
    assert_eq!(record.fault.as_ref().unwrap().code, "rollout-without-end");
    // A store takes a megabyte; half of it is left for resources.
    assert!(serde_json::to_vec(&record).unwrap().len() < 512 * 1024);
}

#[test]
fn an_action_nobody_knows_is_the_strategy_s_fault() {
    let strange = |step: &Step| match &step.kind {
        StepKind::Decide { .. } => decide(step, json!({"do": "levitate"})),
        _ => well(step),
    };
    let mut world = World::new(&strange);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "strategy-action-unknown");
}

#[test]
fn an_unknown_outcome_of_an_unsafe_step_needs_an_operator() {
    let unsafe_driver = |step: &Step| match &step.kind {
        StepKind::Plan => planned(step, vec![], true),
        _ => well(step),
    };
    let mut world = World::new(&unsafe_driver);
    world.request("one", Mode::Manual);
    while !matches!(
        world.state.active.as_ref().and_then(|a| a.step(&StepId("provision:cluster".into()))),
        Some(step) if step.status == StepStatus::Running
    ) {
        world.step();
    }
    for event in interrupted(&world.state) {
        world.append(event).unwrap();
    }
    assert_eq!(world.run(), Outcome::NeedsOperator);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "unknown-outcome");
}

#[test]
fn gates_hold_everything_but_the_plan() {
    let gated = |step: &Step| match &step.kind {
        StepKind::Plan => {
            let condition = GateCondition::NotBefore { at: Timestamp(9_000_000) };
            let gate = Gate { id: "window".into(), message: "Monday".into(), condition };
            planned(step, vec![gate], false)
        }
        _ => well(step),
    };
    let mut world = World::new(&gated);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let first = world
        .history
        .iter()
        .find(|(_, e)| matches!(e, Event::StepStarted { step, .. } if step.0 != "plan"))
        .unwrap();
    assert!(first.0 >= Timestamp(9_000_000));
}

#[test]
fn who_is_told_of_a_plan_is_told_what_it_waits_for() {
    let gated = |step: &Step| match &step.kind {
        StepKind::Plan => {
            let message = "two approvals of the shop's owners".into();
            let gate = Gate { id: "approval".into(), message, condition: GateCondition::Signal };
            planned(step, vec![gate], false)
        }
        _ => well(step),
    };
    let mut world = World::new(&gated);
    world.request("one", Mode::Manual);
    while !world.history.iter().any(|(_, event)| event.kind() == "deployment-planned") {
        world.step();
    }
    let (at, event) = world.history.last().unwrap();
    let (stream, version) = (StreamId("s".into()), Version(world.history.len() as u64));
    let told = notice(&environment(), &stream, version, *at, event, world.last.as_ref()).unwrap();
    assert_eq!(told.notice_type, "deployment.planned");
    assert_eq!(told.data["gates"][0]["message"], "two approvals of the shop's owners");
    assert_eq!(told.data["gates"][0]["condition"]["kind"], "signal");
}
