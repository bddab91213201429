//! Makes generated schemas say what documents may hold, and no more.
//!
//! The generator speaks of what serde reads: an optional field may be `null`,
//! numbers have formats named after Rust's types. In a document a field without
//! a value is a mistake, and nobody else knows these formats.

use serde_json::{Map, Value};

/// Simplifies a schema and all within it.
pub(super) fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            without_null(fields);
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
            let rusty = |format: &str| format.starts_with("uint") || format.starts_with("int");
            if fields.get("format").and_then(Value::as_str).is_some_and(rusty) {
                fields.remove("format");
            }
            fields.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

fn without_null(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(branches)) = fields.get_mut("anyOf") else { return };
    branches.retain(|branch| branch.get("type").and_then(Value::as_str) != Some("null"));
    if let [Value::Object(only)] = branches.as_slice() {
        let only = only.clone();
        fields.remove("anyOf");
        for (key, value) in only {
            fields.entry(key).or_insert(value);
        }
    }
}
