//! Calendars against clocks that are read minute by minute.
//!
//! The model walks through every minute and knows neither rules nor spans: it asks of
//! each minute what the clocks show, whether a window begins there, and whether one
//! that has begun is over.

use std::slice::from_ref;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::clock::zone;
use super::super::spans::union;
use super::*;

/// Clocks that are changed by an hour, in spring and in autumn, on both sides of the
/// equator; by half an hour; and never.
const ZONES: [&str; 4] =
    ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];

const MINUTE_MS: u64 = 60_000;

/// A window, in the words of somebody who looks at the clock.
#[derive(Debug, Clone)]
struct Looked {
    days: Vec<Weekday>,
    /// Only in the first seven days of a month.
    first_week: bool,
    hour: u16,
    minute: u16,
    /// It ends so many days later at the same time, and then so many minutes later.
    lasts_days: i64,
    lasts_minutes: u64,
}

impl Looked {
    fn window(&self, effect: WindowEffect) -> CalendarWindow {
        let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let nth = if self.first_week { "1" } else { "" };
        let day = |day: &Weekday| format!("{nth}{}", names[day.to_monday_zero_offset() as usize]);
        let days: Vec<String> = self.days.iter().map(day).collect();
        let frequency = if self.first_week { "MONTHLY" } else { "WEEKLY" };
        let rule = format!("FREQ={frequency};BYDAY={}", days.join(","));
        let start = format!("2019-12-01T{:02}:{:02}", self.hour, self.minute);
        let (hours, minutes) = (self.lasts_minutes / 60, self.lasts_minutes % 60);
        let unit = |number: u64, unit: &str| match number {
            0 => String::new(),
            number => format!("{number}{unit}"),
        };
        let duration = unit(self.lasts_days as u64, "d") + &unit(hours, "h") + &unit(minutes, "m");
        window(effect, &start, &rule, &duration)
    }

    fn begins_on(&self, day: i64) -> bool {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
        self.days.contains(&date.weekday()) && (!self.first_week || date.day() <= 7)
    }
}

/// What the clocks of a zone show, minute by minute.
struct Clock {
    /// Seconds by which they are ahead of UTC, from a minute on.
    changes: Vec<(u64, i64)>,
}

impl Clock {
    fn new(zone: &TimeZone, from: u64, to: u64) -> Self {
        let at = |minute: u64| jiff::Timestamp::from_second(minute as i64 * 60).unwrap();
        let offset = |minute| i64::from(zone.to_offset(at(minute)).seconds());
        let mut changes = vec![(from, offset(from))];
        for minute in from..to {
            // Clocks are changed at full quarters of an hour.
            if minute % 15 == 0 && offset(minute) != changes.last().unwrap().1 {
                changes.push((minute, offset(minute)));
            }
        }
        Self { changes }
    }
}

/// Minutes of a day that the clocks show.
const DAY: i64 = 24 * 60;

/// A window that has begun, or will in a moment.
struct Begun {
    from: u64,
    /// The local day with which its days are over.
    days_until: Option<i64>,
    /// When it is over, once its days are.
    until: Option<u64>,
}

/// Every minute in which a window is: read from the clock, one minute after another.
fn walk(clock: &Clock, looked: &Looked, from: u64, to: u64) -> Vec<bool> {
    let mut inside = Vec::with_capacity((to - from) as usize);
    let mut running: Vec<Begun> = Vec::new();
    let mut change = 0;
    let mut shown_before = from as i64 + clock.changes[0].1 / 60 - 1;
    let time = i64::from(looked.hour) * 60 + i64::from(looked.minute);
    for minute in from..to {
        while clock.changes.get(change + 1).is_some_and(|(at, _)| *at <= minute) {
            change += 1;
        }
        let local = minute as i64 + clock.changes[change].1 / 60;
        // What the clocks show for the first time: one minute mostly, none when they
        // were set back, and many when they have skipped some. What was skipped comes
        // as much later as it would have been shown later.
        for (late, shown) in (shown_before + 1..=local).enumerate() {
            let comes = if shown == local { minute } else { minute + late as u64 };
            if shown.rem_euclid(DAY) != time {
                continue;
            }
            let day = shown.div_euclid(DAY);
            for begun in running.iter_mut().filter(|begun| begun.days_until == Some(day)) {
                begun.until = Some(comes + looked.lasts_minutes);
            }
            if looked.begins_on(day) {
                let days_until = (looked.lasts_days > 0).then(|| day + looked.lasts_days);
                let until = days_until.is_none().then(|| comes + looked.lasts_minutes);
                running.push(Begun { from: comes, days_until, until });
            }
        }
        shown_before = shown_before.max(local);
        running.retain(|begun| begun.until.is_none_or(|until| minute < until));
        inside.push(running.iter().any(|begun| begun.from <= minute));
    }
    inside
}

/// Spans of minutes of which something is so.
fn spans(minutes: &[bool], from: u64) -> Vec<Span> {
    let span = |at: usize| {
        let at = (from + at as u64) * MINUTE_MS;
        Span { from: Timestamp(at), to: Timestamp(at + MINUTE_MS) }
    };
    union(minutes.iter().enumerate().filter(|(_, is)| **is).map(|(at, _)| span(at)).collect())
}

/// Compares some windows with what is read from the clock, from one year to another.
fn compare(zone_name: &str, allow: &[Looked], deny: &[Looked], years: std::ops::Range<i16>) {
    let minute = |year: i16| at(zone_name, &format!("{year}-01-01T00:00")).0 / MINUTE_MS;
    let (from, to) = (minute(years.start), minute(years.end));
    // Windows that have begun before are over by then.
    let early = from - 40 * DAY as u64;
    let clock = Clock::new(&zone(zone_name).unwrap(), early, to);
    let mut closed = vec![false; (to - early) as usize];
    if !allow.is_empty() {
        let all: Vec<Vec<bool>> =
            allow.iter().map(|looked| walk(&clock, looked, early, to)).collect();
        for (at, closed) in closed.iter_mut().enumerate() {
            *closed = !all.iter().any(|open| open[at]);
        }
    }
    for looked in deny {
        for (closed, denied) in closed.iter_mut().zip(walk(&clock, looked, early, to)) {
            *closed |= denied;
        }
    }
    let expected = spans(&closed[(from - early) as usize..], from);
    let mut windows: Vec<CalendarWindow> =
        allow.iter().map(|looked| looked.window(WindowEffect::Allow)).collect();
    windows.extend(deny.iter().map(|looked| looked.window(WindowEffect::Deny)));
    for (number, window) in windows.iter_mut().enumerate() {
        window.name = name(&format!("w{number}"));
    }
    let spec = CalendarSpec { windows, ..spec(serde_json::json!({"timeZone": zone_name})) };
    let calendars = calendars(&[("c", &spec)]);
    let (id, kind) = (shop(), name("production"));
    let place = Place { environment: &id, environment_type: &kind, slots: &[] };
    let whole = Span { from: Timestamp(from * MINUTE_MS), to: Timestamp(to * MINUTE_MS) };
    let found = calendars.closed(&place, Errand::Deployment, whole);
    let within = |closure: Closure| Span {
        from: closure.span.from.max(whole.from),
        to: closure.span.to.min(whole.to),
    };
    let found = union(found.into_iter().map(within).collect());
    let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    assert_eq!(differs, None, "found, expected in {zone_name}: {spec:?}");
    assert_eq!(found.len(), expected.len(), "{zone_name}: {spec:?}");
    // And what is decided at each edge, and a minute before and after.
    for edge in found.iter().flat_map(|span| [span.from, span.to]).take(200) {
        for at in [Timestamp(edge.0 - MINUTE_MS), edge, edge.plus_ms(MINUTE_MS)] {
            if !whole.contains(at) {
                continue;
            }
            let minute = (at.0 / MINUTE_MS - early) as usize;
            let decision = calendars.decide(&place, Errand::Deployment, at);
            assert_eq!(decision.is_open(), !closed[minute], "{zone_name} at {at}: {spec:?}");
            let until = decision.until().filter(|until| *until < whole.to);
            let until = until.map(|until| (until.0 / MINUTE_MS - early) as usize);
            if let Some(until) = until {
                let change = (minute..closed.len()).find(|at| closed[*at] != closed[minute]);
                assert_eq!(Some(until), change, "{zone_name} at {at}: {spec:?}");
            }
        }
    }
}

fn every_day(hour: u16, minute: u16, lasts_days: i64, lasts_minutes: u64) -> Looked {
    let days = Weekday::Monday.cycle_forward().take(7).collect();
    Looked { days, first_week: false, hour, minute, lasts_days, lasts_minutes }
}

/// All minutes of ten years in four zones: office hours, no Fridays, and a nightly
/// window in the hour in which clocks are changed.
#[test]
fn ten_years_minute_by_minute() {
    let mut office = every_day(9, 0, 0, 8 * 60);
    office.days.truncate(5);
    let mut friday = every_day(16, 30, 2, 15 * 60 + 30);
    friday.days = vec![Weekday::Friday];
    let night = every_day(2, 15, 0, 50);
    for zone in ZONES {
        compare(zone, from_ref(&office), from_ref(&friday), 2021..2031);
        compare(zone, &[], from_ref(&night), 2021..2031);
    }
}

fn looked() -> impl Strategy<Value = Looked> {
    let days = proptest::sample::subsequence(
        Weekday::Monday.cycle_forward().take(7).collect::<Vec<_>>(),
        1..=7,
    );
    // More often in the hours in which clocks are changed.
    let hour = prop_oneof![1..4_u16, 0..24_u16];
    let length = prop_oneof![
        (Just(0_i64), 1..6_000_u64),
        (1..9_i64, Just(0_u64)),
        (1..9_i64, 1..3_000_u64),
        (Just(0_i64), 1..180_u64),
    ];
    (days, any::<bool>(), hour, 0..60_u16, length).prop_map(
        |(days, first_week, hour, minute, (lasts_days, lasts_minutes))| {
            let lasts_minutes = lasts_minutes.min(99 * 60);
            Looked { days, first_week, hour, minute, lasts_days, lasts_minutes }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Some year of the ten, in some of the zones, for any windows: every minute of it.
    #[test]
    fn any_windows_minute_by_minute(
        zone in select(ZONES.to_vec()),
        year in 2021..2031_i16,
        allow in proptest::collection::vec(looked(), 0..3),
        deny in proptest::collection::vec(looked(), 0..3),
    ) {
        compare(zone, &allow, &deny, year..year + 1);
    }
}
