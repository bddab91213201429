//! What calendars say at a time.

use serde_json::json;

use super::*;
use crate::Actor;
use crate::config::RollbackRule;

fn ask(calendars: &Calendars, errand: Errand, now: Timestamp) -> Decision {
    let (id, kind) = (shop(), name("production"));
    calendars.decide(&Place { environment: &id, environment_type: &kind, slots: &[] }, errand, now)
}

fn closed_until(decision: &Decision) -> Option<Timestamp> {
    assert!(!decision.is_open(), "{decision:?}");
    decision.until()
}

const BERLIN: &str = "Europe/Berlin";

fn no_fridays() -> CalendarSpec {
    spec(json!({
        "timeZone": BERLIN,
        "windows": [{
            "name": "no-fridays", "effect": "deny", "start": "2026-01-02T12:00",
            "rule": "FREQ=WEEKLY;BYDAY=FR", "duration": "2d20h", "reason": "weekend",
        }],
    }))
}

#[test]
fn no_deployments_on_friday() {
    let calendars = calendars(&[("week", &no_fridays())]);
    let decide = |text| ask(&calendars, Errand::Deployment, at(BERLIN, text));
    let friday = at(BERLIN, "2026-11-27T12:00");
    assert_eq!(decide("2026-11-27T11:59"), Decision::Open { until: Some(friday) });
    let closed = decide("2026-11-27T12:00");
    assert_eq!(closed_until(&closed), Some(at(BERLIN, "2026-11-30T08:00")));
    let Decision::Closed { reasons, .. } = closed else { unreachable!() };
    assert_eq!(reasons[0].to_string(), "window no-fridays of calendar week: weekend");
    assert!(decide("2026-11-30T08:00").is_open());
    // Clocks are set back on Sunday: Monday still begins when the clocks show eight.
    assert_eq!(closed_until(&decide("2026-10-24T00:00")), Some(at(BERLIN, "2026-10-26T08:00")));
}

#[test]
fn outside_of_all_windows_that_allow_it_is_closed_and_deny_beats_allow() {
    let spec = spec(json!({
        "timeZone": BERLIN,
        "windows": [
            {"name": "mornings", "effect": "allow", "start": "2026-01-01T09:00", "rule": "FREQ=DAILY", "duration": "3h"},
            {"name": "afternoons", "effect": "allow", "start": "2026-01-01T12:00", "rule": "FREQ=DAILY", "duration": "4h"},
            {"name": "lunch", "effect": "deny", "start": "2026-01-01T12:30", "rule": "FREQ=DAILY", "duration": "30m"},
        ],
    }));
    let calendars = calendars(&[("hours", &spec)]);
    let decide = |text| ask(&calendars, Errand::Deployment, at(BERLIN, text));
    assert_eq!(closed_until(&decide("2026-11-27T08:00")), Some(at(BERLIN, "2026-11-27T09:00")));
    let lunch = at(BERLIN, "2026-11-27T12:30");
    assert_eq!(decide("2026-11-27T09:00"), Decision::Open { until: Some(lunch) });
    assert_eq!(closed_until(&decide("2026-11-27T12:45")), Some(at(BERLIN, "2026-11-27T13:00")));
    assert_eq!(closed_until(&decide("2026-11-27T16:00")), Some(at(BERLIN, "2026-11-28T09:00")));
}

#[test]
fn all_calendars_that_are_for_an_environment_have_to_be_open() {
    let only = |hour: &str| {
        spec(json!({"timeZone": BERLIN, "windows": [
            {"name": "only", "effect": "allow", "start": format!("2026-01-01T{hour}"), "rule": "FREQ=DAILY", "duration": "2h"},
        ]}))
    };
    let calendars = calendars(&[("one", &only("09:00")), ("two", &only("10:00"))]);
    let decide = |text| ask(&calendars, Errand::Deployment, at(BERLIN, text));
    assert_eq!(closed_until(&decide("2026-11-27T09:30")), Some(at(BERLIN, "2026-11-27T10:00")));
    assert!(decide("2026-11-27T10:30").is_open());
    assert!(!decide("2026-11-27T11:30").is_open());
}

#[test]
fn a_calendar_is_for_what_its_selector_names() {
    for (selector, selects) in [
        (json!({}), true),
        (json!({"applications": ["shop"]}), true),
        (json!({"applications": ["blog"]}), false),
        (json!({"environmentTypes": ["production"], "environments": ["production"]}), true),
        (json!({"environmentTypes": ["production"], "environments": ["staging"]}), false),
    ] {
        let freeze = |selector, except: serde_json::Value| {
            spec(json!({
                "timeZone": BERLIN, "selector": selector,
                "freezes": [{"name": "f", "from": "2026-12-19T00:00", "to": "2027-01-07T08:00", "except": except}],
            }))
        };
        let december = at(BERLIN, "2026-12-24T18:00");
        let of = |spec: &CalendarSpec| {
            let calendars = calendars(&[("c", spec)]);
            !ask(&calendars, Errand::Deployment, december).is_open()
        };
        assert_eq!(of(&freeze(selector.clone(), json!([]))), selects, "{selector}");
        // The same selector, as an exception.
        if selector != json!({}) {
            assert_eq!(of(&freeze(json!({}), json!([selector]))), !selects, "{selector}");
        }
    }
}

#[test]
fn who_goes_back_is_kept_only_where_the_calendar_says_so() {
    let bound = CalendarSpec { rollbacks: RollbackRule::Bound, ..no_fridays() };
    let saturday = at(BERLIN, "2026-11-28T12:00");
    for (spec, open) in [(no_fridays(), true), (bound, false)] {
        let calendars = calendars(&[("week", &spec)]);
        assert_eq!(ask(&calendars, Errand::Rollback, saturday).is_open(), open);
        assert!(!ask(&calendars, Errand::Deployment, saturday).is_open());
    }
}

#[test]
fn a_line_that_was_stopped_is_closed_until_somebody_says_otherwise() {
    let tuesday = at(BERLIN, "2026-11-24T12:00");
    let stop = |rollbacks| Stop {
        reason: "payments are down".into(),
        by: Actor::deployd(),
        at: tuesday,
        rollbacks,
    };
    for (rollbacks, open) in [(RollbackRule::Exempt, true), (RollbackRule::Bound, false)] {
        let calendars = Calendars { stop: Some(stop(rollbacks)), ..Calendars::default() };
        let decision = ask(&calendars, Errand::Deployment, tuesday);
        assert_eq!(closed_until(&decision), None);
        assert_eq!(ask(&calendars, Errand::Rollback, tuesday).is_open(), open);
    }
}

#[test]
fn what_is_closed_for_ever_is_said_to_be_without_end() {
    // The only window that allows is over.
    let spec = spec(json!({"timeZone": "UTC", "windows": [
        {"name": "once", "effect": "allow", "start": "2026-01-01T00:00", "rule": "FREQ=DAILY;COUNT=1", "duration": "1d"},
    ]}));
    let calendars = calendars(&[("c", &spec)]);
    assert_eq!(
        closed_until(&ask(&calendars, Errand::Deployment, at("UTC", "2026-02-01T00:00"))),
        None
    );
    assert_eq!(
        ask(&Calendars::default(), Errand::Deployment, Timestamp(u64::MAX)),
        Decision::Open { until: None }
    );
}
