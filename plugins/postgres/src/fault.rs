//! What a failure of the server means for a deployment.

use crate::protocol::ProtocolError;
use crate::protocol::backend::ServerError;
use deployd_plugin_sdk::Fault;
use std::time::Duration;

/// When a server that has no room may have some.
const SOON: Duration = Duration::from_secs(5);
/// The most of a server's text that is told.
const TOLD_CHARACTERS: usize = 500;

/// Why something did not work.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server has refused it.
    Refused(ServerError),
    /// What the server sent is not PostgreSQL's protocol.
    Protocol(ProtocolError),
    /// The daemon could not do it, or there was no connection any more.
    Host(Fault),
}

impl From<ProtocolError> for Trouble {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Host(fault)
    }
}

impl Trouble {
    /// The fault, with what was being done when it happened. `hidden` is not to
    /// be told, whatever the server says.
    pub(crate) fn fault(self, server: &str, doing: &str, hidden: &str) -> Fault {
        match self {
            Self::Refused(error) => {
                let told = told(&error, hidden);
                classified(&error.code, format!("{server}, {doing}: {told}"))
            }
            // It may be a proxy that is not ready, or a connection cut short.
            Self::Protocol(error) => Fault::unavailable(format!("{server}, {doing}: {error}")),
            Self::Host(fault) => in_context(fault, &format!("{server}, {doing}")),
        }
    }
}

/// The case that a SQLSTATE stands for (PostgreSQL's manual, appendix A).
fn classified(code: &str, message: String) -> Fault {
    let class = code.get(..2).unwrap_or_default();
    match (class, code) {
        // Wrong password, no such account, no line of pg_hba.conf; not allowed.
        ("28", _) | (_, "42501") => Fault::denied(message),
        // A database, role or other object of that name, or what depends on one.
        (_, "42P04" | "42710" | "42P06" | "2BP01" | "23505") => Fault::conflict(message),
        // A database that is not there.
        (_, "3D000") => Fault::not_found(message),
        // Connection trouble; shut down or starting; resources, connections and
        // disk among them; a standby; a lock or a deadlock; cancelled; in use.
        ("08" | "57" | "53" | "40", _) | (_, "25006" | "55P03" | "55006") => {
            Fault::retry_after(message, SOON)
        }
        // What the definition names is not there, not possible, or malformed.
        ("22" | "42" | "0A", _) | (_, "58P01") => Fault::invalid("/inputs", message),
        _ => Fault::permanent(message),
    }
}

fn told(error: &ServerError, hidden: &str) -> String {
    let mut text = error.message.clone();
    if let Some(detail) = &error.detail {
        text = format!("{text} ({detail})");
    }
    if !hidden.is_empty() {
        text = text.replace(hidden, "[secret]");
    }
    let told: String = text
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(TOLD_CHARACTERS)
        .collect();
    let code: String = error.code.chars().filter(char::is_ascii_alphanumeric).take(5).collect();
    format!("{told} [{code}]")
}

/// Says where and when a fault of the daemon happened.
fn in_context(fault: Fault, context: &str) -> Fault {
    let add = |message: String| format!("{context}: {message}");
    match fault {
        Fault::Invalid(mut fields) => {
            for field in &mut fields {
                field.message = add(std::mem::take(&mut field.message));
                // The daemon does not know where the name came from.
                if field.path.is_empty() {
                    "/inputs/host".clone_into(&mut field.path);
                }
            }
            Fault::Invalid(fields)
        }
        Fault::NotFound(message) => Fault::NotFound(add(message)),
        Fault::Conflict(message) => Fault::Conflict(add(message)),
        Fault::Denied(message) => Fault::Denied(add(message)),
        Fault::Unavailable { message, after } => {
            Fault::Unavailable { message: add(message), after }
        }
        Fault::Permanent(message) => Fault::Permanent(add(message)),
        Fault::Unsupported(message) => Fault::Unsupported(add(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: &str, message: &str) -> Fault {
        let error = ServerError {
            severity: "ERROR".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            detail: None,
        };
        Trouble::Refused(error).fault("db:5432", "connecting", "hunter2")
    }

    #[test]
    fn each_sqlstate_has_its_case() {
        for code in ["28P01", "28000", "42501"] {
            assert!(matches!(fault(code, "x"), Fault::Denied(_)), "{code}");
        }
        for code in ["42P04", "42710", "2BP01"] {
            assert!(matches!(fault(code, "x"), Fault::Conflict(_)), "{code}");
        }
        for code in ["53300", "57P01", "57P03", "08006", "25006", "40P01", "55P03", "55006"] {
            assert!(matches!(fault(code, "x"), Fault::Unavailable { .. }), "{code}");
        }
        for code in ["22023", "42704", "0A000"] {
            assert!(matches!(fault(code, "x"), Fault::Invalid(_)), "{code}");
        }
        assert!(matches!(fault("3D000", "x"), Fault::NotFound(_)));
        for code in ["XX000", "", "é", "\u{0}"] {
            assert!(matches!(fault(code, "x"), Fault::Permanent(_)), "{code}");
        }
    }

    #[test]
    fn what_is_told_is_one_short_line_without_the_password() {
        let text = fault("28P01", &format!("hunter2 was wrong\n{}", "x".repeat(9000))).to_string();
        assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
        assert!(text.len() < 700, "{}", text.len());
        assert!(text.starts_with("denied: db:5432, connecting: [secret] was wrong"), "{text}");
    }
}
