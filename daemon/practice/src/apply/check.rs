//! What an applied configuration must satisfy before it can be merged.

use serde_json::Value;

use super::fieldset::FieldSet;
use super::walk::item_element;
use crate::schema::{ListMerge, Scalar, Type};

/// The complaints about a configuration, in the API server's words.
pub(crate) fn complaints(config: &Value, ty: &Type) -> Vec<String> {
    let mut found = Vec::new();
    walk(config, ty, &mut String::new(), &mut found);
    found
}

/// One message of several complaints.
pub(crate) fn message(complaints: &[String]) -> String {
    match complaints {
        [one] => one.clone(),
        many => {
            let lines: Vec<String> = many.iter().map(|line| format!("  {line}")).collect();
            format!("errors:\n{}", lines.join("\n"))
        }
    }
}

/// At a place one step further.
fn below(at: &mut String, step: &str, look: impl FnOnce(&mut String)) {
    let length = at.len();
    at.push_str(step);
    look(at);
    at.truncate(length);
}

/// The same for a field.
fn at_field(at: &mut String, name: &str, look: impl FnOnce(&mut String)) {
    below(at, ".", |at| below(at, name, look));
}

fn walk(value: &Value, ty: &Type, at: &mut String, found: &mut Vec<String>) {
    match (ty, value) {
        (_, Value::Null) | (Type::Any, _) => {}
        (Type::Scalar(scalar), value) => {
            if let Some(wanted) = expected(value, *scalar) {
                found.push(format!("{at}: expected {wanted}, got {}", shown(value)));
            }
        }
        (Type::Map { of, .. }, Value::Object(entries)) => {
            for (name, value) in entries {
                at_field(at, name, |at| walk(value, of, at, found));
            }
        }
        (Type::Map { .. }, other) => {
            found.push(format!("{at}: expected map, got {}", shown(other)));
        }
        (Type::List { of, merge }, Value::Array(items)) => {
            list(items, of, merge, at, found);
        }
        (Type::List { .. }, other) => {
            found.push(format!("{at}: expected list, got {}", shown(other)));
        }
        (Type::Named(_) | Type::Struct(_), Value::Object(entries)) => {
            for (name, value) in entries {
                at_field(at, name, |at| match ty.field(name) {
                    Some(of) => walk(value, of, at, found),
                    None => found.push(format!("{at}: field not declared in schema")),
                });
            }
        }
        (Type::Named(_) | Type::Struct(_), other) => {
            found.push(format!("{at}: expected map, got {}", shown(other)));
        }
    }
}

fn list(items: &[Value], of: &Type, merge: &ListMerge, at: &mut String, found: &mut Vec<String>) {
    let mut seen: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let element = match merge {
            ListMerge::Atomic => {
                below(at, &format!("[{index}]"), |at| walk(item, of, at, found));
                continue;
            }
            ListMerge::Set => super::fieldset::member(item),
            ListMerge::Keys(keys) => {
                let missing = keys
                    .iter()
                    .find(|key| item.get(*key).is_none() && of.key_default(key).is_none());
                if let Some(key) = missing {
                    found.push(format!(
                        "{at}: element {index}: associative list with keys has an element that omits key field \"{key}\" (and doesn't have default value)"
                    ));
                    continue;
                }
                item_element(item, of, keys).unwrap_or_default()
            }
        };
        let mut place = FieldSet::default();
        place.insert(element.clone(), FieldSet::leaf());
        let place = place.paths().concat();
        if seen.contains(&element) {
            found.push(format!("{at}: duplicate entries for key {place}"));
            continue;
        }
        seen.push(element);
        below(at, &place, |at| walk(item, of, at, found));
    }
}

fn expected(value: &Value, scalar: Scalar) -> Option<&'static str> {
    let (fits, wanted) = match scalar {
        Scalar::Bool => (value.is_boolean(), "boolean"),
        Scalar::Text | Scalar::Bytes | Scalar::Time => (value.is_string(), "string"),
        Scalar::Int | Scalar::Long => (value.is_i64(), "numeric (int or float)"),
        Scalar::Number => (value.is_number(), "numeric (int or float)"),
        Scalar::IntOrText | Scalar::Quantity => {
            (value.is_number() || value.is_string(), "string or number")
        }
    };
    (!fits).then_some(wanted)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("&{{{text}}}"),
        other => format!("&{{{other}}}"),
    }
}
