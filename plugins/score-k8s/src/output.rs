//! What leaves the templater: complete objects, secrets only where they may stand.

use deployd_plugin_sdk::{Fault, secret};
use serde_json::Value;

/// Checks the documents that the baseline rendered, and drops nulls from them.
pub(crate) fn objects(documents: Vec<Value>) -> Result<Vec<Value>, Fault> {
    documents.into_iter().enumerate().map(|(index, document)| object(index, document)).collect()
}

fn object(index: usize, mut document: Value) -> Result<Value, Fault> {
    drop_nulls(&mut document);
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        let text = document.pointer(pointer).and_then(Value::as_str);
        if text.is_none_or(str::is_empty) {
            let number = index.saturating_add(1);
            return Err(invalid(&format!("document {number} of its output has no {pointer}")));
        }
    }
    if let Some(place) = misplaced_secret(&document, "") {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or("?");
        return Err(invalid(&format!(
            "{place} of a {kind} holds a secret, which may stand in the stringData of a Secret only"
        )));
    }
    Ok(document)
}

/// What is null in a baseline is not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Where a reference to a secret stands that may not stand there.
fn misplaced_secret(document: &Value, path: &str) -> Option<String> {
    let is_secret = path.is_empty()
        && document.get("kind").and_then(Value::as_str) == Some("Secret")
        && document.get("apiVersion").and_then(Value::as_str) == Some("v1");
    match document {
        Value::String(text) => secret::contains_reference(text).then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| misplaced_secret(item, &format!("{path}/{index}"))),
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            if secret::contains_reference(key) {
                return Some(format!("a key of {path}/"));
            }
            if is_secret && key == "stringData" {
                return None;
            }
            misplaced_secret(field, &format!("{path}/{key}"))
        }),
        _ => None,
    }
}

fn invalid(message: &str) -> Fault {
    Fault::invalid("/baseline", message)
}
