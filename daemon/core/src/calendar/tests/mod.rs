mod brute_force;
mod deciding;
mod documents;
mod rules;
mod shown;
mod slots;

use std::collections::BTreeMap;

use super::clock::{instant, local_time, zone};
use super::*;
use crate::config::{CalendarSpec, CalendarWindow, WindowEffect};
use crate::{EnvironmentId, Name, Timestamp};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn shop() -> EnvironmentId {
    "shop/production".to_owned().try_into().unwrap()
}

fn spec(yaml: serde_json::Value) -> CalendarSpec {
    serde_json::from_value(yaml).unwrap()
}

fn calendars(specs: &[(&str, &CalendarSpec)]) -> Calendars {
    let read = |(named, spec): &(&str, &CalendarSpec)| (name(named), Calendar::read(spec).unwrap());
    Calendars { calendars: specs.iter().map(read).collect::<BTreeMap<_, _>>(), stop: None }
}

fn window(effect: WindowEffect, start: &str, rule: &str, duration: &str) -> CalendarWindow {
    CalendarWindow {
        name: name("window"),
        effect,
        start: start.into(),
        rule: rule.into(),
        duration: duration.into(),
        reason: None,
    }
}

/// When clocks in a zone show a time.
fn at(zone_name: &str, text: &str) -> Timestamp {
    instant(&zone(zone_name).unwrap(), local_time(text).unwrap())
}
