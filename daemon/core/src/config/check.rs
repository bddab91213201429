//! Checks of an environment type: which plugin measures what, and how its
//! measurements become one verdict.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Name;

/// Checks of one environment type: more than anybody looks at, and few enough
/// to be measured at once.
pub(super) const CHECKS_MAX: usize = 16;

/// The longest wait before the first measurement: a day. What takes longer to
/// warm up is a strategy's sleep.
const INITIAL_DELAY_MS_MAX: u64 = 24 * 3_600_000;

/// Between two measurements: a minute when nobody says, as metrics are mostly
/// collected every 15 to 60 seconds.
const INTERVAL_MS_DEFAULT: u64 = 60_000;

/// The shortest time between two measurements of a check. Each is a call of a
/// plugin and a request to somebody's server.
const INTERVAL_MS_MIN: u64 = 100;

/// The longest: an hour. Who looks less often learns of it too late.
const INTERVAL_MS_MAX: u64 = 3_600_000;

/// The most that can be asked for of passes, and allowed of anything else: a
/// week of minutes is some ten thousand.
const COUNT_MAX: u32 = 10_000;

/// Errors in a row that are borne when nobody says how many: with the usual
/// interval the time that a restart of a metrics server takes.
const ERROR_LIMIT_DEFAULT: u32 = 4;

/// A check: a plugin, its configuration, and when its measurements are enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckChoice {
    /// The name of its `Plugin` document, of kind `check`.
    pub plugin: Name,
    /// Its configuration, as its schema has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
    /// How long after the check has begun it is measured first, in milliseconds.
    #[serde(default)]
    #[schemars(range(max = INITIAL_DELAY_MS_MAX))]
    pub initial_delay_ms: u64,
    /// From one measurement to the next, in milliseconds.
    #[serde(default = "interval_ms_default")]
    #[schemars(range(min = INTERVAL_MS_MIN, max = INTERVAL_MS_MAX))]
    pub interval_ms: u64,
    /// How many measurements have to pass, with no failed one in between.
    #[serde(default = "count_default")]
    #[schemars(range(min = 1, max = COUNT_MAX))]
    pub count: u32,
    /// How many measurements may fail. One more, and the check has failed.
    #[serde(default)]
    #[schemars(range(max = COUNT_MAX))]
    pub failure_limit: u32,
    /// How many measurements may be inconclusive. One more, and the check is.
    #[serde(default)]
    #[schemars(range(max = COUNT_MAX))]
    pub inconclusive_limit: u32,
    /// How many measurements in a row may not be possible, because a server is
    /// away for example. One more, and the check is inconclusive.
    #[serde(default = "error_limit_default")]
    #[schemars(range(max = COUNT_MAX))]
    pub error_limit: u32,
    /// It is measured until it has passed and then no more, however long the
    /// checks go on: for what starts something, such as a suite of tests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// When a check is measured, and when its measurements are enough. The fields
/// are those of [`CheckChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckTiming {
    /// Milliseconds before the first measurement.
    pub initial_delay_ms: u64,
    /// Milliseconds from one measurement to the next.
    pub interval_ms: u64,
    /// Passes that are needed, with no failure in between.
    pub count: u32,
    /// Failures that are borne.
    pub failure_limit: u32,
    /// Inconclusive measurements that are borne.
    pub inconclusive_limit: u32,
    /// Errors in a row that are borne.
    pub error_limit: u32,
    /// Whether it is left alone once it has passed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

impl CheckChoice {
    /// When it is measured, within the limits of the schema.
    pub fn timing(&self) -> CheckTiming {
        CheckTiming {
            initial_delay_ms: self.initial_delay_ms.min(INITIAL_DELAY_MS_MAX),
            interval_ms: self.interval_ms.clamp(INTERVAL_MS_MIN, INTERVAL_MS_MAX),
            count: self.count.clamp(1, COUNT_MAX),
            failure_limit: self.failure_limit.min(COUNT_MAX),
            inconclusive_limit: self.inconclusive_limit.min(COUNT_MAX),
            error_limit: self.error_limit.min(COUNT_MAX),
            once: self.once,
        }
    }
}

fn interval_ms_default() -> u64 {
    INTERVAL_MS_DEFAULT
}

fn count_default() -> u32 {
    1
}

fn error_limit_default() -> u32 {
    ERROR_LIMIT_DEFAULT
}
