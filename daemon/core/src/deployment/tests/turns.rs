//! Whose turn it is, by schedules and calendars.

use super::*;
use crate::calendar::{Decision, Reason};

pub(super) const OPENS: Timestamp = Timestamp(9_000_000);

/// Closed until nine thousand seconds, but for going back.
pub(super) fn closed_at_first(now: Timestamp) -> Outlook {
    if now >= OPENS {
        return Outlook::OPEN;
    }
    let reason = Reason::Outside { calendar: "week".parse().unwrap(), windows: Vec::new() };
    Outlook {
        deployments: Decision::Closed { until: Some(OPENS), reasons: vec![reason] },
        ..Outlook::OPEN
    }
}

pub(super) fn rollback(id: &str, mode: Mode) -> Request {
    let [to, from] = ["before", "now"].map(|id| DeploymentId(id.into()));
    let origin = Origin::Rollback { to, from, exact: true, recent: true };
    Request { origin, ..request(id, mode) }
}

impl World<'_> {
    /// When a deployment was started, or ended.
    pub(super) fn when(&self, id: &str, kind: &str) -> Option<Timestamp> {
        let is = |event: &Event| event.kind() == kind && event.deployment().0 == id;
        self.history.iter().find(|(_, event)| is(event)).map(|(at, _)| *at)
    }

    /// As far as it goes without waiting for a time.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        for _ in 0..1_000 {
            let state = self.state.clone();
            let moved = self.step();
            if !moved || self.state == state {
                self.now = now;
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

#[test]
fn what_a_calendar_keeps_waits_until_it_opens_and_says_so_once() {
    let mut world = World::new(&well);
    world.calendar = &closed_at_first;
    world.request("one", Mode::Manual);
    world.settle();
    let deferred = world.kept_record(&DeploymentId("one".into())).deferred.unwrap();
    assert_eq!(deferred.until, Some(OPENS));
    assert_eq!(world.kept_state(), world.state);
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.when("one", "deployment-started"), Some(OPENS));
    let said = world.kinds().iter().filter(|kind| **kind == "deployment-deferred").count();
    assert_eq!(said, 1);
}

#[test]
fn who_goes_back_comes_before_what_a_calendar_keeps_and_drops_none_of_it() {
    let mut world = World::new(&well);
    world.calendar = &closed_at_first;
    world.request("automatic", Mode::Automatic);
    world.settle();
    world.ask_for("two", rollback("two", Mode::Automatic)).unwrap();
    world.settle();
    assert!(world.when("two", "deployment-ended").unwrap() < OPENS);
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.when("automatic", "deployment-started"), Some(OPENS));
    assert_eq!(world.when("automatic", "deployment-superseded"), None);
}

#[test]
fn a_newer_automatic_one_takes_the_place_of_one_that_is_deferred() {
    let mut world = World::new(&well);
    world.calendar = &closed_at_first;
    world.request("automatic", Mode::Automatic);
    world.settle();
    world.request("two", Mode::Automatic);
    assert!(world.when("automatic", "deployment-superseded").is_some());
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn what_is_scheduled_keeps_nobody_and_begins_at_its_time() {
    let mut world = World::new(&well);
    let at = Timestamp(5_000_000);
    let schedule = Schedule { not_before: Some(at), ..Schedule::default() };
    world.ask_for("one", Request { schedule, ..request("one", Mode::Manual) }).unwrap();
    world.request("two", Mode::Manual);
    world.settle();
    assert!(world.when("two", "deployment-ended").unwrap() < at);
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.when("one", "deployment-started"), Some(at));
}

#[test]
fn what_could_not_begin_in_its_time_ends_and_the_next_has_its_turn() {
    let mut world = World::new(&well);
    world.calendar = &closed_at_first;
    let expires = Some(Timestamp(2_000_000));
    let schedule = Schedule { expires, ..Schedule::default() };
    world.ask_for("one", Request { schedule, ..request("one", Mode::Manual) }).unwrap();
    world.request("two", Mode::Manual);
    while world.when("one", "deployment-ended").is_none() {
        assert!(world.step());
    }
    assert_eq!(world.when("one", "deployment-ended"), expires);
    let record = world.kept_record(&DeploymentId("one".into()));
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
    assert_eq!(record.fault.unwrap().code, "expired");
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.when("two", "deployment-started"), Some(OPENS));
}

fn gates(conditions: Vec<GateCondition>) -> Vec<Gate> {
    let gate = |(number, condition)| Gate {
        id: format!("gate-{number}"),
        message: String::new(),
        condition,
    };
    conditions.into_iter().enumerate().map(gate).collect()
}

/// Open when it is planned, closed when its other gate opens, and open again.
#[test]
fn the_calendar_is_asked_when_nothing_else_is_waited_for() {
    let other = Timestamp(3_000_000);
    let gated = |step: &Step| match &step.kind {
        StepKind::Plan => {
            let not_before = GateCondition::NotBefore { at: other };
            planned(step, gates(vec![GateCondition::Calendar, not_before]), false)
        }
        _ => well(step),
    };
    let closes = |now: Timestamp| match now < Timestamp(2_000_000) {
        true => Outlook::OPEN,
        false => closed_at_first(now),
    };
    let mut world = World::new(&gated);
    world.calendar = &closes;
    world.request("one", Mode::Manual);
    while world.when("one", "deployment-deferred").is_none() {
        assert!(world.step());
    }
    assert_eq!(world.when("one", "deployment-deferred"), Some(other));
    let record = world.kept_record(&DeploymentId("one".into()));
    assert_eq!(record.phase, Phase::Waiting);
    assert_eq!(record.deferral().unwrap().until, Some(OPENS));
    assert_eq!(world.run(), Outcome::Succeeded);
    let begun = world
        .history
        .iter()
        .find(|(_, event)| matches!(event, Event::StepStarted { step, .. } if step.0 != "plan"));
    assert_eq!(begun.unwrap().0, OPENS);
    assert_eq!(world.last.unwrap().deferral(), None);
}

#[test]
fn what_waits_at_its_gates_for_too_long_ends() {
    let gated = |step: &Step| match &step.kind {
        StepKind::Plan => planned(step, gates(vec![GateCondition::Signal]), false),
        _ => well(step),
    };
    let mut world = World::new(&gated);
    let expires = Some(Timestamp(2_000_000));
    let schedule = Schedule { expires, ..Schedule::default() };
    world.ask_for("one", Request { schedule, ..request("one", Mode::Manual) }).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
    let record = world.last.as_ref().unwrap();
    assert_eq!((record.ended, record.fault.clone().unwrap().code), (expires, "expired".into()));
}

#[test]
fn nobody_overtakes_one_that_could_begin() {
    let mut world = World::new(&well);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    let started = Event::DeploymentStarted { deployment: DeploymentId("two".into()) };
    let refused = world.append(started).unwrap_err();
    assert!(refused.to_string().contains("it is the turn of one"), "{refused}");
}
