//! People who agree to a plan, or do not.

use super::*;
use crate::config::ApprovalRule;

pub(super) fn rule(name: &str, count: u32) -> ApprovalRule {
    serde_json::from_value(json!({"name": name, "count": count, "expires": "1h"})).unwrap()
}

pub(super) fn asks(step: &Step, plan: &[u8], rules: &[ApprovalRule]) -> Event {
    let mut gates: Vec<Gate> = rules.iter().map(crate::approval::gate).collect();
    let (id, message) = ("calendar".to_owned(), String::new());
    gates.push(Gate { id, message, condition: GateCondition::Calendar });
    match planned(step, gates, false) {
        Event::DeploymentPlanned { deployment, basis, gates, resources, destroy, .. } => {
            let plan = Digest::of(plan);
            Event::DeploymentPlanned {
                deployment,
                plan,
                basis,
                gates,
                resources,
                destroy,
                policies: false,
                proposes: false,
            }
        }
        other => other,
    }
}

fn two(step: &Step) -> Event {
    match &step.kind {
        StepKind::Plan => asks(step, b"plan", &[rule("release", 2)]),
        _ => super::well(step),
    }
}

fn one() -> DeploymentId {
    DeploymentId("one".into())
}

pub(super) fn agrees(plan: &[u8]) -> Event {
    Event::ApprovalGiven {
        deployment: one(),
        plan: Digest::of(plan),
        rules: ["release".parse().unwrap()].into(),
        on_behalf_of: None,
        reason: None,
        by_link: false,
    }
}

/// Until nothing more happens by itself at this moment.
fn settle(world: &mut World<'_>) {
    let now = world.now;
    loop {
        let intents = next(&world.state, now, &Outlook::OPEN);
        let acts = |intent: &Intent| matches!(intent, Intent::Append(_) | Intent::Perform { .. });
        if !intents.iter().any(acts) || !world.step() {
            return;
        }
    }
}

fn waits(world: &World<'_>) -> bool {
    world.last.as_ref().unwrap().phase == Phase::Waiting
}

#[test]
fn it_begins_when_enough_have_agreed_and_not_before() {
    let mut world = World::new(&two);
    world.request("one", Mode::Manual);
    settle(&mut world);
    assert!(waits(&world));
    assert_eq!(world.kinds().iter().filter(|kind| **kind == "approval-requested").count(), 1);
    world.append_as("ana", agrees(b"plan")).unwrap();
    // Once more is not twice.
    world.append_as("ana", agrees(b"plan")).unwrap();
    settle(&mut world);
    assert!(waits(&world));
    world.append_as("bob", agrees(b"plan")).unwrap();
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.last.unwrap().work.unwrap().approvals.given.len(), 2);
}

#[test]
fn what_is_taken_back_does_not_count_while_the_calendar_is_closed() {
    let mut world = World::new(&two);
    world.request("one", Mode::Manual);
    settle(&mut world);
    world.calendar = &super::turns::closed_at_first;
    for who in ["ana", "bob"] {
        world.append_as(who, agrees(b"plan")).unwrap();
    }
    while world.when("one", "deployment-deferred").is_none() {
        assert!(world.step());
    }
    let taken_back = Event::ApprovalWithdrawn { deployment: one(), reason: None };
    let nobodys = world.append_as("eva", taken_back.clone()).unwrap_err();
    assert!(nobodys.to_string().contains("eva has not approved it"), "{nobodys}");
    world.append_as("ana", taken_back).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
    let fault = world.last.as_ref().unwrap().fault.clone().unwrap();
    assert_eq!(fault.code, "approval-expired");
}

#[test]
fn a_changed_plan_asks_again() {
    let plans = std::cell::Cell::new(0);
    let changing = |step: &Step| match &step.kind {
        StepKind::Plan => {
            plans.set(plans.get() + 1);
            // The second comes out as the first one did, the third does not.
            let plan: &[u8] = if plans.get() < 3 { b"plan" } else { b"other" };
            asks(step, plan, &[rule("release", 1), rule("security", 1)])
        }
        _ => super::well(step),
    };
    let mut world = World::new(&changing);
    world.request("one", Mode::Manual);
    settle(&mut world);
    world.append_as("ana", agrees(b"plan")).unwrap();
    let requested = |world: &World<'_>| {
        world.kinds().iter().filter(|kind| **kind == "approval-requested").count()
    };
    for (configuration, asked) in [(7, 1), (8, 2)] {
        let active = world.state.active.as_ref().unwrap();
        let outdated = active.outdated(Version(configuration)).unwrap();
        world.append(outdated).unwrap();
        assert_eq!(world.last.as_ref().unwrap().phase, Phase::Planning);
        assert_eq!(world.kept_state(), world.state);
        settle(&mut world);
        assert!(waits(&world));
        assert_eq!(requested(&world), asked);
    }
    let active = world.state.active.clone().unwrap();
    assert_eq!(active.approvals.asked.unwrap().before, Some(Digest::of(b"plan")));
    // Who looks at the old one is told.
    let stale = world.append_as("bob", agrees(b"plan")).unwrap_err();
    assert!(stale.to_string().contains("look at that, and decide again"), "{stale}");
    let both = |plan: &[u8]| match agrees(plan) {
        Event::ApprovalGiven { deployment, plan, on_behalf_of, reason, by_link, .. } => {
            let rules = ["security".parse().unwrap()].into();
            Event::ApprovalGiven { deployment, plan, rules, on_behalf_of, reason, by_link }
        }
        other => other,
    };
    world.append_as("eva", both(b"other")).unwrap();
    settle(&mut world);
    // What Ana has said was of the plan before.
    assert!(waits(&world));
    world.append_as("ana", agrees(b"other")).unwrap();
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn who_refuses_ends_it_and_nothing_was_done() {
    let mut world = World::new(&two);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    settle(&mut world);
    let refusal = Event::ApprovalRefused { deployment: one(), reason: "not today".into() };
    world.append_as("ana", refusal).unwrap();
    while world.last.as_ref().unwrap().id == one() && world.step() {
        let record = world.last.as_ref().unwrap();
        if record.outcome.is_some() {
            assert_eq!(record.outcome, Some(Outcome::Cancelled));
            let fault = record.fault.clone().unwrap();
            assert_eq!(fault.code, "approval-refused");
            assert_eq!(fault.message, "ana does not agree: not today");
        }
    }
    let begun = |event: &Event| match event {
        Event::StepStarted { deployment, step, .. } => *deployment == one() && step.0 != "plan",
        _ => false,
    };
    assert!(!world.history.iter().any(|(_, event)| begun(event)));
    // The next one has its turn.
    settle(&mut world);
    assert!(waits(&world));
}

#[test]
fn what_nobody_approves_in_time_is_cancelled() {
    let mut world = World::new(&two);
    world.request("one", Mode::Manual);
    settle(&mut world);
    let asked = world.now;
    world.append_as("ana", agrees(b"plan")).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
    assert_eq!(world.last.as_ref().unwrap().ended, Some(asked.plus_ms(3_600_000)));
    assert_eq!(world.last.unwrap().fault.unwrap().code, "approval-expired");
}

#[test]
fn who_breaks_the_glass_goes_on_with_that_plan_alone() {
    let mut world = World::new(&two);
    world.request("one", Mode::Manual);
    settle(&mut world);
    let breaks = |plan: &[u8]| Event::GlassBroken {
        deployment: one(),
        plan: Digest::of(plan),
        reason: "it burns".into(),
    };
    assert!(world.append_as("ana", breaks(b"other")).is_err());
    world.append_as("ana", breaks(b"plan")).unwrap();
    assert_eq!(world.run(), Outcome::Succeeded);
    // What has begun is not approved any more.
    assert!(world.append_as("bob", agrees(b"plan")).is_err());
}
