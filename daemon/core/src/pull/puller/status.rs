//! Fields of objects. What is missing or of another type reads as nothing.

use serde_json::Value;

use crate::Timestamp;
use crate::ports::ObjectRef;

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

pub(super) fn text_or_empty<'a>(object: &'a Value, pointer: &str) -> &'a str {
    text(object, pointer).unwrap_or_default()
}

pub(super) fn flag(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    serde_json::from_value(object.pointer(pointer)?.clone()).ok()
}

/// A condition of the status.
pub(super) fn condition<'a>(object: &'a Value, wanted: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|it| text(it, "/type") == Some(wanted))
}

/// A condition of the status that holds.
pub(super) fn holding<'a>(object: &'a Value, wanted: &str) -> Option<&'a Value> {
    condition(object, wanted).filter(|it| text(it, "/status") == Some("True"))
}

/// The reference of an object that certainly is of this kind.
pub(super) fn reference_of(object: &Value, api_version: &str, kind: &str) -> ObjectRef {
    ObjectRef {
        api_version: text(object, "/apiVersion").unwrap_or(api_version).to_owned(),
        kind: text(object, "/kind").unwrap_or(kind).to_owned(),
        namespace: text(object, "/metadata/namespace").map(str::to_owned),
        name: text_or_empty(object, "/metadata/name").to_owned(),
    }
}
