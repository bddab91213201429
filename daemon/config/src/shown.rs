//! How values and names appear in messages.

use serde_json::Value;

use crate::limits::{LISTED_MAX, SHOWN_CHARS_MAX};

/// Suggestions are sought only for names up to this length: what is longer is
/// no typing error, and comparing costs the product of the lengths.
const SUGGESTED_CHARS_MAX: usize = 64;

/// On one line, and not too long for it.
pub(crate) fn shorten(text: &str) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            shown.push_str("...");
            break;
        }
        // Line breaks would tear the message, and control characters the terminal.
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shorten(text))
}

/// A value, as its author would recognise it.
pub(crate) fn value(value: &Value, written: Option<&str>) -> String {
    match (value, written) {
        (Value::Null, _) => "nothing".to_owned(),
        (Value::String(text), _) => quoted(text),
        (Value::Array(items), _) if items.is_empty() => "an empty list".to_owned(),
        (Value::Array(_), _) => "a list".to_owned(),
        (Value::Object(fields), _) if fields.is_empty() => "an empty map".to_owned(),
        (Value::Object(_), _) => "a map".to_owned(),
        (Value::Bool(_) | Value::Number(_), Some(written)) => shorten(written),
        (Value::Bool(_) | Value::Number(_), None) => shorten(&value.to_string()),
    }
}

/// Names in a row: `a, b, c`.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut names = names.into_iter();
    for name in names.by_ref().take(LISTED_MAX) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&shorten(name));
    }
    let more = names.count();
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The name that was probably meant.
pub(crate) fn nearest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = wrong.chars().count();
    if length > SUGGESTED_CHARS_MAX {
        return None;
    }
    // A third of the letters may be wrong, one always.
    let most = (length / 3).max(1);
    names
        .into_iter()
        .filter(|name| name.len() <= SUGGESTED_CHARS_MAX)
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= most && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

/// Letters swapped or in the other case are the smallest of mistakes.
fn distance(wrong: &str, name: &str) -> usize {
    if wrong.eq_ignore_ascii_case(name) {
        return 0;
    }
    strsim::osa_distance(wrong, name)
}

/// The help for a name that does not exist.
pub(crate) fn did_you_mean<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(wrong, names).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_near() {
        let names = ["workloads", "resources", "artifacts", "flow"];
        assert_eq!(nearest("workload", names), Some("workloads"));
        assert_eq!(nearest("Flow", names), Some("flow"));
        assert_eq!(nearest("artefacts", names), Some("artifacts"));
        assert_eq!(nearest("lfow", names), Some("flow"));
        assert_eq!(nearest("x", names), None);
        assert_eq!(nearest(&"w".repeat(10_000), names), None);
        assert_eq!(nearest("a", ["b"]), None);
    }

    #[test]
    fn messages_stay_on_their_line() {
        assert_eq!(shorten("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shorten(&"ä".repeat(61)), format!("{}...", "ä".repeat(60)));
        assert_eq!(list(["a", "b"]), "a, b");
        let many: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        assert!(list(many.iter().map(String::as_str)).ends_with("24 and 5 more"));
    }
}
