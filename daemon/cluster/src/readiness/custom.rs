//! Kinds that nobody here has heard of, by the conventions that most follow.

use serde_json::Value;

use super::State;
use crate::fields::{condition, count, holds, number, text, text_or_empty};

/// Conditions that say whether an object can be used, the most telling first.
const TELLING: [&str; 2] = ["Ready", "Available"];

pub(super) fn readiness(object: &Value) -> State {
    let generation = count(object, "/metadata/generation");
    if number(object, "/status/observedGeneration").is_some_and(|seen| seen < generation) {
        return State::progressing("waits for its controller");
    }
    if holds(object, "Stalled") {
        let why = condition(object, "Stalled").unwrap_or(&Value::Null);
        return State::failed("not-ready", described(why));
    }
    let Some(found) = TELLING.iter().find_map(|kind| condition(object, kind)) else {
        return State::Ready;
    };
    if number(found, "/observedGeneration").is_some_and(|seen| seen < generation) {
        return State::progressing("waits for its controller");
    }
    if text(found, "/status") == Some("True") {
        return State::Ready;
    }
    State::progressing(described(found))
}

/// `Ready is False, Pending: waits for a certificate`.
fn described(condition: &Value) -> String {
    let kind = text_or_empty(condition, "/type");
    let status = text_or_empty(condition, "/status");
    let mut said = format!("{kind} is {status}");
    for (pointer, between) in [("/reason", ", "), ("/message", ": ")] {
        if let Some(more) = text(condition, pointer).filter(|more| !more.is_empty()) {
            said.push_str(between);
            said.push_str(more);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table() {
        let with = |kind: &str, status: &str, seen: i64| {
            json!({"conditions": [{"type": kind, "status": status, "observedGeneration": seen,
                "reason": "Issuing", "message": "waits"}]})
        };
        let waits = State::progressing("waits for its controller");
        let table = [
            (json!({}), State::Ready),
            (json!({"observedGeneration": 1}), waits.clone()),
            (json!({"observedGeneration": 2}), State::Ready),
            (with("Ready", "True", 2), State::Ready),
            (with("Ready", "True", 1), waits),
            (with("Ready", "False", 2), State::progressing("Ready is False, Issuing: waits")),
            (with("Ready", "Unknown", 2), State::progressing("Ready is Unknown, Issuing: waits")),
            (
                with("Available", "False", 2),
                State::progressing("Available is False, Issuing: waits"),
            ),
            (with("Available", "True", 2), State::Ready),
            (with("Accepted", "False", 2), State::Ready),
            (
                with("Stalled", "True", 2),
                State::failed("not-ready", "Stalled is True, Issuing: waits"),
            ),
        ];
        for (status, expected) in table {
            let object = json!({"metadata": {"generation": 2}, "status": status});
            assert_eq!(readiness(&object), expected, "{object}");
        }
    }
}
