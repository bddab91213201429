//! Reading fields of objects. What is missing or of another type reads as
//! nothing: what an API server sends is not ours to insist on.

use serde_json::Value;

/// What is at a pointer. Without escaped characters, which most have not, no step
/// needs a text of its own.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return object.pointer(pointer);
    }
    pointer.split('/').skip(1).try_fold(object, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// The text at a pointer.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    at(object, pointer).and_then(Value::as_str)
}

/// The text at a pointer, or nothing.
pub(crate) fn text_or_empty<'a>(object: &'a Value, pointer: &str) -> &'a str {
    text(object, pointer).unwrap_or_default()
}

/// The number at a pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    at(object, pointer).and_then(Value::as_i64)
}

/// The number at a pointer, or 0: the way status fields leave zeros out.
pub(crate) fn count(object: &Value, pointer: &str) -> i64 {
    number(object, pointer).unwrap_or(0)
}

/// Whether there is `true` at a pointer.
pub(crate) fn flag(object: &Value, pointer: &str) -> bool {
    at(object, pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The items at a pointer.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A condition of the status.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").iter().find(|c| text(c, "/type") == Some(kind))
}

/// Whether a condition of the status is `True`.
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).and_then(|c| text(c, "/status")) == Some("True")
}

/// Whether the controller has seen the object as it is now.
pub(crate) fn observed(object: &Value) -> bool {
    let seen = "/status/observedGeneration";
    // Argo Rollouts writes it as a text.
    let written = || text(object, seen).and_then(|text| text.parse().ok());
    let seen = number(object, seen).or_else(written).unwrap_or(0);
    seen >= count(object, "/metadata/generation")
}

pub(crate) fn name(object: &Value) -> &str {
    text_or_empty(object, "/metadata/name")
}

pub(crate) fn uid(object: &Value) -> &str {
    text_or_empty(object, "/metadata/uid")
}

pub(crate) fn kind(object: &Value) -> &str {
    text_or_empty(object, "/kind")
}

/// An annotation.
pub(crate) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

/// A label.
pub(crate) fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// Whether an object is on its way out.
pub(crate) fn is_leaving(object: &Value) -> bool {
    text(object, "/metadata/deletionTimestamp").is_some()
}

/// Whether an object is controlled by another.
pub(crate) fn is_owned_by(object: &Value, owner_uid: &str) -> bool {
    !owner_uid.is_empty()
        && items(object, "/metadata/ownerReferences")
            .iter()
            .any(|owner| text(owner, "/uid") == Some(owner_uid))
}

/// The API group of an `apiVersion`.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// At most so many bytes of a text, with a sign that there was more.
pub(crate) fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes;
    while end > 0 && !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_reads_as_nothing() {
        let object = json!({"metadata": {"generation": 2}, "status": {"conditions": "no list"}});
        assert_eq!(text(&object, "/metadata/name"), None);
        assert_eq!(count(&object, "/status/replicas"), 0);
        assert!(condition(&object, "Ready").is_none());
        assert!(!observed(&object));
        assert_eq!(group_of("v1"), "");
        assert_eq!(group_of("apps/v1"), "apps");
    }

    #[test]
    fn shortening_keeps_characters_whole() {
        assert_eq!(shortened("grün", 3), "gr…");
        assert_eq!(shortened("grün", 5), "grün");
    }
}
