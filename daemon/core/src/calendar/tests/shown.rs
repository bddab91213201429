//! Months and feeds.

use serde_json::json;

use super::*;
use crate::views::CalendarView;

#[test]
fn a_month_has_the_days_of_its_zone() {
    let new_year = at("Europe/Berlin", "2027-01-01T00:30");
    let month = Month::of("America/New_York", new_year).unwrap();
    assert_eq!(month, Month::parse("2026-12").unwrap());
    assert_eq!(month.title(), "December 2026");
    let march = Month::parse("2026-03").unwrap().days("Europe/Berlin").unwrap();
    assert_eq!((march.len(), march[0].weekday), (31, 6));
    let hours = |day: &Day| day.span.to.ms_since(day.span.from) / 3_600_000;
    assert_eq!((hours(&march[27]), hours(&march[28])), (24, 23));
    for bad in ["2026-13", "2026", "26-12", "2026-1", "1926-12", "", "2026-12-01"] {
        assert_eq!(Month::parse(bad), None, "{bad}");
    }
    assert_eq!(local_text("Asia/Kolkata", new_year), "2027-01-01 05:00");
}

#[test]
fn a_feed_has_an_event_for_whatever_is_closed_asked_for_planned_and_done() {
    let slot = |state: &str| {
        json!({"id": state, "environment": "shop/production", "from": "2026-12-05T10:00:00Z",
            "to": "2026-12-05T12:00:00Z", "reason": format!("{state} prices"), "by": "ana",
            "at": "2026-12-01T10:00:00Z", "state": state})
    };
    let long = "ä, weil; ".repeat(20);
    let view: CalendarView = serde_json::from_value(json!({
        "from": "2026-12-01T00:00:00Z", "to": "2027-01-01T00:00:00Z", "timeZone": "Europe/Berlin",
        "closures": [{
            "from": "2026-12-19T00:00:00Z", "to": "2027-01-07T08:00:00Z",
            "reason": {"kind": "freeze", "calendar": "holidays", "freeze": "christmas", "because": long},
        }],
        "slots": [slot("requested"), slot("granted")],
        "planned": [
            {"deployment": "one", "environment": "shop/production", "number": 2,
                "schedule": {"notBefore": "2026-12-04T18:00:00Z"}},
            {"deployment": "two", "environment": "shop/production", "number": 3,
                "deferred": {"reasons": []}},
        ],
        "done": [{"deployment": "zero", "environment": "shop/production", "number": 1,
            "from": "2026-12-01T10:00:00Z", "to": "2026-12-01T10:02:00Z", "outcome": "rolled-back"}],
    }))
    .unwrap();
    let text = feed(&view, Timestamp(1_795_230_000_007));
    assert!(text.lines().all(|line| line.len() <= 75), "{text}");
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
    let unfolded = text.replace("\r\n ", "");
    let lines: Vec<&str> = unfolded.split("\r\n").collect();
    assert_eq!(lines.iter().filter(|line| **line == "BEGIN:VEVENT").count(), 5);
    for wanted in [
        "BEGIN:VCALENDAR",
        "DTSTAMP:20261121T030000Z",
        "DTSTART:20261219T000000Z",
        "DTEND:20270107T080000Z",
        "SUMMARY:Slot of shop/production for ana: requested prices",
        "SUMMARY:Slot of shop/production for ana: granted prices",
        "SUMMARY:Planned: shop/production #2",
        "DTSTART:20261204T180000Z",
        "SUMMARY:shop/production #1: rolled-back",
        "END:VCALENDAR",
    ] {
        assert!(lines.contains(&wanted), "{wanted}: {unfolded}");
    }
    assert!(unfolded.contains("christmas of calendar holidays: ä\\, weil\\; ä"), "{unfolded}");
    let status = |summary: &str| {
        let (_, after) = unfolded.split_once(summary).unwrap();
        after.split_once("STATUS:").unwrap().1.split("\r\n").next().unwrap().to_owned()
    };
    assert_eq!(
        (status("requested prices"), status("granted prices")),
        ("TENTATIVE".into(), "CONFIRMED".into())
    );
    // The next time, an event is the same one.
    let later = feed(&view, Timestamp(1_795_230_060_007));
    let names = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("UID:")).map(str::to_owned).collect()
    };
    assert_eq!(names(&later), names(&text));
}
