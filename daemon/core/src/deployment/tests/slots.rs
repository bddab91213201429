//! What begins in slots, what these keep, and what waits for one in vain.

use super::turns::rollback;
use super::*;
use crate::calendar::{Calendars, Place, Slot, SlotAnswer, SlotState, Span};
use crate::{EnvironmentId, SlotId};

const FROM: Timestamp = Timestamp(3_000_000);
const TO: Timestamp = Timestamp(4_000_000);

fn slot(state: SlotState) -> Slot {
    let answer = |by: &str| SlotAnswer {
        by: Actor(by.into()),
        at: Timestamp(0),
        reason: Some("not this week".into()),
    };
    Slot {
        id: SlotId("s".into()),
        environment: "shop/production".parse().unwrap(),
        span: Span { from: FROM, to: TO },
        reason: "the database moves".into(),
        by: Actor("ana".into()),
        at: Timestamp(0),
        state,
        answer: (state != SlotState::Requested).then(|| answer("bob")),
    }
}

fn outlook(state: SlotState, now: Timestamp) -> Outlook {
    let id: EnvironmentId = "shop/production".parse().unwrap();
    let (kind, slots) = ("production".parse().unwrap(), [slot(state)]);
    let place = Place { environment: &id, environment_type: &kind, slots: &slots };
    Calendars::default().outlook(&place, now)
}

fn granted(now: Timestamp) -> Outlook {
    outlook(SlotState::Granted, now)
}

fn in_slot(id: &str) -> Request {
    let schedule = Schedule {
        expires: Some(TO),
        slot: Some(slot(SlotState::Granted).id),
        ..Schedule::default()
    };
    Request { schedule, ..request(id, Mode::Manual) }
}

/// Plans of these wait for one person.
fn one_person<'a>(ids: &'a [&str]) -> impl Fn(&Step) -> Event + 'a {
    |step| match &step.kind {
        StepKind::Plan if ids.contains(&active(step).0.as_str()) => {
            // Of no calendar: there is none.
            planned(step, vec![crate::approval::gate(&super::approvals::rule("release", 1))], false)
        }
        _ => well(step),
    }
}

fn agrees(id: &str) -> Event {
    Event::ApprovalGiven {
        deployment: DeploymentId(id.into()),
        plan: Digest::of(b"plan"),
        rules: ["release".parse().unwrap()].into(),
        on_behalf_of: None,
        reason: None,
        by_link: false,
    }
}

impl World<'_> {
    fn record(&self, id: &str) -> DeploymentRecord {
        self.kept_record(&DeploymentId(id.into()))
    }

    fn until(&mut self, id: &str, kind: &str) -> Timestamp {
        while self.when(id, kind).is_none() {
            assert!(self.step(), "{id} never has {kind}: {:?}", self.kinds());
        }
        self.when(id, kind).unwrap()
    }

    /// As time passes with nothing going on.
    fn at(&mut self, now: Timestamp) {
        self.settle();
        self.now = now;
        self.settle();
    }
}

#[test]
fn a_slot_is_kept_for_what_is_to_begin_in_it_and_who_goes_back_goes_first() {
    let mut world = World::new(&well);
    world.calendar = &granted;
    world.ask_for("two", in_slot("two")).unwrap();
    world.settle();
    let waits = world.record("two").deferred.unwrap();
    assert_eq!(waits.until, Some(FROM));
    assert!(waits.to_string().contains("slot s, which begins at"), "{waits}");
    world.at(FROM);
    assert_eq!(world.when("two", "deployment-started"), Some(FROM));
    assert_eq!(world.record("two").outcome, Some(Outcome::Succeeded));
    world.request("one", Mode::Manual);
    world.ask_for("three", rollback("three", Mode::Manual)).unwrap();
    world.settle();
    let waits = world.record("one").deferred.unwrap();
    assert_eq!(waits.until, Some(TO));
    assert!(waits.to_string().contains("slot s is kept for ana: the database moves"), "{waits}");
    assert_eq!(world.record("three").outcome, Some(Outcome::Succeeded));
    assert_eq!(world.until("one", "deployment-started"), TO);
}

#[test]
fn what_waits_for_a_slot_that_nobody_grants_ends_with_it() {
    let requested = |now| outlook(SlotState::Requested, now);
    let mut world = World::new(&well);
    world.calendar = &requested;
    world.ask_for("one", in_slot("one")).unwrap();
    world.settle();
    let waits = world.record("one").deferred.unwrap();
    assert_eq!(waits.until, None);
    assert!(waits.to_string().contains("which was not granted yet"), "{waits}");
    assert_eq!(world.until("one", "deployment-ended"), TO);
    assert_eq!(world.record("one").fault.unwrap().code, "expired");
}

#[test]
fn a_slot_that_is_refused_ends_what_waits_for_it_and_says_who_and_why() {
    let refused = |now| match now < FROM {
        true => outlook(SlotState::Requested, now),
        false => outlook(SlotState::Refused, now),
    };
    let mut world = World::new(&well);
    world.calendar = &refused;
    world.ask_for("one", in_slot("one")).unwrap();
    world.at(FROM);
    let record = world.record("one");
    assert_eq!((record.outcome, record.ended), (Some(Outcome::Cancelled), Some(FROM)));
    let said = record.fault.unwrap().message;
    assert_eq!(said, "it was to begin in slot s, which was refused by bob: not this week");
}

#[test]
fn a_slot_that_is_taken_back_ends_what_has_not_passed_its_gates() {
    let taken = Timestamp(3_500_000);
    let withdrawn = |now| match now < taken {
        true => granted(now),
        false => outlook(SlotState::Withdrawn, now),
    };
    let asks = one_person(&["one"]);
    let mut world = World::new(&asks);
    world.calendar = &withdrawn;
    world.ask_for("one", in_slot("one")).unwrap();
    world.until("one", "approval-requested");
    world.at(taken);
    let record = world.last.clone().unwrap();
    assert_eq!((record.outcome, record.ended), (Some(Outcome::Cancelled), Some(taken)));
    assert!(record.fault.unwrap().message.contains("which was withdrawn by bob"));
}

#[test]
fn what_waits_for_people_makes_way_for_whose_slot_has_begun_and_waits_until_it_is_over() {
    let asks = one_person(&["one", "two"]);
    let mut world = World::new(&asks);
    world.calendar = &granted;
    world.request("one", Mode::Manual);
    world.ask_for("two", in_slot("two")).unwrap();
    world.settle();
    assert_eq!(world.state.active.as_ref().unwrap().id.0, "one");
    assert_eq!(world.until("one", "deployment-yielded"), FROM);
    world.settle();
    assert_eq!(world.state.active.as_ref().unwrap().id.0, "two");
    world.append_as("bob", agrees("two")).unwrap();
    world.settle();
    assert_eq!(world.record("two").outcome, Some(Outcome::Succeeded));
    assert_eq!(world.record("one").deferred.unwrap().until, Some(TO));
}

/// The plan was made before anybody had a slot, and knows of no calendar.
#[test]
fn what_people_agree_to_in_the_slot_of_another_begins_after_it() {
    let asks = one_person(&["one"]);
    let mut world = World::new(&asks);
    world.calendar = &granted;
    world.request("one", Mode::Manual);
    world.at(FROM);
    world.append_as("bob", agrees("one")).unwrap();
    world.settle();
    assert_eq!(world.record("one").deferral().unwrap().until, Some(TO));
    let begun = |(_, event): &&(Timestamp, Event)| matches!(event, Event::GatePassed { .. });
    assert!(!world.history.iter().any(|one| begun(&one)));
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.history.iter().find(begun).unwrap().0, TO);
}
