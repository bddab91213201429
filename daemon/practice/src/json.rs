//! Reading and writing fields of JSON objects without a panic on a surprise.

use serde_json::{Map, Value};

/// What is at a JSON pointer. Most have no escaped characters, and those need no
/// texts of their own for each step.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return value.pointer(pointer);
    }
    pointer.split('/').skip(1).try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// The text at a JSON pointer, empty when it is absent or not text.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer.
pub(crate) fn int(value: &Value, pointer: &str) -> Option<i64> {
    at(value, pointer).and_then(Value::as_i64)
}

/// The flag at a JSON pointer, false when absent.
pub(crate) fn flag(value: &Value, pointer: &str) -> bool {
    at(value, pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The items at a JSON pointer, none when it is absent or not a list.
pub(crate) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The object at a JSON pointer.
pub(crate) fn object<'a>(value: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    at(value, pointer).and_then(Value::as_object)
}

/// Whether something other than null is at a JSON pointer.
pub(crate) fn has(value: &Value, pointer: &str) -> bool {
    at(value, pointer).is_some_and(|found| !found.is_null())
}

/// The place at a path of keys; objects are made where they are missing.
pub(crate) fn slot<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Value {
    let mut at = value;
    for key in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        // Cannot panic: it is an object by now, and a missing key is made.
        at = &mut at[*key];
    }
    at
}

/// Sets the field at a path of keys.
pub(crate) fn put(value: &mut Value, path: &[&str], to: impl Into<Value>) {
    *slot(value, path) = to.into();
}

/// Sets the field at a path of keys unless it is there already.
pub(crate) fn put_default(value: &mut Value, path: &[&str], to: impl Into<Value>) {
    let place = slot(value, path);
    if place.is_null() {
        *place = to.into();
    }
}

/// Takes the field at a path of keys away, and says whether it was there.
pub(crate) fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut at = value;
    for key in parents {
        at = at.get_mut(*key)?;
    }
    at.as_object_mut()?.remove(*last)
}

/// The object at a path of keys, made where it is missing.
pub(crate) fn object_mut<'a>(
    value: &'a mut Value,
    path: &[&str],
) -> Option<&'a mut Map<String, Value>> {
    let place = slot(value, path);
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    place.as_object_mut()
}

/// The list at a path of keys, if there is one.
pub(crate) fn list_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Vec<Value>> {
    let mut at = value;
    for key in path {
        at = at.get_mut(*key)?;
    }
    at.as_array_mut()
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The namespace of an object, empty when it has none.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// The uid of an object.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// Whether deletion of an object has begun.
pub(crate) fn is_deleting(object: &Value) -> bool {
    has(object, "/metadata/deletionTimestamp")
}
