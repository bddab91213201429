//! Why a call failed.

use std::fmt;
use std::time::Duration;

/// Why a call failed. The host decides on the case, never on the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The request can't be fulfilled as written.
    Invalid(Vec<FieldFault>),
    /// What the request is about is not there.
    NotFound(String),
    /// Somebody else owns or changed it.
    Conflict(String),
    /// The plugin, or the account it uses, may not do this.
    Denied(String),
    /// Asking again later may help.
    Unavailable {
        /// What is not available.
        message: String,
        /// When to ask again, if the plugin knows.
        after: Option<Duration>,
    },
    /// Asking again will not help.
    Permanent(String),
    /// The plugin does not do this at all.
    Unsupported(String),
}

/// The longest part of somebody else's words that a fault repeats.
const SHOWN_CHARACTERS: usize = 300;

/// What a server says, as far as a person wants to read it in a fault: the first
/// 300 characters, without line breaks and other control characters.
pub fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(clean).take(SHOWN_CHARACTERS).collect()
}

/// A place in a document (RFC 6901) and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Starts with the name of the document: `/inputs/endpoint`.
    pub path: String,
    /// What is wrong there, for a person.
    pub message: String,
}

impl Fault {
    /// One field can't be fulfilled as written.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldFault { path: path.into(), message: message.into() }])
    }

    /// What the request is about is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// Somebody else owns or changed it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict(message.into())
    }

    /// The plugin, or the account it uses, may not do this.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::Denied(message.into())
    }

    /// Asking again may help; the host chooses when.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), after: None }
    }

    /// Asking again after this long may help.
    pub fn retry_after(message: impl Into<String>, after: Duration) -> Self {
        Self::Unavailable { message: message.into(), after: Some(after) }
    }

    /// Asking again will not help.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into())
    }

    /// The plugin does not do this at all.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(fields) => {
                f.write_str("invalid")?;
                for field in fields {
                    write!(f, "; {}: {}", field.path, field.message)?;
                }
                Ok(())
            }
            Self::NotFound(message) => write!(f, "not found: {message}"),
            Self::Conflict(message) => write!(f, "conflict: {message}"),
            Self::Denied(message) => write!(f, "denied: {message}"),
            Self::Unavailable { message, .. } => write!(f, "unavailable: {message}"),
            Self::Permanent(message) => write!(f, "permanent: {message}"),
            Self::Unsupported(message) => write!(f, "unsupported: {message}"),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_one_short_line() {
        assert_eq!(shown(" no\r\nX-Header: \u{1b}[31m\n"), "no  X-Header:  [31m");
        assert_eq!(shown(&"é".repeat(9000)).chars().count(), 300);
    }
}
