//! What is kept, at any point of any deployment.

use proptest::prelude::*;

use super::rollback::rollout_fails;
use super::*;

proptest! {
    /// Cancelled, or interrupted, after any number of steps: it comes to an
    /// end, nothing runs any more, and a replay gives the same state.
    #[test]
    fn i7_i10_any_deployment_can_be_cancelled_and_interrupted_at_any_point(
        cancel_at in 0usize..60,
        interrupt_at in 0usize..60,
        fails in any::<bool>(),
    ) {
        let answer = if fails { rollout_fails } else { well };
        let mut world = World::new(&answer);
        world.request("one", Mode::Manual);
        world.run();
        world.request("two", Mode::Manual);
        for n in 0..200 {
            if n == cancel_at {
                let _ = world.append(Event::CancelRequested {
                    deployment: DeploymentId("two".into()),
                    reason: None,
                });
            }
            if n == interrupt_at {
                for event in interrupted(&world.state) {
                    world.append(event).unwrap();
                }
            }
            if !world.step() {
                break;
            }
            prop_assert_eq!(world.kept_state(), world.state.clone());
        }
        let record = world.last.clone().unwrap();
        prop_assert_eq!(world.kept_record(&record.id), record);
        prop_assert!(world.state.active.is_none());
        let outcome = world.last.clone().unwrap().outcome.unwrap();
        let running = &world.state.deployed.as_ref().unwrap().deployment.0;
        match outcome {
            Outcome::Succeeded => prop_assert_eq!(running, "two"),
            _ => prop_assert_eq!(running, "one"),
        }
        prop_assert_eq!(world.state.applied.len(), 1);

        let mut replayed = EnvironmentState::default();
        for (at, event) in &world.history {
            replayed = transition(&environment(), replayed, *at, &Actor::deployd(), event).unwrap().0;
        }
        prop_assert_eq!(replayed, world.state);
    }
}

#[test]
fn states_and_events_survive_their_encoding() {
    let mut world = World::new(&rollout_fails);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    while world.step() {
        let text = serde_json::to_string(&world.state).unwrap();
        assert_eq!(serde_json::from_str::<EnvironmentState>(&text).unwrap(), world.state);
    }
    for (_, event) in &world.history {
        let value = serde_json::to_value(event).unwrap();
        assert_eq!(value["type"], event.kind());
        assert_eq!(&serde_json::from_value::<Event>(value).unwrap(), event);
    }
}

/// A plan of so many resources, and all goes well.
fn with_resources(step: &Step, count: usize) -> Event {
    match &step.kind {
        StepKind::Plan => Event::DeploymentPlanned {
            deployment: active(step),
            plan: Digest::of(b"plan"),
            basis: None,
            policies: false,
            gates: vec![],
            resources: (0..count)
                .map(|n| ResourceStep {
                    uid: Uid(format!("{n:016}")),
                    name: format!("type#{n}"),
                    after: vec![],
                    unsafe_to_repeat: false,
                    inputs: None,
                })
                .collect(),
            destroy: vec![],
            proposes: false,
        },
        _ => well(step),
    }
}

#[test]
fn steps_are_kept_together_when_all_is_over_and_apart_until_then() {
    let many = |step: &Step| with_resources(step, 1_000);
    let mut world = World::new(&many);
    world.request("one", Mode::Manual);
    let id = DeploymentId("one".into());
    let mut values = 0;
    while world.step() {
        let before = values;
        values = world.values(projection::STEPS, &projection::step_keys(&id)).count();
        if let Some(active) = &world.state.active {
            assert_eq!(values, active.steps.len());
        } else {
            // Of several hundred kilobytes, none has more than a value can.
            assert!(before > 1_000 && (2..20).contains(&values), "{before}, then {values}");
            assert!(world.kept.values().all(|value| value.len() < 256 << 10));
        }
    }
    let record = world.last.clone().unwrap();
    assert_eq!(world.kept_record(&id), record);
}

#[test]
fn i10_an_event_writes_no_more_however_many_steps_and_resources_there_are() {
    let largest = |count: usize| {
        let many = |step: &Step| with_resources(step, count);
        let mut world = World::new(&many);
        world.request("one", Mode::Manual);
        let mut largest = 0;
        while world.step() {
            let of_provision = matches!(
                &world.history.last().unwrap().1,
                Event::StepStarted { step, .. } | Event::StepSucceeded { step, .. }
                    if step.0.starts_with("provision:")
            );
            if of_provision {
                largest = largest.max(world.changed);
            }
        }
        assert_eq!(world.last.as_ref().unwrap().outcome, Some(Outcome::Succeeded));
        assert_eq!(world.kept_state(), world.state);
        assert_eq!(world.state.resources.len(), count);
        largest
    };
    // Larger numbers have more digits.
    assert!(largest(500) <= largest(20) + 32);
}
