//! How long something takes, as configurations say it.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// The longest: thirty days. A rollout that takes longer is a mistake in writing.
const MAX_MS: u64 = 30 * 24 * 3_600_000;

/// Units from the largest to the smallest, which is the order in a text.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration: milliseconds as a number, or a text like `30s`, `10m` or `1h30m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    fn read(text: &str) -> Option<u64> {
        let mut rest = text;
        let mut units = UNITS.iter();
        let mut all: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at_checked(digits)?;
            let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, after) = after.split_at_checked(letters)?;
            // Each unit comes once, after the larger ones.
            let (_, ms) = units.find(|(name, _)| *name == unit)?;
            all = all.checked_add(number.parse::<u64>().ok()?.checked_mul(*ms)?)?;
            rest = after;
        }
        Some(all).filter(|ms| *ms <= MAX_MS && !text.is_empty())
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, ms) in UNITS {
            let count = rest / ms;
            rest %= ms;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if self.0 == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Duration)
    }
}

struct Duration;

impl Visitor<'_> for Duration {
    type Value = Millis;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("milliseconds or a text like 30s, 10m or 1h30m, at most 30d")
    }

    fn visit_u64<E: Error>(self, ms: u64) -> Result<Millis, E> {
        let fits = Some(ms).filter(|ms| *ms <= MAX_MS).map(Millis);
        fits.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(ms), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Millis, E> {
        let read = Millis::read(text).map(Millis);
        read.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_are_read_in_the_words_of_people_and_in_milliseconds() {
        for (document, ms, shown) in [
            (json!("30s"), 30_000, "30s"),
            (json!("10m"), 600_000, "10m"),
            (json!("1h30m"), 5_400_000, "1h30m"),
            (json!("90m"), 5_400_000, "1h30m"),
            (json!("30d"), MAX_MS, "30d"),
            (json!("250ms"), 250, "250ms"),
            (json!("0s"), 0, "0s"),
            (json!(1500), 1500, "1s500ms"),
        ] {
            let read: Millis = serde_json::from_value(document.clone()).unwrap();
            assert_eq!((read.0, read.to_string().as_str()), (ms, shown), "{document}");
        }
    }

    #[test]
    fn what_is_no_duration_is_named_with_what_was_expected() {
        for wrong in [
            json!(""),
            json!("10"),
            json!("m"),
            json!("10x"),
            json!("1m1h"),
            json!("1m1m"),
            json!(" 1m"),
            json!("1.5h"),
            json!("-1m"),
            json!("31d"),
            json!(MAX_MS + 1),
            json!(-1),
            json!("99999999999999999999s"),
            json!(null),
            json!("1m "),
        ] {
            let error = serde_json::from_value::<Millis>(wrong.clone()).unwrap_err().to_string();
            assert!(error.contains("like 30s, 10m or 1h30m"), "{wrong}: {error}");
        }
    }
}
