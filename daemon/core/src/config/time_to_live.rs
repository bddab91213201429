//! How long environments live that end by themselves.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds of a minute: the smallest unit.
const MINUTE_MS: u64 = 60_000;

/// The longest: ten years, which is as good as `never`.
const MINUTES_MAX: u64 = 3_650 * 24 * 60;

/// How long an environment lives after the last deployment in it, or after its
/// document was applied, whichever is later: `90m`, `48h`, `14d`, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TimeToLive {
    /// It ends.
    Minutes(u64),
    /// It does not, whatever its type says.
    Never,
}

impl TimeToLive {
    /// In milliseconds; none for one that does not end.
    pub fn ms(self) -> Option<u64> {
        match self {
            Self::Minutes(minutes) => Some(minutes.saturating_mul(MINUTE_MS)),
            Self::Never => None,
        }
    }
}

/// Why a text is no [`TimeToLive`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time to live; expected minutes, hours or days, like 90m, 48h or 14d, or never"
)]
pub struct InvalidTimeToLive(String);

impl FromStr for TimeToLive {
    type Err = InvalidTimeToLive;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let invalid = || InvalidTimeToLive(text.to_owned());
        let (number, unit) =
            text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(invalid)?;
        let minutes = match unit {
            "m" => 1,
            "h" => 60,
            "d" => 24 * 60,
            _ => return Err(invalid()),
        };
        let is_number =
            number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
        let number: u64 = number.parse().map_err(|_| invalid())?;
        match number.checked_mul(minutes) {
            Some(all) if is_number && all <= MINUTES_MAX => Ok(Self::Minutes(all)),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for TimeToLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Minutes(minutes) if minutes % (24 * 60) == 0 => {
                write!(f, "{}d", minutes / (24 * 60))
            }
            Self::Minutes(minutes) if minutes % 60 == 0 => write!(f, "{}h", minutes / 60),
            Self::Minutes(minutes) => write!(f, "{minutes}m"),
        }
    }
}

impl TryFrom<String> for TimeToLive {
    type Error = InvalidTimeToLive;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TimeToLive> for String {
    fn from(ttl: TimeToLive) -> Self {
        ttl.to_string()
    }
}

impl JsonSchema for TimeToLive {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeToLive".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(never|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d)$",
            "description": "minutes, hours or days, like 90m, 48h or 14d, or never",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, ms) in [("90m", 5_400_000), ("48h", 172_800_000), ("14d", 1_209_600_000)] {
            assert_eq!(text.parse::<TimeToLive>().unwrap().ms(), Some(ms));
        }
        assert_eq!("never".parse::<TimeToLive>().unwrap().ms(), None);
        assert_eq!("1440m".parse::<TimeToLive>().unwrap().to_string(), "1d");
        assert_eq!("120m".parse::<TimeToLive>().unwrap().to_string(), "2h");
        for text in [
            "",
            "h",
            "0h",
            "-1h",
            "+1h",
            "1",
            "1 h",
            "01h",
            "1.5h",
            "1s",
            "3651d",
            "1ü",
            "99999999999999999999m",
        ] {
            assert!(text.parse::<TimeToLive>().is_err(), "{text}");
        }
    }
}
