//! What a strategy is told of an action that has failed.

use serde_json::{Value, json};

use crate::Fault;

/// As the contract of strategies has it.
pub(super) fn failed(fault: &Fault) -> Value {
    json!({
        "outcome": "failed",
        "code": fault.code,
        "message": fault.message,
        "detail": fault.detail,
    })
}

/// What it was told of a failure, if it was told of one; of which class that was, it
/// was not.
pub(super) fn told(observation: &Value) -> Option<Fault> {
    let text = |field| observation.get(field)?.as_str();
    if text("outcome") != Some("failed") {
        return None;
    }
    let detail = observation.get("detail").cloned().unwrap_or_default();
    Some(Fault { detail, ..Fault::permanent(text("code")?, text("message")?) })
}
