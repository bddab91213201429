//! How much is kept of a deployment beside its record, and for how long.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TimeToLive;

/// What is kept of a deployment when nobody says how much, compressed: some ten
/// thousand lines of logs.
const KIB_DEFAULT: u32 = 256;

/// The most: a store takes a mebibyte as one value.
const KIB_MAX: u32 = 1_000;

/// How long, when nobody says: long enough to look into the last quarter.
const KEEP_MS_DEFAULT: u64 = 90 * 24 * 3_600_000;

/// What is kept of deployments beside their records: logs, events of Kubernetes,
/// states of containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DetailsSpec {
    /// The most of one deployment, compressed, in KiB: 256 when not given. Of
    /// more, lines in the middle of the log go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub budget_kib: Option<u32>,
    /// For how long, counted back from the newest deployment: `90d` when not
    /// given; `forever`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Retention>,
}

impl DetailsSpec {
    /// The most of one deployment, compressed, in bytes.
    pub fn budget(self) -> usize {
        let kib = self.budget_kib.unwrap_or(KIB_DEFAULT).clamp(1, KIB_MAX);
        kib as usize * 1024
    }

    /// For how many milliseconds; none for ever.
    pub fn keep_ms(self) -> Option<u64> {
        match self.keep {
            None => Some(KEEP_MS_DEFAULT),
            Some(Retention::For(time)) => time.ms(),
            Some(Retention::Forever) => None,
        }
    }
}

/// For how long something is kept: `90m`, `48h`, `14d`, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Retention {
    /// So long, and no longer.
    For(TimeToLive),
    /// It is not thrown away.
    Forever,
}

/// Why a text is no [`Retention`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time to keep something for; expected minutes, hours or days, like 90m, 48h or 14d, or forever"
)]
pub struct InvalidRetention(String);

impl FromStr for Retention {
    type Err = InvalidRetention;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("forever", _) => Ok(Self::Forever),
            (_, Ok(time @ TimeToLive::Minutes(_))) => Ok(Self::For(time)),
            _ => Err(InvalidRetention(text.to_owned())),
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(time) => time.fmt(f),
            Self::Forever => f.write_str("forever"),
        }
    }
}

impl TryFrom<String> for Retention {
    type Error = InvalidRetention;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Retention> for String {
    fn from(retention: Retention) -> Self {
        retention.to_string()
    }
}

impl JsonSchema for Retention {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Retention".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(forever|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d)$",
            "description": "minutes, hours or days, like 90m, 48h or 14d, or forever",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forever_is_a_time_and_never_is_none() {
        assert_eq!("forever".parse(), Ok(Retention::Forever));
        assert_eq!("14d".parse::<Retention>().unwrap().to_string(), "14d");
        for wrong in ["never", "", "0d", "14", "-1d", "1y"] {
            assert!(wrong.parse::<Retention>().is_err(), "{wrong:?}");
        }
        let spec: DetailsSpec = serde_json::from_str(r#"{"keep":"2d","budgetKib":4}"#).unwrap();
        assert_eq!((spec.keep_ms(), spec.budget()), (Some(172_800_000), 4096));
        let spec = DetailsSpec { keep: Some(Retention::Forever), budget_kib: Some(5_000) };
        assert_eq!((spec.keep_ms(), spec.budget()), (None, 1000 * 1024));
    }
}
