//! What leaves the templater: complete objects, secrets only where they may stand.

use crate::rendered::Rendered;
use deployd_plugin_sdk::{Fault, secret};
use serde_json::Value;
use std::fmt::Display;

/// Checks the documents that the baseline rendered, and drops nulls from them.
pub(crate) fn objects(rendered: Rendered) -> Result<Vec<Value>, Fault> {
    let may_refer = rendered.may_refer_to_secrets();
    let documents = rendered.documents()?.into_iter().enumerate();
    documents.map(|(index, document)| object(index, document, may_refer)).collect()
}

fn object(index: usize, mut document: Value, may_refer: bool) -> Result<Value, Fault> {
    drop_nulls(&mut document);
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        let text = document.pointer(pointer).and_then(Value::as_str);
        if text.is_none_or(str::is_empty) {
            let number = index.saturating_add(1);
            return Err(invalid(&format!("document {number} of its output has no {pointer}")));
        }
    }
    if let Some(place) = may_refer.then(|| misplaced_secret(&document)).flatten() {
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
fn misplaced_secret(document: &Value) -> Option<String> {
    let is = |key: &str, text: &str| document.get(key).and_then(Value::as_str) == Some(text);
    let may_hold = (is("kind", "Secret") && is("apiVersion", "v1")).then_some("stringData");
    find_secret(document, may_hold).map(|found| match found {
        Found::Text(path) => path,
        Found::Key(path) => format!("a key of {path}/"),
    })
}

/// A reference to a secret, and the path to it.
enum Found {
    Text(String),
    Key(String),
}

/// The first reference in a value, but for those in the field that may hold some.
/// Paths are put together on the way back only: mostly there is nothing to find.
fn find_secret(value: &Value, may_hold: Option<&str>) -> Option<Found> {
    match value {
        Value::String(text) => secret::contains_reference(text).then(|| Found::Text(String::new())),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find_secret(item, None).map(|found| found.below(index))),
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            if secret::contains_reference(key) {
                return Some(Found::Key(String::new()));
            }
            if may_hold == Some(key) {
                return None;
            }
            find_secret(field, None).map(|found| found.below(key))
        }),
        _ => None,
    }
}

impl Found {
    fn below(self, step: impl Display) -> Self {
        match self {
            Self::Text(path) => Self::Text(format!("/{step}{path}")),
            Self::Key(path) => Self::Key(format!("/{step}{path}")),
        }
    }
}

fn invalid(message: &str) -> Fault {
    Fault::invalid("/baseline", message)
}
