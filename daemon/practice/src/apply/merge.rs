//! Merging an applied configuration into an object, and taking away what its
//! applier owned alone and no longer sends.

use serde_json::{Map, Value};

use super::fieldset::{FieldSet, field, member};
use super::walk::{by_element, item_element};
use crate::schema::{Shape, Type};

/// The object with the configuration's fields set.
pub(crate) fn merge(live: &Value, config: &Value, ty: &Type) -> Value {
    match (ty.shape(), live, config) {
        (
            Shape::Struct | Shape::Any | Shape::Map(_),
            Value::Object(before),
            Value::Object(wanted),
        ) => {
            let mut merged = before.clone();
            for (name, value) in wanted {
                let of = ty.field(name).unwrap_or(&Type::Any);
                let value = match before.get(name) {
                    Some(was) => merge(was, value, of),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Shape::Keyed(of, keys), Value::Array(_), Value::Array(_)) => {
            merge_items(live, config, of, keys)
        }
        (Shape::Set, Value::Array(before), Value::Array(wanted)) => {
            let mut merged = before.clone();
            for value in wanted {
                if !merged.contains(value) {
                    merged.push(value.clone());
                }
            }
            Value::Array(merged)
        }
        _ => config.clone(),
    }
}

/// Merges two lists with keys. The order is the configuration's, with the
/// items it does not name where they were between those it does.
fn merge_items(live: &Value, config: &Value, of: &Type, keys: &[String]) -> Value {
    let left = by_element(live, of, keys);
    let right = by_element(config, of, keys);
    let mut out: Vec<(&String, Value)> = Vec::new();
    let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
    loop {
        match (lefts.peek(), rights.peek()) {
            (Some((element, was)), next) => {
                let is_next = next.is_some_and(|(wanted, _)| wanted == element);
                let is_wanted = right.iter().any(|(wanted, _)| wanted == element);
                let is_done = out.iter().any(|(done, _)| *done == element);
                if is_done {
                    lefts.next();
                } else if !is_wanted {
                    out.push((element, (*was).clone()));
                    lefts.next();
                } else if is_next {
                    if let Some((_, wanted)) = next {
                        out.push((element, merge(was, wanted, of)));
                    }
                    lefts.next();
                    rights.next();
                } else if let Some((wanted, value)) = rights.next() {
                    out.push((wanted, merged_with(&left, wanted, value, of)));
                } else {
                    lefts.next();
                }
            }
            (None, Some((wanted, value))) => {
                out.push((wanted, merged_with(&left, wanted, value, of)));
                rights.next();
            }
            (None, None) => break,
        }
    }
    Value::Array(out.into_iter().map(|(_, value)| value).collect())
}

fn merged_with(left: &[(String, &Value)], element: &str, value: &Value, of: &Type) -> Value {
    match left.iter().find(|(known, _)| known == element) {
        Some((_, was)) => merge(was, value, of),
        None => value.clone(),
    }
}

/// Removes the fields of `last`, the applier's previous set, that nobody owns
/// now. `owned` is the union of all sets, the applier's new one among them.
pub(crate) fn prune(value: &mut Value, ty: &Type, last: &FieldSet, owned: &FieldSet) {
    match (ty.shape(), value) {
        (Shape::Struct | Shape::Any | Shape::Map(_), Value::Object(entries)) => {
            prune_entries(entries, ty, last, owned);
        }
        (Shape::Keyed(of, keys), Value::Array(items)) => {
            let nothing = FieldSet::default();
            items.retain_mut(|item| {
                let Some(element) = item_element(item, of, keys) else {
                    return true;
                };
                let Some(below) = last.child(&element) else {
                    return true;
                };
                match owned.child(&element) {
                    None if below.member => false,
                    still => {
                        prune(item, of, below, still.unwrap_or(&nothing));
                        true
                    }
                }
            });
        }
        (Shape::Set, Value::Array(items)) => items.retain(|item| {
            let element = member(item);
            last.child(&element).is_none() || owned.child(&element).is_some()
        }),
        _ => {}
    }
}

fn prune_entries(entries: &mut Map<String, Value>, ty: &Type, last: &FieldSet, owned: &FieldSet) {
    let nothing = FieldSet::default();
    let known = ty.as_struct();
    entries.retain(|name, value| {
        let element = field(name);
        let Some(below) = last.child(&element) else {
            return true;
        };
        // A named field counts as owned through anything below it; a key that
        // is data does so only when it was set itself.
        let is_named = known.is_some_and(|found| found.fields.contains_key(name));
        match owned.child(&element) {
            None if below.member || is_named => false,
            still => {
                let of = ty.field(name).unwrap_or(&Type::Any);
                prune(value, of, below, still.unwrap_or(&nothing));
                true
            }
        }
    });
}
