//! How deployments and sets are named in questions: by a digest, by an id, or by
//! where and when they run.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeploymentId, Digest, EnvironmentId, Timestamp};

/// The fewest hex digits that a set's digest may be shortened to: as many as
/// tell the sets of one company apart more often than not.
pub const SET_DIGITS_MIN: usize = 4;

/// The longest text that is read as a subject: two names and a time, and room.
pub const SUBJECT_CHARS_MAX: usize = 200;

/// What somebody speaks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A set: the first hex digits of its digest, or all 64 of them.
    Set(String),
    /// A deployment: the first characters of its id, or all of it.
    Deployment(String),
    /// What runs, ran or was to run in an environment.
    Environment {
        /// Where.
        environment: EnvironmentId,
        /// Which of what ran there.
        which: Which,
    },
}

/// Which of the deployments of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What runs there now.
    Now,
    /// What ran there at a time.
    At(Timestamp),
    /// What ran there so many milliseconds ago.
    Ago(u64),
    /// The one with a number: 1 is the first that was ever asked for there.
    Number(u64),
}

impl Subject {
    /// What runs in an environment now.
    pub fn now(environment: EnvironmentId) -> Self {
        Self::Environment { environment, which: Which::Now }
    }

    /// The same, with a time instead of how long ago it was.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Self {
        match self {
            Self::Environment { environment, which: Which::Ago(ms) } => {
                let which = Which::At(Timestamp(now.0.saturating_sub(*ms)));
                Self::Environment { environment: environment.clone(), which }
            }
            other => other.clone(),
        }
    }

    /// The set's digest, where it is whole.
    pub fn whole_set(&self) -> Option<Digest> {
        match self {
            Self::Set(hex) => format!("sha256:{hex}").parse().ok(),
            _ => None,
        }
    }
}

/// Why a text names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// It has none of the forms.
    #[error(
        "{found:?} names neither a deployment nor a set; expected a deployment's id (or how it begins), shop/production (what runs there), shop/production@2026-11-14T14:00 (what ran there then, UTC), shop/production#12 (the twelfth deployment there), or a set's sha256:..."
    )]
    Form {
        /// What was found.
        found: String,
    },
    /// It is longer than anything that names something.
    #[error("a name of {chars} characters names nothing; expected at most {SUBJECT_CHARS_MAX}")]
    Long {
        /// How long it is.
        chars: usize,
    },
    /// A digest that is none.
    #[error(
        "found {found:?} as a set's digest; expected \"sha256:\" and {SET_DIGITS_MIN} to 64 lower-case hex digits"
    )]
    Digest {
        /// What was found.
        found: String,
    },
    /// What is before `@` or `#` is no environment.
    #[error("found {found:?} as an environment; expected application/environment: {reason}")]
    Environment {
        /// What was found.
        found: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What comes after `@` is no time.
    #[error(
        "found {found:?} as a time; expected 2026-11-14T14:00 (UTC), 2026-11-14T14:00:00+01:00, or 2026-11-14 (its beginning), from 1970 on; or how long ago it was: 30min, 12h, 7d, 4w"
    )]
    Time {
        /// What was found.
        found: String,
    },
    /// A time that is none, where how long ago it was says nothing.
    #[error(
        "found {found:?} as a time; expected 2026-11-14T14:00 (UTC), 2026-11-14T14:00:00+01:00, or 2026-11-14 (its beginning), from 1970 on"
    )]
    Moment {
        /// What was found.
        found: String,
    },
    /// What comes after `#` is no number.
    #[error("found {found:?} as a deployment's number; expected 1 for the first, and so on")]
    Number {
        /// What was found.
        found: String,
    },
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > SUBJECT_CHARS_MAX {
            return Err(InvalidSubject::Long { chars: text.chars().count() });
        }
        if let Some(hex) = text.strip_prefix("sha256:") {
            return set(hex).ok_or_else(|| InvalidSubject::Digest { found: text.to_owned() });
        }
        if let Some((environment, number)) = text.split_once('#') {
            let which = number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| InvalidSubject::Number { found: number.to_owned() })?;
            return in_environment(environment, Which::Number(which));
        }
        if let Some((environment, time)) = text.split_once('@') {
            let which = ago_of(time)
                .map(Which::Ago)
                .or_else(|| time_of(time).map(Which::At))
                .ok_or_else(|| InvalidSubject::Time { found: time.to_owned() })?;
            return in_environment(environment, which);
        }
        if text.contains('/') {
            return in_environment(text, Which::Now);
        }
        let id = text.to_ascii_lowercase();
        // Crockford's base 32 has no i, l, o and u.
        let of_id = |c: char| {
            c.is_ascii_digit() || (c.is_ascii_lowercase() && !matches!(c, 'i' | 'l' | 'o' | 'u'))
        };
        if id.is_empty() || id.len() > DeploymentId::CHARS || !id.chars().all(of_id) {
            return Err(InvalidSubject::Form { found: text.to_owned() });
        }
        Ok(Self::Deployment(id))
    }
}

fn set(hex: &str) -> Option<Subject> {
    let digits = hex.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'));
    let fits = digits && (SET_DIGITS_MIN..=64).contains(&hex.len());
    fits.then(|| Subject::Set(hex.to_owned()))
}

fn in_environment(text: &str, which: Which) -> Result<Subject, InvalidSubject> {
    let environment = text.parse().map_err(|error: crate::ids::InvalidName| {
        InvalidSubject::Environment { found: text.to_owned(), reason: error.to_string() }
    })?;
    Ok(Subject::Environment { environment, which })
}

/// Units of how long ago something was, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("m", 60_000)];

/// How many milliseconds ago something was, as it is written: `30min` or `30m`,
/// `12h`, `7d`, `4w`. None for every other text.
pub fn ago_of(text: &str) -> Option<u64> {
    UNITS.iter().find_map(|(unit, ms)| {
        let number = text.strip_suffix(unit)?;
        // What parses as a number besides digits is a sign.
        number.starts_with(|c: char| c.is_ascii_digit()).then_some(())?;
        number.parse::<u64>().ok()?.checked_mul(*ms)
    })
}

/// Of milliseconds, in the largest unit that leaves none over.
fn ago(ms: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| ms.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

/// RFC 3339, or shorter: without seconds, without the time of day, without an
/// offset (then it is UTC).
fn time_of(text: &str) -> Option<Timestamp> {
    let time = text.parse().or_else(|_| {
        let local: jiff::civil::DateTime = text.parse()?;
        jiff::tz::TimeZone::UTC.to_timestamp(local)
    });
    let time: jiff::Timestamp = time.ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

/// A point in time in a question, in any of the forms that subjects have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(pub Timestamp);

impl FromStr for Moment {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text: String = text.trim().chars().take(SUBJECT_CHARS_MAX).collect();
        time_of(&text).map(Self).ok_or(InvalidSubject::Moment { found: text })
    }
}

impl TryFrom<String> for Moment {
    type Error = InvalidSubject;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.0.to_string()
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": SUBJECT_CHARS_MAX,
            "description": "A point in time: `2026-11-14T14:00:00Z`, `2026-11-14T14:00` (UTC) or `2026-11-14` (its beginning)",
            "examples": ["2026-11-14T14:00"],
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(hex) => write!(f, "sha256:{hex}"),
            Self::Deployment(id) => f.write_str(id),
            Self::Environment { environment, which } => match which {
                Which::Now => write!(f, "{environment}"),
                Which::At(at) => write!(f, "{environment}@{at}"),
                Which::Ago(ms) => write!(f, "{environment}@{}", ago(*ms)),
                Which::Number(number) => write!(f, "{environment}#{number}"),
            },
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl JsonSchema for Subject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Subject".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": SUBJECT_CHARS_MAX,
            "description": "A deployment or set: a set's digest (`sha256:...`, or how it begins), a deployment's id (or how it begins), `application/environment` (what runs there), `application/environment@2026-11-14T14:00` or `application/environment@7d` (what ran there then, or so long ago), `application/environment#12` (its twelfth deployment)",
            "examples": ["shop/production", "shop/production@2026-11-14T14:00", "shop/production#12"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Subject {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn production(which: Which) -> Subject {
        Subject::Environment { environment: "shop/production".parse().unwrap(), which }
    }

    #[test]
    fn all_forms_are_read() {
        let digest = Digest::of(b"set");
        assert_eq!(parsed(&digest.to_string()).whole_set(), Some(digest));
        assert_eq!(parsed("sha256:0a1b"), Subject::Set("0a1b".into()));
        assert_eq!(parsed("sha256:0a1b").whole_set(), None);
        let id = "01jd2k9x7h8f6v3q5w1n4m0zta";
        assert_eq!(parsed(id), Subject::Deployment(id.into()));
        assert_eq!(parsed("01JD2K"), Subject::Deployment("01jd2k".into()));
        assert_eq!(parsed(" shop/production\n"), production(Which::Now));
        assert_eq!(parsed("shop/production#12"), production(Which::Number(12)));
    }

    #[test]
    fn times_may_be_short() {
        let at = |text: &str| match parsed(&format!("shop/production@{text}")) {
            Subject::Environment { which: Which::At(at), .. } => at.to_string(),
            other => panic!("{other:?}"),
        };
        for (text, meant) in [
            ("2026-11-14", "2026-11-14T00:00:00.000Z"),
            ("2026-11-14T14:00", "2026-11-14T14:00:00.000Z"),
            ("2026-11-14 14:00", "2026-11-14T14:00:00.000Z"),
            ("2026-11-14T14:00:07", "2026-11-14T14:00:07.000Z"),
            ("2026-11-14T14:00:07.25Z", "2026-11-14T14:00:07.250Z"),
            ("2026-11-14T14:00:00+01:00", "2026-11-14T13:00:00.000Z"),
            ("2026-11-14T14:00+01:00", "2026-11-14T13:00:00.000Z"),
        ] {
            assert_eq!(at(text), meant, "{text}");
        }
    }

    #[test]
    fn times_may_be_told_by_how_long_ago_they_were() {
        let now = Timestamp(10 * 86_400_000);
        for (text, at) in [
            ("7d", 3 * 86_400_000),
            ("12h", 9 * 86_400_000 + 43_200_000),
            ("30min", 10 * 86_400_000 - 1_800_000),
            ("30m", 10 * 86_400_000 - 1_800_000),
            ("900w", 0),
        ] {
            let subject = parsed(&format!("shop/production@{text}"));
            assert_eq!(subject.as_of(now), production(Which::At(Timestamp(at))), "{text}");
            assert_eq!(parsed(&subject.to_string()), subject, "{text}");
        }
        for text in ["d", "+7d", "-7d", "99999999999999999999d", "7 d", "7y"] {
            assert_eq!(ago_of(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["sha256:0a1b2c", "01jd2k", "shop/production", "shop/production#7"] {
            assert_eq!(parsed(text).to_string(), text);
        }
        let at = production(Which::At(Timestamp(1_795_230_000_007)));
        assert_eq!(parsed(&at.to_string()), at);
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), at);
    }

    #[test]
    fn bad_names_say_what_is_expected() {
        for (text, expected) in [
            ("", "names neither"),
            ("production", "shop/production#12"),
            ("sha256:0a", "4 to 64"),
            ("sha256:XYZW", "4 to 64"),
            ("Shop/production", "application/environment"),
            ("shop/production@yesterday", "2026-11-14T14:00"),
            ("shop/production@1969-12-31", "from 1970 on"),
            ("shop/production@2026-13-01", "found \"2026-13-01\""),
            ("shop/production#0", "1 for the first"),
            ("shop/production#-1", "1 for the first"),
            ("shop#1", "expected application/environment"),
            (&"x".repeat(201), "201 characters"),
        ] {
            let error = text.parse::<Subject>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
