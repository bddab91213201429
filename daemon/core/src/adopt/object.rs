//! What is read of any object.

use serde_json::Value;

/// The text at a pointer.
pub(super) fn text<'v>(object: &'v Value, pointer: &str) -> Option<&'v str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// The kind; empty where it has none.
pub(super) fn kind(object: &Value) -> &str {
    text(object, "/kind").unwrap_or_default()
}

/// The name; empty where it has none.
pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name").unwrap_or_default()
}

/// The group of its kind; empty for the core's.
pub(super) fn group(object: &Value) -> &str {
    let version = text(object, "/apiVersion").unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether it is of a group and kind.
pub(super) fn is(object: &Value, of: &str, wanted: &str) -> bool {
    kind(object) == wanted && group(object) == of
}

/// Whether it is in the namespace that is taken over, or says none.
pub(super) fn is_here(object: &Value, namespace: &str) -> bool {
    text(object, "/metadata/namespace").is_none_or(|found| found == namespace)
}

/// What tells it from others. One that says no namespace is in ours.
pub(super) fn key(object: &Value, namespace: &str) -> (String, String, String, String) {
    let found = text(object, "/metadata/namespace").unwrap_or(namespace);
    let parts = (kind(object), group(object), found, name(object));
    (parts.0.to_owned(), parts.1.to_owned(), parts.2.to_owned(), parts.3.to_owned())
}

/// The items of a list at a pointer; none where there is no list.
pub(super) fn items<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
