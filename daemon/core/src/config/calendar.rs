//! Calendars: when it may be deployed, and when not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EnvironmentSelector;
use crate::Name;

/// Windows of one calendar: more than anybody keeps in mind. Each is looked at when
/// a deployment waits.
const WINDOWS_MAX: usize = 50;

/// Freezes of one calendar: some years of holidays.
const FREEZES_MAX: usize = 100;

/// Exceptions of one freeze.
const EXCEPTIONS_MAX: usize = 50;

/// Characters of a rule: the longest that anybody needs names every part.
const RULE_CHARS_MAX: usize = 300;

/// Characters of a reason: a sentence or two.
const REASON_CHARS_MAX: usize = 300;

/// A local time to the minute.
const LOCAL_TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$";

/// A length of a window.
const LENGTH: &str = "^([1-9][0-9]?d)?([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$";

/// When it may be deployed to some environments, and when not.
///
/// Where several calendars are for an environment, it is open when all of them are.
/// What has begun goes on: a calendar keeps things from beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CalendarSpec {
    /// For which environments it is; all when not given.
    #[serde(default, skip_serializing_if = "EnvironmentSelector::is_all")]
    pub selector: EnvironmentSelector,
    /// The time zone of all times in it, by its IANA name: `Europe/Berlin`.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// Times that come again. With a window that allows, everything outside of such
    /// windows is closed; one that denies closes, whatever others allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = WINDOWS_MAX))]
    pub windows: Vec<CalendarWindow>,
    /// Times that come once, and in which it is closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = FREEZES_MAX))]
    pub freezes: Vec<CalendarFreeze>,
    /// Whether it holds for going back to what ran before, and for healing drift.
    #[serde(default, skip_serializing_if = "RollbackRule::is_exempt")]
    pub rollbacks: RollbackRule,
}

/// A time that comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CalendarWindow {
    /// Its name, for people: `no-fridays`.
    pub name: Name,
    /// Whether it opens or closes.
    pub effect: WindowEffect,
    /// When it is first looked for, and the time of day at which it begins where
    /// the rule has none: `2026-01-02T17:00`, as the clocks there show it.
    #[schemars(regex(pattern = LOCAL_TIME))]
    pub start: String,
    /// When it begins, as a recurrence rule of RFC 5545: `FREQ=WEEKLY;BYDAY=FR`.
    /// At most daily; more often by `BYHOUR`.
    #[schemars(length(min = 1, max = RULE_CHARS_MAX))]
    pub rule: String,
    /// How long it lasts: `8h`, `2d15h`, 31 days at most. Days are those of the
    /// calendar, also where clocks are changed in between; hours have 60 minutes.
    #[schemars(length(min = 2), regex(pattern = LENGTH))]
    pub duration: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = REASON_CHARS_MAX))]
    pub reason: Option<String>,
}

/// What a window does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WindowEffect {
    /// It opens: outside of all that do, it is closed.
    Allow,
    /// It closes.
    Deny,
}

/// A time that comes once, and in which it is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CalendarFreeze {
    /// Its name, for people: `christmas`.
    pub name: Name,
    /// From when: `2026-12-19T00:00`, as the clocks there show it.
    #[schemars(regex(pattern = LOCAL_TIME))]
    pub from: String,
    /// Until when, and no more then.
    #[schemars(regex(pattern = LOCAL_TIME))]
    pub to: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = REASON_CHARS_MAX))]
    pub reason: Option<String>,
    /// Environments for which it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = EXCEPTIONS_MAX))]
    pub except: Vec<EnvironmentSelector>,
}

/// Whether what goes back has to wait as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackRule {
    /// It does not: who has to go back can, at any time.
    #[default]
    Exempt,
    /// It does.
    Bound,
}

impl RollbackRule {
    /// Whether what goes back need not wait.
    pub fn is_exempt(&self) -> bool {
        *self == Self::Exempt
    }
}
