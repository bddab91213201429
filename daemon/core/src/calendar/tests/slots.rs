//! Slots: who may say what to them, and what they open and close.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::RollbackRule;
use crate::{Actor, SlotId};

const MINUTE_MS: u64 = 60_000;

/// Minutes that are looked at: two days, and what is left of a third.
const MINUTES: u64 = 3 * 24 * 60;

fn minute(at: u64) -> Timestamp {
    Timestamp(super::at("UTC", "2026-11-20T00:00").0 + at * MINUTE_MS)
}

fn slot(id: &str, state: SlotState, from: u64, to: u64) -> Slot {
    Slot {
        id: SlotId(id.into()),
        environment: shop(),
        span: Span { from: minute(from), to: minute(to) },
        reason: "the database moves".into(),
        by: Actor("ana".into()),
        at: minute(0),
        state,
        answer: None,
    }
}

fn by(name: &str, at: u64) -> SlotAnswer {
    SlotAnswer { by: Actor(name.into()), at: minute(at), reason: Some("why".into()) }
}

#[test]
fn who_has_asked_answers_nothing_but_that_it_is_not_wanted() {
    use SlotAct::{Grant, Refuse, Withdraw};
    use SlotState::{Granted, Refused, Requested, Withdrawn};
    let ends = [Refused, Withdrawn];
    for (state, act, who, expected) in [
        (Requested, Grant, "bob", Some(Granted)),
        (Requested, Refuse, "bob", Some(Refused)),
        (Requested, Withdraw, "bob", Some(Withdrawn)),
        (Requested, Withdraw, "ana", Some(Withdrawn)),
        (Requested, Grant, "ana", None),
        (Requested, Refuse, "ana", None),
        (Granted, Withdraw, "ana", Some(Withdrawn)),
        (Granted, Withdraw, "bob", Some(Withdrawn)),
        (Granted, Grant, "bob", None),
        (Granted, Refuse, "bob", None),
    ] {
        let said = slot("s", state, 10, 20).answered(act, by(who, 15), &[]);
        assert_eq!(said.ok().map(|slot| slot.state), expected, "{state:?} {act:?} {who}");
        let late = slot("s", state, 10, 20).answered(act, by(who, 20), &[]);
        assert!(late.is_err(), "{state:?} {act:?} {who}");
    }
    for (state, act) in
        ends.into_iter().flat_map(|state| [Grant, Refuse, Withdraw].map(|act| (state, act)))
    {
        let said = slot("s", state, 10, 20).answered(act, by("bob", 15), &[]);
        assert!(matches!(said, Err(SlotRefusal::Stands { .. })), "{state:?} {act:?}: {said:?}");
    }
}

#[test]
fn why_not_names_the_other_or_who_has_said_what() {
    let other = slot("other", SlotState::Granted, 15, 25);
    let wanted = slot("s", SlotState::Requested, 10, 20);
    let refused =
        wanted.answered(SlotAct::Grant, by("bob", 1), std::slice::from_ref(&other)).unwrap_err();
    assert!(refused.to_string().starts_with("slot other of ana was granted already"), "{refused}");
    // What follows upon it at once is no overlap.
    let after = slot("s", SlotState::Requested, 25, 30);
    assert!(after.answered(SlotAct::Grant, by("bob", 1), &[other]).is_ok());
    let gone = wanted.answered(SlotAct::Refuse, by("bob", 1), &[]).unwrap();
    let again = gone.answered(SlotAct::Withdraw, by("ana", 2), &[]).unwrap_err();
    assert_eq!(again.to_string(), "slot s was refused by bob: why");
}

#[test]
fn what_is_asked_for_lies_ahead_is_short_and_has_a_reason() {
    let ask = |from, to, reason: &str| {
        let span = Span { from: minute(from), to: minute(to) };
        slot_can_be(span, reason, minute(100)).map_err(|wrong| wrong.field)
    };
    let (day, long) = (24 * 60, "x".repeat(301));
    for (from, to, reason, expected) in [
        (101, 160, "why", Ok(())),
        (101, 101 + 3 * day, "why", Ok(())),
        (100, 160, "why", Err("from")),
        (101 + 367 * day, 102 + 367 * day, "why", Err("from")),
        (101, 101, "why", Err("to")),
        (101, 102 + 3 * day, "why", Err("to")),
        (101, 160, "", Err("reason")),
        (101, 160, long.as_str(), Err("reason")),
    ] {
        assert_eq!(ask(from, to, reason), expected, "{from} {to}");
    }
}

#[test]
fn what_is_kept_is_told_to_others_and_to_whom_it_is_for() {
    let slots = [slot("s", SlotState::Granted, 10, 20), slot("t", SlotState::Requested, 12, 30)];
    let (id, kind) = (shop(), name("production"));
    let place = Place { environment: &id, environment_type: &kind, slots: &slots };
    let outlook = |at| Calendars::default().outlook(&place, minute(at));
    assert_eq!(outlook(5).deployments, Decision::Open { until: Some(minute(10)) });
    let during = outlook(10);
    let Decision::Closed { until, reasons } = &during.deployments else { panic!("{during:?}") };
    assert_eq!((*until, reasons.len()), (Some(minute(20)), 1));
    assert_eq!(reasons[0].to_string(), "slot s is kept for ana: the database moves");
    assert!(during.rollbacks.is_open());
    let told = |at, id: &str| match &outlook(at).of_slot(&SlotId(id.into())).unwrap().decision {
        Decision::Open { until } => format!("open until {}", until.unwrap()),
        Decision::Closed { reasons, .. } => reasons[0].to_string(),
    };
    let (ten, twenty) = (minute(10), minute(20));
    assert_eq!(told(5, "s"), format!("it is to begin in slot s, which begins at {ten}"));
    assert_eq!(told(10, "s"), format!("open until {twenty}"));
    assert_eq!(told(20, "s"), format!("it is to begin in slot s, which was over at {twenty}"));
    assert_eq!(told(15, "t"), "it is to begin in slot t, which was not granted yet");
    assert_eq!(during.of_slot(&SlotId("u".into())), None);
}

fn state() -> impl Strategy<Value = SlotState> {
    use SlotState::{Granted, Refused, Requested, Withdrawn};
    prop_oneof![3 => Just(Granted), 1 => Just(Requested), 1 => Just(Refused), 1 => Just(Withdrawn)]
}

/// From a minute, and how long.
fn times() -> impl Strategy<Value = (u64, u64)> {
    (0..MINUTES, 1..1_500_u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Each minute of some days, with freezes, slots and a line that may be stopped.
    #[test]
    fn any_slots_minute_by_minute(
        freezes in proptest::collection::vec(times(), 0..4),
        asked in proptest::collection::vec((times(), state()), 1..5),
        stopped in proptest::option::of(0..MINUTES),
    ) {
        let text = |at| minute(at).to_string()[..16].to_owned();
        let frozen: Vec<serde_json::Value> = freezes.iter().enumerate().map(|(number, (from, lasts))| {
            json!({"name": format!("f{number}"), "from": text(*from), "to": text(from + lasts)})
        }).collect();
        let spec = spec(json!({"timeZone": "UTC", "freezes": frozen}));
        let mut calendars = calendars(&[("c", &spec)]);
        let slots: Vec<Slot> = asked.iter().enumerate().map(|(number, ((from, lasts), state))| {
            slot(&format!("s{number}"), *state, *from, from + lasts)
        }).collect();
        let (id, kind) = (shop(), name("production"));
        let place = Place { environment: &id, environment_type: &kind, slots: &slots };
        let is_in = |at: u64, (from, lasts): (u64, u64)| from <= at && at < from + lasts;
        // What is read from the clock, one minute after the other.
        let granted = |((times, state), at): (&((u64, u64), SlotState), u64)| {
            *state == SlotState::Granted && is_in(at, *times)
        };
        let closed = |at: u64| {
            freezes.iter().any(|times| is_in(at, *times))
                || asked.iter().any(|one| granted((one, at)))
        };
        let end = MINUTES + 1_600;
        let by_minute: Vec<bool> = (0..end).map(closed).collect();
        for at in (0..MINUTES).step_by(7).chain(asked.iter().map(|((from, _), _)| *from)) {
            let is_stopped = stopped.is_some_and(|since| since <= at);
            calendars.stop = is_stopped.then(|| Stop {
                reason: "payments are down".into(),
                by: Actor("eve".into()),
                at: minute(stopped.unwrap()),
                rollbacks: RollbackRule::Exempt,
            });
            let outlook = calendars.outlook(&place, minute(at));
            prop_assert!(outlook.rollbacks.is_open());
            let now = by_minute[at as usize];
            prop_assert_eq!(outlook.deployments.is_open(), !now && !is_stopped, "at {}", at);
            if !is_stopped {
                let change = (at..end).find(|later| by_minute[*later as usize] != now);
                prop_assert_eq!(outlook.deployments.until(), change.map(minute), "at {}", at);
            }
            for (one, slot) in asked.iter().zip(&slots) {
                let found = outlook.of_slot(&slot.id).unwrap();
                let open = granted((one, at)) && !is_stopped;
                prop_assert_eq!(found.decision.is_open(), open, "{} at {}", slot.id, at);
            }
        }
    }

    /// Of any that are asked for, no two are granted at the same time, and none is refused
    /// that meets no other.
    #[test]
    fn what_is_granted_never_overlaps(
        asked in proptest::collection::vec(times(), 1..12),
    ) {
        let mut slots: Vec<Slot> = asked.iter().enumerate().map(|(number, (from, lasts))| {
            slot(&format!("s{number}"), SlotState::Requested, from + 1, from + 1 + lasts)
        }).collect();
        for number in 0..slots.len() {
            let meets = slots.iter().any(|other| {
                other.state == SlotState::Granted && other.span.meets(slots[number].span)
            });
            let said = slots[number].answered(SlotAct::Grant, by("bob", 0), &slots);
            prop_assert_eq!(said.is_err(), meets);
            if let Ok(granted) = said {
                slots[number] = granted;
            }
        }
    }
}
