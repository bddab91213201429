//! How a rehearsal is told.

use serde_json::Value;

/// Characters of a strategy's words that are kept: a line of a table.
const TEXT_CHARS_MAX: usize = 200;

/// What came of an action, for people: an observation as strategies get it.
pub fn told(observation: &Value) -> String {
    let text = |name: &str| observation.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("outcome") {
        "failed" => format!("failed: {}", text("message")),
        other => other.to_owned(),
    }
}

/// The beginning of a text, as much as a line of a table has room for.
pub fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}
