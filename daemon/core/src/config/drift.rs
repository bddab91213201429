//! How often environments of a type are compared with what was deployed, and
//! what is done about differences.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds of a minute: the smallest unit.
const MINUTE_MS: u64 = 60_000;

/// How many of a unit there may be: a week at most. Who looks less often than
/// that need not look.
const UNITS: [(char, u64, u64); 3] = [('m', 1, 9_999), ('h', 60, 99), ('d', 24 * 60, 7)];

/// Scheduled checks for drift. Without it there are none: how much reading a
/// cluster and the servers behind drivers can bear is for their owners to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriftSpec {
    /// How often each environment is checked: `10m`, `1h`, `1d`.
    pub every: Every,
    /// What is done about drift.
    #[serde(default)]
    pub heal: Heal,
}

/// What is done about drift that a scheduled check has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Heal {
    /// It is told, and nothing else.
    #[default]
    Never,
    /// What is recorded is deployed again, taking fields over from others; a few
    /// times, and not where a resource is gone.
    Automatic,
}

/// A time between checks: minutes, hours or days, a week at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Every {
    minutes: u64,
}

impl Every {
    /// In milliseconds.
    pub fn ms(self) -> u64 {
        self.minutes.saturating_mul(MINUTE_MS)
    }
}

/// Why a text is no [`Every`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time between checks; expected minutes, hours or days, a week at most, like 10m, 1h or 1d"
)]
pub struct InvalidEvery(String);

impl FromStr for Every {
    type Err = InvalidEvery;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidEvery(text.to_owned());
        let of = |(unit, minutes, most): &(char, u64, u64)| {
            let number = text.strip_suffix(*unit)?;
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = number.parse().ok().filter(|_| is_number)?;
            let is_plain = !text.starts_with('0') && number <= *most;
            is_plain.then(|| Self { minutes: number.saturating_mul(*minutes) })
        };
        UNITS.iter().find_map(of).ok_or_else(invalid)
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minutes {
            minutes if minutes % (24 * 60) == 0 => write!(f, "{}d", minutes / (24 * 60)),
            minutes if minutes % 60 == 0 && minutes <= 99 * 60 => write!(f, "{}h", minutes / 60),
            minutes => write!(f, "{minutes}m"),
        }
    }
}

impl TryFrom<String> for Every {
    type Error = InvalidEvery;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Every> for String {
    fn from(every: Every) -> Self {
        every.to_string()
    }
}

impl JsonSchema for Every {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Every".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([1-9][0-9]{0,3}m|[1-9][0-9]?h|[1-7]d)$",
            "description": "minutes, hours or days, a week at most, like 10m, 1h or 1d",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, ms, same) in [
            ("1m", 60_000, "1m"),
            ("90m", 5_400_000, "90m"),
            ("60m", 3_600_000, "1h"),
            ("7d", 604_800_000, "7d"),
            ("6000m", 360_000_000, "6000m"),
        ] {
            let every: Every = text.parse().unwrap();
            assert_eq!((every.ms(), every.to_string().as_str()), (ms, same));
        }
        for text in [
            "",
            "m",
            "0m",
            "-1h",
            "+1h",
            "10",
            "10s",
            "1.5h",
            "8d",
            "1w",
            "01h",
            "100h",
            "10000m",
            "99999999999999999999m",
        ] {
            assert!(text.parse::<Every>().is_err(), "{text}");
        }
    }
}
