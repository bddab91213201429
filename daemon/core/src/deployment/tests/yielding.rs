//! What waits at its gates makes way for who goes back, and for a newer version.

use super::turns::{closed_at_first, rollback};
use super::*;

fn id(name: &str) -> DeploymentId {
    DeploymentId(name.into())
}

/// Plans wait for two people, but for those that go back.
fn two_people(step: &Step) -> Event {
    match &step.kind {
        StepKind::Plan if active(step) != id("two") => {
            super::approvals::asks(step, b"plan", &[super::approvals::rule("release", 2)])
        }
        _ => well(step),
    }
}

impl World<'_> {
    fn go_back(&mut self, name: &str, mode: Mode) {
        self.ask_for(name, rollback(name, mode)).unwrap();
    }

    fn outcome(&self, name: &str) -> Option<Outcome> {
        self.kept_record(&id(name)).outcome
    }

    fn agrees(&mut self, who: &str) {
        self.append_as(who, super::approvals::agrees(b"plan")).unwrap();
    }
}

#[test]
fn i4_who_goes_back_comes_before_what_waits_for_people() {
    let mut world = World::new(&two_people);
    world.request("one", Mode::Manual);
    world.settle();
    world.request("three", Mode::Manual);
    world.agrees("ana");
    world.go_back("two", Mode::Manual);
    world.settle();
    assert_eq!(world.outcome("two"), Some(Outcome::Succeeded));
    // It waits again, before who came after it, and what Ana has said counts.
    let waits = world.state.active.clone().unwrap();
    assert_eq!((waits.id.0.as_str(), waits.approvals.given.len()), ("one", 1));
    let asked = |kind: &&&str| **kind == "approval-requested";
    assert_eq!(world.kinds().iter().filter(asked).count(), 1);
    world.agrees("bob");
    world.settle();
    assert_eq!(world.outcome("one"), Some(Outcome::Succeeded));
    let begun = |event: &Event| match event {
        Event::DeploymentStarted { deployment } => Some(deployment.0.clone()),
        _ => None,
    };
    let begun: Vec<String> = world.history.iter().filter_map(|(_, event)| begun(event)).collect();
    assert_eq!(begun, ["one", "two", "one", "three"]);
}

#[test]
fn what_has_made_way_is_kept_with_what_people_have_said() {
    let mut world = World::new(&two_people);
    world.request("one", Mode::Manual);
    world.settle();
    world.agrees("ana");
    world.go_back("two", Mode::Manual);
    while world.when("one", "deployment-yielded").is_none() {
        assert!(world.step());
    }
    assert_eq!(world.kept_state(), world.state);
    let record = world.kept_record(&id("one"));
    assert_eq!((record.phase, record.work), (Phase::Queued, None));
    let yielded = record.yielded.unwrap();
    assert_eq!((yielded.to, yielded.approvals.given.len()), (id("two"), 1));
    // Who takes it back does so for good.
    let fault = Some(Fault::permanent("cancelled", "not any more"));
    let outcome = Outcome::Cancelled;
    world.append(Event::DeploymentEnded { deployment: id("one"), outcome, fault }).unwrap();
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.outcome("one"), Some(Outcome::Cancelled));
}

#[test]
fn what_waits_for_people_is_superseded_by_a_newer_version_and_manual_ones_are_not() {
    for (mode, ends) in [(Mode::Automatic, Some(Outcome::Superseded)), (Mode::Manual, None)] {
        let mut world = World::new(&two_people);
        world.request("one", mode);
        world.settle();
        world.request("automatic", Mode::Automatic);
        world.settle();
        assert_eq!(world.outcome("one"), ends, "{mode:?}");
        let waits = world.state.active.as_ref().unwrap().id.0.as_str();
        assert_eq!(waits, if ends.is_some() { "automatic" } else { "one" });
        assert_eq!(world.kept_state(), world.state);
    }
}

#[test]
fn what_came_while_the_plan_was_made_supersedes_it_at_its_gates() {
    let mut world = World::new(&two_people);
    world.request("one", Mode::Automatic);
    while world.state.active.is_none() {
        assert!(world.step());
    }
    world.request("automatic", Mode::Automatic);
    world.settle();
    assert_eq!(world.outcome("one"), Some(Outcome::Superseded));
}

#[test]
fn who_mends_by_itself_comes_before_what_has_made_way_and_not_instead_of_it() {
    let mut world = World::new(&two_people);
    world.request("one", Mode::Automatic);
    world.settle();
    world.go_back("two", Mode::Automatic);
    world.settle();
    assert_eq!(world.outcome("two"), Some(Outcome::Succeeded));
    assert_eq!(world.outcome("one"), None);
    // Also where it waits in the queue already.
    let mut world = World::new(&two_people);
    world.request("one", Mode::Automatic);
    world.settle();
    world.go_back("two", Mode::Manual);
    while world.when("one", "deployment-yielded").is_none() {
        assert!(world.step());
    }
    world.go_back("end", Mode::Automatic);
    assert_eq!(world.outcome("one"), None);
    world.request("automatic", Mode::Automatic);
    assert_eq!(world.outcome("one"), Some(Outcome::Superseded));
}

#[test]
fn what_has_begun_to_apply_makes_way_for_nobody() {
    let mut world = World::new(&well);
    world.request("one", Mode::Automatic);
    while world.state.active.as_ref().is_none_or(|active| active.plan.is_none()) {
        assert!(world.step());
    }
    world.request("automatic", Mode::Automatic);
    world.go_back("two", Mode::Manual);
    let yielded = Event::DeploymentYielded { deployment: id("one"), to: id("two") };
    assert!(world.append(yielded).unwrap_err().to_string().contains("not wait at its gates"));
    let superseded = Event::DeploymentSuperseded { deployment: id("one"), by: id("automatic") };
    assert!(world.append(superseded).is_err());
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.outcome("one"), Some(Outcome::Succeeded));
}

#[test]
fn who_makes_way_does_so_only_for_one_that_waits_to_go_back() {
    let mut world = World::new(&two_people);
    world.request("one", Mode::Manual);
    world.settle();
    world.request("three", Mode::Manual);
    for to in ["three", "nobody"] {
        let yielded = Event::DeploymentYielded { deployment: id("one"), to: id(to) };
        let refused = world.append(yielded).unwrap_err().to_string();
        assert!(refused.contains("does not wait to go back"), "{refused}");
    }
}

#[test]
fn who_may_not_go_back_yet_keeps_nobody_from_being_approved() {
    let bound = |now: Timestamp| {
        let Outlook { deployments, .. } = closed_at_first(now);
        Outlook { rollbacks: deployments, ..Outlook::OPEN }
    };
    let mut world = World::new(&two_people);
    world.calendar = &bound;
    world.request("one", Mode::Manual);
    world.settle();
    world.go_back("two", Mode::Manual);
    world.settle();
    assert_eq!(world.when("one", "deployment-yielded"), None);
    let wakes = Intent::WakeAt(super::turns::OPENS);
    assert!(next(&world.state, world.now, &bound(world.now)).contains(&wakes));
    for who in ["ana", "bob"] {
        world.agrees(who);
    }
    world.settle();
    assert_eq!(world.outcome("one"), Some(Outcome::Succeeded));
}
