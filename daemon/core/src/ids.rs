//! Names and identities.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name: an RFC 1123 label, because names become parts of host
/// names and of names of Kubernetes objects.
pub const NAME_LENGTH_MAX: usize = 63;

/// A name of an RFC 1123 label: 1 to 63 of a-z, 0-9 and `-`, beginning and
/// ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
            "description": "1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit",
        })
    }
}

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name; expected 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit"
)]
pub struct InvalidName(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = !text.is_empty()
            && text.len() <= NAME_LENGTH_MAX
            && text.chars().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid { Ok(Self(text)) } else { Err(InvalidName(text)) }
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One execution of a plan. Sorts by the time it was made: a ULID in lower case.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct DeploymentId(pub String);

impl DeploymentId {
    /// Characters of one.
    pub const CHARS: usize = 26;

    /// From a point in time and 80 random bits: 10 characters of time and 16
    /// of randomness in Crockford's base 32, lower case (github.com/ulid/spec).
    pub fn from_parts(at: crate::Timestamp, random: [u8; 10]) -> Self {
        Self(ulid(at, random))
    }
}

fn ulid(at: crate::Timestamp, random: [u8; 10]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bits = u128::from(at.0 & 0xffff_ffff_ffff) << 80;
    for (place, byte) in random.iter().rev().enumerate() {
        bits |= u128::from(*byte) << (8 * place);
    }
    (0..DeploymentId::CHARS)
        .rev()
        .filter_map(|place| ALPHABET.get(((bits >> (5 * place)) & 31) as usize))
        .map(|byte| char::from(*byte))
        .collect()
}

impl FromStr for DeploymentId {
    type Err = std::convert::Infallible;

    /// Any text is one: of most there is no deployment.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time in an environment that somebody has asked for. Sorts by when that was: a ULID
/// in lower case.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SlotId(pub String);

impl SlotId {
    /// From a point in time and 80 random bits, as [`DeploymentId::from_parts`].
    pub fn from_parts(at: crate::Timestamp, random: [u8; 10]) -> Self {
        Self(ulid(at, random))
    }
}

impl FromStr for SlotId {
    type Err = std::convert::Infallible;

    /// Any text is one: of most there is no slot.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place an application runs, written `application/environment`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentId {
    /// The application.
    pub application: Name,
    /// The environment's name within it.
    pub environment: Name,
}

impl JsonSchema for EnvironmentId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EnvironmentId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
            "description": "An environment: `application/environment`",
        })
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.application, self.environment)
    }
}

impl TryFrom<String> for EnvironmentId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (application, environment) =
            text.split_once('/').ok_or_else(|| InvalidName(text.clone()))?;
        Ok(Self { application: application.parse()?, environment: environment.parse()? })
    }
}

impl FromStr for EnvironmentId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<EnvironmentId> for String {
    fn from(id: EnvironmentId) -> Self {
        id.to_string()
    }
}

/// Who did it: the name of a token, an issuer's name and what it calls somebody with
/// a `:` between, or `deployd` itself. See [`crate::access`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Actor(pub String);

impl Actor {
    /// What deployd does by itself: routing, retries, recovery.
    pub fn deployd() -> Self {
        Self("deployd".to_owned())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn names_are_rfc_1123_labels() {
        for good in ["a", "a1", "shop-frontend", &"x".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn deployments_sort_by_time() {
        let early = DeploymentId::from_parts(Timestamp(1_000), [255; 10]);
        let late = DeploymentId::from_parts(Timestamp(1_001), [0; 10]);
        assert!(early < late);
        assert_eq!(early.0.len(), 26);
        // The specification's own example time: 1469918176385 is 01ARYZ6S41.
        let known = DeploymentId::from_parts(Timestamp(1_469_918_176_385), [0; 10]);
        assert!(known.0.starts_with("01aryz6s41"), "{known}");
    }
}
