//! What is wrong with documents, field by field.

use serde_json::json;

use super::*;

#[test]
fn every_field_that_is_wrong_is_named() {
    let spec = spec(json!({
        "timeZone": "Europe/Bärlin",
        "windows": [
            {"name": "a", "effect": "deny", "start": "2026-13-01T00:00", "rule": "FREQ=DAILY", "duration": "8h"},
            {"name": "a", "effect": "deny", "start": "2026-01-01T00:00", "rule": "FREQ=HOURLY", "duration": "32d"},
            {"name": "b", "effect": "allow", "start": "2026-01-01T00:00", "rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "duration": "1d"},
        ],
        "freezes": [
            {"name": "c", "from": "2026-12-19T00:00", "to": "2026-12-18T23:59", "except": [{}]},
            {"name": "d", "from": "1026-12-19T00:00", "to": "2026-02-29T23:59"},
        ],
    }));
    let wrong = Calendar::read(&spec).unwrap_err();
    let pointers: Vec<&str> = wrong.iter().map(|wrong| wrong.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/spec/timeZone",
            "/spec/windows/0/start",
            "/spec/windows/1/duration",
            "/spec/windows/1/rule",
            "/spec/windows/2/rule",
            "/spec/freezes/0/except/0",
            "/spec/freezes/0/to",
            "/spec/freezes/1/from",
            "/spec/freezes/1/to",
            "/spec/windows/1/name",
        ]
    );
}

#[test]
fn lengths_are_days_hours_and_minutes_in_this_order() {
    let fits = |duration: &str| {
        let window = window(WindowEffect::Deny, "2026-01-01T00:00", "FREQ=DAILY", duration);
        let spec = CalendarSpec { windows: vec![window], ..spec(json!({"timeZone": "UTC"})) };
        Calendar::read(&spec).is_ok()
    };
    for good in ["8h", "90m", "2d15h", "31d", "30d23h59m", "999m"] {
        assert!(fits(good), "{good}");
    }
    for bad in ["", "8", "h", "0h", "8h2d", "-8h", "+8h", "31d1m", "99d", "8h 30m", "1.5h", "8s"] {
        assert!(!fits(bad), "{bad}");
    }
}

#[test]
fn a_document_that_can_no_longer_be_read_closes_where_it_is_for() {
    let spec =
        spec(json!({"timeZone": "Europe/Bielefeld", "selector": {"applications": ["shop"]}}));
    let wrong = Calendar::read(&spec).unwrap_err();
    let calendar = Calendar::unreadable(&spec, &wrong);
    let calendars = Calendars { calendars: [(name("lost"), calendar)].into(), stop: None };
    let (kind, id) = (name("production"), shop());
    let place = Place { environment: &id, environment_type: &kind, slots: &[] };
    let decision = calendars.decide(&place, Errand::Deployment, Timestamp(0));
    let Decision::Closed { until: None, reasons } = decision else { panic!("{decision:?}") };
    assert!(reasons[0].to_string().contains("Europe/Bielefeld"), "{}", reasons[0]);
    // Who has to go back can.
    assert!(calendars.decide(&place, Errand::Rollback, Timestamp(0)).is_open());
}
