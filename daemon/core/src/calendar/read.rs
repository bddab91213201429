//! From documents to what can be evaluated.

use jiff::tz::TimeZone;

use super::clock::{Length, instant, local, local_time, plus_days, zone};
use super::decide::Place;
use super::occurrences::Series;
use super::rule::Rule;
use super::spans::Span;
use crate::Name;
use crate::config::{
    CalendarFreeze, CalendarSpec, CalendarWindow, EnvironmentSelector, RollbackRule, WindowEffect,
};

/// What is wrong with a field of a calendar, as no schema can say it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: found {found}, expected {expected}")]
pub struct Wrong {
    /// Where, as a JSON Pointer from the document on: `/spec/windows/0/rule`.
    pub pointer: String,
    /// What is there.
    pub found: String,
    /// What should be.
    pub expected: String,
}

impl Wrong {
    fn new(pointer: String, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { pointer, found: found.into(), expected: expected.into() }
    }
}

/// A calendar that can be evaluated.
#[derive(Debug, Clone)]
pub struct Calendar {
    pub(super) selector: EnvironmentSelector,
    pub(super) rollbacks: RollbackRule,
    pub(super) zone_name: String,
    pub(super) windows: Vec<Window>,
    pub(super) freezes: Vec<Freeze>,
    /// Why nothing is known of it, if nothing is: then it is closed.
    pub(super) unreadable: Option<String>,
}

/// A window that comes again.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) name: Name,
    pub(super) effect: WindowEffect,
    pub(super) reason: Option<String>,
    zone: TimeZone,
    series: Series,
    length: Length,
}

/// A time that comes once.
#[derive(Debug, Clone)]
pub(super) struct Freeze {
    pub(super) name: Name,
    pub(super) reason: Option<String>,
    pub(super) span: Span,
    pub(super) except: Vec<EnvironmentSelector>,
}

impl Calendar {
    /// What a document says; or all that is wrong with it.
    pub fn read(spec: &CalendarSpec) -> Result<Self, Vec<Wrong>> {
        let mut errors = Vec::new();
        let zone = zone(&spec.time_zone);
        if zone.is_none() {
            let found = format!("{:?}", spec.time_zone);
            let expected = "the IANA name of a time zone, like Europe/Berlin or UTC";
            errors.push(Wrong::new("/spec/timeZone".to_owned(), found, expected));
        }
        // What else is wrong is told all the same.
        let zone = zone.unwrap_or(TimeZone::UTC);
        let mut windows = Vec::with_capacity(spec.windows.len());
        for (place, window) in spec.windows.iter().enumerate() {
            windows.extend(self::window(&zone, window, place, &mut errors));
        }
        let mut freezes = Vec::with_capacity(spec.freezes.len());
        for (place, freeze) in spec.freezes.iter().enumerate() {
            freezes.extend(self::freeze(&zone, freeze, place, &mut errors));
        }
        twice("windows", spec.windows.iter().map(|window| &window.name), &mut errors);
        twice("freezes", spec.freezes.iter().map(|freeze| &freeze.name), &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            selector: spec.selector.clone(),
            rollbacks: spec.rollbacks,
            zone_name: spec.time_zone.clone(),
            windows,
            freezes,
            unreadable: None,
        })
    }

    /// What stands for a document that can't be read any more. It is closed, since
    /// nobody knows when it is open.
    pub fn unreadable(spec: &CalendarSpec, errors: &[Wrong]) -> Self {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self {
            selector: spec.selector.clone(),
            rollbacks: spec.rollbacks,
            zone_name: spec.time_zone.clone(),
            windows: Vec::new(),
            freezes: Vec::new(),
            unreadable: Some(errors.join("; ")),
        }
    }

    /// Its time zone's name.
    pub fn time_zone(&self) -> &str {
        &self.zone_name
    }

    /// Whether it is for an environment.
    pub fn selects(&self, place: &Place<'_>) -> bool {
        place.is_in(&self.selector)
    }
}

impl Window {
    /// When it is, as far as that has anything in common with a span.
    pub(super) fn spans(&self, of: Span) -> Vec<Span> {
        // A day more at both ends: that is more than clocks are ever changed by.
        let before = i64::try_from(self.length.days_at_most()).unwrap_or(i64::MAX) + 1;
        let (from, to) = (local(&self.zone, of.from), local(&self.zone, of.to));
        let from = plus_days(from.date(), -before).to_datetime(from.time());
        let to = plus_days(to.date(), 1).to_datetime(to.time());
        let last = self.series.until_utc().and_then(|at| u64::try_from(at.as_millisecond()).ok());
        let span = |begin| Span {
            from: instant(&self.zone, begin),
            to: self.length.end(&self.zone, begin),
        };
        let spans = self.series.between(from, to).into_iter().map(span);
        spans.filter(|span| last.is_none_or(|last| span.from.0 <= last) && span.meets(of)).collect()
    }
}

fn window(
    zone: &TimeZone,
    spec: &CalendarWindow,
    place: usize,
    errors: &mut Vec<Wrong>,
) -> Option<Window> {
    let at = |field: &str| format!("/spec/windows/{place}/{field}");
    let start = time(at("start"), &spec.start, errors);
    let length = Length::parse(&spec.duration);
    if length.is_none() {
        let expected = "days, hours and minutes, 31 days at most, like 8h, 90m or 2d15h";
        errors.push(Wrong::new(at("duration"), format!("{:?}", spec.duration), expected));
    }
    let rule = Rule::parse(&spec.rule);
    if let Err(wrong) = &rule {
        errors.push(Wrong::new(at("rule"), &*wrong.found, &*wrong.expected));
    }
    let window = Window {
        name: spec.name.clone(),
        effect: spec.effect,
        reason: spec.reason.clone(),
        zone: zone.clone(),
        series: Series::new(start?, rule.ok()?),
        length: length?,
    };
    if window.series.never() {
        let expected = "a rule that fires at least once in the four years after its start";
        errors.push(Wrong::new(at("rule"), format!("{:?}", spec.rule), expected));
    }
    Some(window)
}

fn freeze(
    zone: &TimeZone,
    spec: &CalendarFreeze,
    place: usize,
    errors: &mut Vec<Wrong>,
) -> Option<Freeze> {
    let at = |field: &str| format!("/spec/freezes/{place}/{field}");
    let from = time(at("from"), &spec.from, errors);
    let to = time(at("to"), &spec.to, errors);
    for (number, selector) in spec.except.iter().enumerate() {
        if selector.is_all() {
            let expected = "applications, environments or environmentTypes that are exempt";
            errors.push(Wrong::new(at(&format!("except/{number}")), "an empty map", expected));
        }
    }
    let (from, to) = (from?, to?);
    let span = Span { from: instant(zone, from), to: instant(zone, to) };
    if span.from >= span.to {
        let expected = format!("a time after `from`, {}", spec.from);
        errors.push(Wrong::new(at("to"), format!("{:?}", spec.to), expected));
    }
    let (name, reason) = (spec.name.clone(), spec.reason.clone());
    Some(Freeze { name, reason, span, except: spec.except.clone() })
}

fn time(pointer: String, text: &str, errors: &mut Vec<Wrong>) -> Option<jiff::civil::DateTime> {
    let time = local_time(text);
    if time.is_none() {
        let expected = "a local time of the years 1970 to 2200, like 2026-12-19T00:00";
        errors.push(Wrong::new(pointer, format!("{text:?}"), expected));
    }
    time
}

/// Names that come twice: who reads why something waits has to know which is meant.
fn twice<'a>(list: &str, names: impl Iterator<Item = &'a Name>, errors: &mut Vec<Wrong>) {
    let mut seen = std::collections::BTreeSet::new();
    for (place, name) in names.enumerate() {
        if !seen.insert(name) {
            let pointer = format!("/spec/{list}/{place}/name");
            errors.push(Wrong::new(pointer, format!("{:?}", name.as_str()), "every name once"));
        }
    }
}
