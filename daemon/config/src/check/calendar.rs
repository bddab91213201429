//! Calendars.

use deployd_core::calendar::Calendar;
use deployd_core::config::CalendarSpec;
use serde_json::Value;

use super::selector::selects;
use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let selector = Path::of(["spec", "selector"]);
    selects(&selector, entry.value.pointer("/spec/selector"), world, problems);
    for (place, freeze) in entry.items("/spec/freezes").enumerate() {
        let except = freeze.get("except").and_then(Value::as_array);
        for (number, selector) in except.into_iter().flatten().enumerate() {
            let path = Path::of(["spec", "freezes"]).then(place).then("except").then(number);
            selects(&path, Some(selector), world, problems);
        }
    }
    let spec = entry.value.get("spec").cloned().unwrap_or_default();
    // Of what has another error nothing can be said yet.
    let Ok(spec) = serde_json::from_value::<CalendarSpec>(spec) else { return };
    let Err(wrong) = Calendar::read(&spec) else { return };
    problems.extend(wrong.into_iter().map(|wrong| {
        let path = Path::from_pointer(&wrong.pointer);
        Problem::at_value(path, shown::shorten(&wrong.found), wrong.expected)
    }));
}
