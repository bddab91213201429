//! Labels, annotations and label selectors.

use serde_json::Value;

use super::names;
use crate::json;
use crate::status::Cause;

/// Annotations of an object hold at most this many bytes together.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// Checks a map of labels.
pub(super) fn labels(object: &Value, field: &str, pointer: &str, found: &mut Vec<Cause>) {
    for (key, value) in json::object(object, pointer).into_iter().flatten() {
        if let Some(complaint) = names::qualified(key) {
            found.push(Cause::invalid(field, &Value::from(key.as_str()), &complaint));
        }
        if let Some(complaint) = value.as_str().and_then(names::label_value) {
            found.push(Cause::invalid(field, value, &complaint));
        }
    }
}

/// Checks a map of annotations.
pub(super) fn annotations(object: &Value, field: &str, pointer: &str, found: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in json::object(object, pointer).into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        if let Some(complaint) = names::qualified(&key.to_lowercase()) {
            found.push(Cause::invalid(field, &Value::from(key.as_str()), &complaint));
        }
    }
    if size > MOST_ANNOTATIONS {
        found.push(Cause::too_long(field, MOST_ANNOTATIONS));
    }
}

/// Checks a label selector; an empty one would fit everything.
pub(super) fn selector(selector: &Value, field: &str, found: &mut Vec<Cause>) {
    if !selector.is_object() {
        found.push(Cause::required(field, ""));
        return;
    }
    let of = |name: &str| json::object(selector, name).is_none_or(|m| m.is_empty());
    if of("/matchLabels") && json::items(selector, "/matchExpressions").is_empty() {
        found.push(Cause::invalid(field, selector, "empty selector is invalid for deployment"));
    }
    labels(selector, &format!("{field}.matchLabels"), "/matchLabels", found);
    for (index, one) in json::items(selector, "/matchExpressions").iter().enumerate() {
        let place = format!("{field}.matchExpressions[{index}]");
        let operator = json::text(one, "/operator");
        let is_empty = json::items(one, "/values").is_empty();
        match operator {
            "In" | "NotIn" if is_empty => found.push(Cause::required(
                format!("{place}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !is_empty => found.push(Cause::forbidden(
                format!("{place}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => found.push(Cause::invalid(
                format!("{place}.operator"),
                &Value::from(other),
                "not a valid selector operator",
            )),
        }
        if let Some(complaint) = names::qualified(json::text(one, "/key")) {
            let key = Value::from(json::text(one, "/key"));
            found.push(Cause::invalid(format!("{place}.key"), &key, &complaint));
        }
    }
}
