//! Resources that are taken away, one by one or with their environment.

use super::*;

fn destroying(step: &Step) -> Event {
    match (&step.kind, planned(step, vec![], false)) {
        (StepKind::Plan, Event::DeploymentPlanned { deployment, plan, gates, resources, .. }) => {
            let step = |uid: &str, unsafe_to_repeat| DestroyStep {
                uid: Uid(uid.into()),
                unsafe_to_repeat,
                after: None,
                inputs: None,
            };
            let destroy = vec![step("app", false), step("base", true)];
            Event::DeploymentPlanned {
                deployment,
                plan,
                gates,
                resources,
                destroy,
                basis: None,
                policies: false,
                proposes: false,
            }
        }
        _ => well(step),
    }
}

#[test]
fn i8_resources_of_an_older_plan_are_taken_away_one_by_one_in_its_order() {
    let mut world = World::new(&destroying);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let place = |wanted: &dyn Fn(&Event) -> bool| {
        world.history.iter().position(|(_, event)| wanted(event)).unwrap()
    };
    let done =
        place(&|e| matches!(e, Event::StepSucceeded { step, .. } if step.0 == "destroy:app"));
    let next = place(&|e| matches!(e, Event::StepStarted { step, .. } if step.0 == "destroy:base"));
    assert!(done < next);
}

/// A diamond: `top` needs `left` and `right`, and both need `bottom`.
fn diamond(step: &Step) -> Event {
    match (&step.kind, planned(step, vec![], false)) {
        (StepKind::Plan, Event::DeploymentPlanned { deployment, plan, gates, .. }) => {
            let uids = |names: &[&str]| names.iter().map(|name| Uid((*name).into())).collect();
            let step = |uid: &str, after: &[&str]| DestroyStep {
                uid: Uid(uid.into()),
                unsafe_to_repeat: false,
                after: Some(uids(after)),
                inputs: None,
            };
            let destroy = vec![
                step("top", &[]),
                step("left", &["top"]),
                step("right", &["top"]),
                step("bottom", &["left", "right"]),
            ];
            Event::DeploymentPlanned {
                deployment,
                plan,
                gates,
                resources: Vec::new(),
                destroy,
                basis: None,
                policies: false,
                proposes: false,
            }
        }
        _ => well(step),
    }
}

/// Steps that run now.
fn running(world: &World<'_>) -> Vec<String> {
    let active = world.state.active.iter().flat_map(|active| &active.steps);
    active.filter(|s| s.status == StepStatus::Running).map(|s| s.id.0.clone()).collect()
}

#[test]
fn i8_resources_are_taken_away_in_parallel_each_after_those_that_need_it() {
    let mut world = World::new(&diamond);
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    let mut seen = Vec::new();
    while world.step() {
        let now = running(&world);
        if seen.last() != Some(&now) && !now.is_empty() {
            seen.push(now);
        }
    }
    let with = |name: &str| seen.iter().position(|now| now.contains(&name.to_owned())).unwrap();
    assert_eq!(seen[0], ["plan"]);
    assert!(with("prune") < with("destroy:top"));
    assert_eq!(with("destroy:left"), with("destroy:right"), "at the same time: {seen:?}");
    assert!(with("destroy:top") < with("destroy:left"));
    assert!(with("destroy:right") < with("destroy:bottom"));
    assert!(!seen.iter().flatten().any(|step| step == "render" || step == "decide:1"));
    assert_eq!(world.last.clone().unwrap().outcome, Some(Outcome::Succeeded));
    assert!(world.state.deployed.is_none() && world.state.applied.is_empty());
}

#[test]
fn i4_an_environment_that_is_about_to_go_accepts_nothing() {
    let mut world = World::new(&diamond);
    world.request("automatic", Mode::Automatic);
    world.request("manual", Mode::Manual);
    assert!(world.step(), "the first one begins");
    world.request("waiting", Mode::Automatic);
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    let waiting: Vec<&str> = world.state.queue.iter().map(|queued| &*queued.id.0).collect();
    assert_eq!(waiting, ["manual", "end"], "whoever asked in person is served before");
    for mode in [Mode::Automatic, Mode::Manual] {
        let end = DeploymentId("end".into());
        assert_eq!(world.ask("late", mode, None), Err(NotQueued::Teardown(end)));
    }
    let queued = Event::DeploymentQueued {
        deployment: DeploymentId("late".into()),
        request: world.state.queue[0].request.clone(),
    };
    assert!(world.append(queued).is_err(), "not by the journal either");
    assert_eq!(world.run(), Outcome::Succeeded);
    world.request("next", Mode::Manual);
    assert_eq!(world.state.accepted, 5, "the environment's history goes on");
}

#[test]
fn i7_a_destroy_that_fails_for_good_holds_up_only_what_it_needs() {
    let mut world = World::new(&|step| match &step.kind {
        StepKind::Destroy { uid } if uid.0 == "left" => Event::StepFailed {
            published: None,
            deployment: DeploymentId("end".into()),
            step: step.id.clone(),
            fault: Fault::denied("data-is-there", "three tables"),
        },
        _ => diamond(step),
    });
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    assert_eq!(world.run(), Outcome::NeedsOperator);
    let record = world.last.clone().unwrap();
    assert_eq!(record.fault.unwrap().code, "data-is-there");
    let work = record.work.unwrap();
    let status = |id: &str| work.step(&StepId(id.into())).unwrap().status.clone();
    assert_eq!(status("destroy:right"), StepStatus::Succeeded);
    assert_eq!(status("destroy:bottom"), StepStatus::Waiting);
}

#[test]
fn i7_a_teardown_can_be_cancelled_until_it_is_planned() {
    let mut world = World::new(&diamond);
    let cancel = || Event::CancelRequested { deployment: DeploymentId("end".into()), reason: None };
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    assert!(world.step());
    world.append(cancel()).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    while world.state.active.as_ref().is_none_or(|active| active.plan.is_none()) {
        assert!(world.step());
    }
    assert!(world.append(cancel()).is_err());
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn i7_an_unsafe_destroy_whose_outcome_is_unknown_needs_an_operator() {
    let mut world = World::new(&destroying);
    world.request("one", Mode::Manual);
    let running = |world: &World<'_>, id: &str| {
        let step = world.state.active.as_ref().and_then(|active| active.step(&StepId(id.into())));
        step.is_some_and(|step| step.status == StepStatus::Running)
    };
    while !running(&world, "destroy:app") {
        assert!(world.step());
    }
    for event in interrupted(&world.state) {
        world.append(event).unwrap();
    }
    while !running(&world, "destroy:base") {
        assert!(world.step(), "the first one may be repeated");
    }
    for event in interrupted(&world.state) {
        world.append(event).unwrap();
    }
    assert_eq!(world.run(), Outcome::NeedsOperator);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "unknown-outcome");
}

#[test]
fn events_of_older_versions_name_what_to_destroy_by_uid_alone() {
    let step: DestroyStep = serde_json::from_value(json!("app")).unwrap();
    let uid = Uid("app".into());
    assert_eq!(step, DestroyStep { uid, unsafe_to_repeat: false, after: None, inputs: None });
    let step = DestroyStep { unsafe_to_repeat: true, ..step };
    let value = serde_json::to_value(&step).unwrap();
    assert_eq!(serde_json::from_value::<DestroyStep>(value).unwrap(), step);
}

#[test]
fn what_runs_is_known_also_when_cleaning_up_fails() {
    let fails = |step: &Step| match &step.kind {
        StepKind::Destroy { .. } => failed(step, Fault::permanent("denied", "no")),
        _ => destroying(step),
    };
    let mut world = World::new(&fails);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::NeedsOperator);
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "one");
}
