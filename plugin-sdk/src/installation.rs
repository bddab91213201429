//! Which installation of deployd a resource is of.

use crate::{is_known_later, name};
use serde::Deserialize;
use std::fmt;

/// The longest name: it stands in records, tags and names beside a uid.
const LENGTH_MAX: usize = 63;
const DEFAULT: &str = "default";

/// The name of an installation of deployd, as an input of a definition.
///
/// A resource's uid is made of the names of its application and environment, so
/// that two installations with the same names have the same uids. Drivers that mark
/// what is theirs on a server put this beside the uid: what another installation
/// has marked is somebody else's.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Inputs {
///     #[serde(default)]
///     installation: deployd_plugin_sdk::Installation,
/// }
///
/// let inputs: Inputs = serde_json::from_str("{}")?;
/// assert!(inputs.installation.is_default());
/// assert!(serde_json::from_str::<Inputs>(r#"{"installation": "a b"}"#).is_err());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Installation(String);

impl Installation {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Eight characters for a resource of this installation, as [`name::short`] makes
    /// them: for names on a server that installations share.
    pub fn short(&self, uid: &str) -> String {
        if self.is_default() { name::short(uid) } else { name::short(&format!("{self}/{uid}")) }
    }

    /// Whether no other name was given.
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Installation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(fits);
        // In a plan, it may be an output that is not there yet.
        if is_name || is_known_later(&text) {
            return Ok(Self(text));
        }
        Err(format!("expected 1 to {LENGTH_MAX} characters of letters, digits, -, _ and ."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_with_one_uid_have_names_of_their_own() {
        let other = Installation::try_from("eu".to_owned()).unwrap();
        assert_eq!(Installation::default().short("res-1"), name::short("res-1"));
        assert_ne!(other.short("res-1"), name::short("res-1"));
        assert!(Installation::try_from("x".repeat(64)).is_err());
    }
}
