//! What comes of an answer that is not the one that was hoped for.

use deployd_core::ports::EgressError;
use deployd_core::{Fault, FaultClass};
use serde_json::Value;

/// The forge is away, or throttles.
pub(crate) const UNREACHABLE: &str = "forge-unreachable";

/// It does not let us.
pub(crate) const DENIED: &str = "forge-denied";

/// There is no such repository, branch or pull request, or it is not shown to us.
pub(crate) const NOT_FOUND: &str = "forge-not-found";

/// It does not do what was asked for.
pub(crate) const REFUSED: &str = "forge-refused";

/// Characters of what a forge says that are told: two sentences and a list of fields.
const SAID_CHARS_MAX: usize = 500;

/// Texts of an answer that are told.
const SAID_TEXTS_MAX: usize = 10;

/// Levels of an answer that are looked into for texts: GitLab has lists in an object.
const SAID_DEPTH_MAX: usize = 4;

/// A request that has failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The status of the answer, when there was one.
    pub(crate) status: Option<u16>,
    /// What is recorded of it.
    pub(crate) fault: Fault,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        failure.fault
    }
}

impl Failure {
    /// The request did not get through. `place` is the host.
    pub(crate) fn of_network(error: &EgressError, place: &str) -> Self {
        let message = match error {
            EgressError::Address { host, class } => format!(
                "{host} leads to {class}; if it is meant, set privateAddress: true for it in `hosts`"
            ),
            EgressError::NotGranted(_) | EgressError::Method { .. } => {
                format!("{error}; `hosts` says which are")
            }
            error => format!("{place}: {error}"),
        };
        let fault = match error.class() {
            class @ (FaultClass::Invalid | FaultClass::Denied) => {
                Fault::new(class, error.code(), message)
            }
            // Also who is not trusted today may have a new certificate tomorrow, and a
            // credential that can't be used may be replaced.
            _ => Fault::transient(UNREACHABLE, message),
        };
        Self { status: None, fault }
    }

    /// The answer is not what is documented. It may be another's, as a page of a proxy
    /// that stands in while the forge is away.
    pub(crate) fn of_form(place: &str, what: &str, reason: impl std::fmt::Display) -> Self {
        let message = format!(
            "asked to {what}, {place} answers what can't be read: {reason}; \
             if it stays so, is `api` the address of the forge's API?"
        );
        Self { status: None, fault: Fault::transient(UNREACHABLE, message) }
    }

    /// The forge says no. `what` is what was asked for: `open a pull request`.
    pub(crate) fn of_status(
        status: u16,
        place: &str,
        what: &str,
        said: &str,
        retry: Option<u64>,
    ) -> Self {
        let told = |came: &str, expected: &str| {
            let colon = if said.is_empty() { "" } else { ": " };
            let semicolon = if expected.is_empty() { "" } else { "; " };
            format!("asked to {what}, {place} {came} ({status}){colon}{said}{semicolon}{expected}")
        };
        let fault = match status {
            _ if retry.is_some() => {
                Fault::transient(UNREACHABLE, told("has too many requests for now", ""))
                    .with_retry_after_ms(retry)
            }
            408 | 425 | 429 | 500..=599 => Fault::transient(UNREACHABLE, told("fails", "")),
            401 | 403 => {
                let expected = "expected a token in `hosts` that may read and write pull \
                                requests of that repository";
                Fault::denied(DENIED, told("does not let us", expected))
            }
            404 | 410 => {
                let expected = "there is no such repository, branch or pull request, or the \
                                token does not let us see it";
                Fault::invalid(NOT_FOUND, told("finds nothing there", expected))
            }
            300..=399 => {
                let expected = "expected the API's address and the repository's name as they \
                                are now";
                Fault::invalid(REFUSED, told("leads elsewhere", expected))
            }
            _ => Fault::invalid(REFUSED, told("refuses", "")),
        };
        Self { status: Some(status), fault }
    }
}

/// What a forge says of why it refuses, on one line and cut.
///
/// GitHub has `message` and `errors`, whose members have a `message` or say which
/// `field` has which `code`; GitLab has `message`, a text, a list or an object of lists,
/// or `error` with `error_description` (RFC 6749, section 5.2); Gitea has `message` and
/// sometimes `errors`.
pub(crate) fn said(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let mut texts = Vec::new();
    for name in ["message", "error", "error_description", "errors"] {
        if let Some(value) = value.get(name) {
            gather(value, "", 0, &mut texts);
        }
    }
    one_line(&texts.join(": "), SAID_CHARS_MAX)
}

fn gather(value: &Value, name: &str, depth: usize, texts: &mut Vec<String>) {
    if depth > SAID_DEPTH_MAX || texts.len() >= SAID_TEXTS_MAX {
        return;
    }
    let below = depth.saturating_add(1);
    match value {
        Value::String(text) if name.is_empty() => texts.push(text.clone()),
        Value::String(text) => texts.push(format!("{name} {text}")),
        Value::Array(values) => values.iter().for_each(|value| gather(value, name, below, texts)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            match (text("message"), text("field"), text("code")) {
                (Some(message), ..) => texts.push(message.to_owned()),
                (None, Some(field), Some(code)) => texts.push(format!("{field} is {code}")),
                _ => fields.iter().for_each(|(name, value)| gather(value, name, below, texts)),
            }
        }
        _ => {}
    }
}

/// A text of others on one line, with so many characters at most.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    if plain.chars().count() <= chars_max {
        return plain.to_owned();
    }
    plain.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forges_say_is_told_on_one_line() {
        let cases = [
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"No commits between main and x"}]}"#,
                "Validation Failed: No commits between main and x",
            ),
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"head","code":"invalid"}]}"#,
                "Validation Failed: head is invalid",
            ),
            (r#"{"message":["one","two"]}"#, "one: two"),
            (r#"{"message":{"title":["is too long"]}}"#, "title is too long"),
            (
                r#"{"error":"invalid_token","error_description":"Token is expired."}"#,
                "invalid_token: Token is expired.",
            ),
            (r#"{"message":"a\nb\u001b[31m","errors":null}"#, "a b [31m"),
            ("<html>", ""),
            ("[1]", ""),
            (r#"{"message":{"a":{"b":{"c":{"d":{"e":"deep"}}}}}}"#, ""),
        ];
        for (body, expected) in cases {
            assert_eq!(said(body.as_bytes()), expected);
        }
        let long = format!(r#"{{"message":"{}"}}"#, "ü".repeat(2_000));
        assert_eq!(said(long.as_bytes()).chars().count(), SAID_CHARS_MAX);
    }

    #[test]
    fn a_status_says_whether_trying_again_may_help() {
        let cases = [
            (400, REFUSED, FaultClass::Invalid),
            (401, DENIED, FaultClass::Denied),
            (403, DENIED, FaultClass::Denied),
            (404, NOT_FOUND, FaultClass::Invalid),
            (301, REFUSED, FaultClass::Invalid),
            (409, REFUSED, FaultClass::Invalid),
            (422, REFUSED, FaultClass::Invalid),
            (429, UNREACHABLE, FaultClass::Transient),
            (500, UNREACHABLE, FaultClass::Transient),
            (503, UNREACHABLE, FaultClass::Transient),
        ];
        for (status, code, class) in cases {
            let fault = Failure::of_status(status, "g.example", "look", "", None).fault;
            assert_eq!((fault.code.as_str(), fault.class), (code, class), "{status}");
        }
        let fault = Failure::of_status(403, "g.example", "look", "", Some(7)).fault;
        assert_eq!((fault.is_transient(), fault.retry_after_ms), (true, Some(7)));
    }
}
