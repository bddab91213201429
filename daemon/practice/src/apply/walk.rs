//! Which fields an object has, and which differ between two.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fieldset::{FieldSet, field, keyed, member};
use crate::schema::{Shape, Type};

/// How two objects differ.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Paths only the newer has.
    pub(crate) added: FieldSet,
    /// Paths both have, with other values.
    pub(crate) modified: FieldSet,
    /// Paths only the older has.
    pub(crate) removed: FieldSet,
}

/// The key element of a list item: its key fields, defaulted where left out.
pub(crate) fn item_element(item: &Value, of: &Type, keys: &[String]) -> Option<String> {
    let mut found: BTreeMap<&str, Value> = BTreeMap::new();
    for key in keys {
        let value = item.get(key).filter(|v| !v.is_null()).cloned();
        if let Some(value) = value.or_else(|| of.key_default(key)) {
            found.insert(key, value);
        }
    }
    (!found.is_empty()).then(|| keyed(&found))
}

/// The items of a list by their element; of two with the same one, the first.
pub(crate) fn by_element<'a>(
    list: &'a Value,
    of: &Type,
    keys: &[String],
) -> Vec<(String, &'a Value)> {
    let mut found: Vec<(String, &'a Value)> = Vec::new();
    for item in list.as_array().into_iter().flatten() {
        if let Some(element) = item_element(item, of, keys)
            && !found.iter().any(|(known, _)| *known == element)
        {
            found.push((element, item));
        }
    }
    found
}

/// The fields an applied configuration owns.
pub(crate) fn fields_of(value: &Value, ty: &Type) -> FieldSet {
    let mut set = FieldSet::default();
    match (ty.shape(), value) {
        (Shape::Struct | Shape::Any, Value::Object(entries)) if !entries.is_empty() => {
            for (name, below) in entries {
                let of = ty.field(name).unwrap_or(&Type::Any);
                set.insert(field(name), fields_of(below, of));
            }
        }
        (Shape::Map(of), Value::Object(entries)) if !entries.is_empty() => {
            for (name, below) in entries {
                let mut child = fields_of(below, of);
                child.member = true;
                set.insert(field(name), child);
            }
        }
        (Shape::Keyed(of, keys), Value::Array(items)) if !items.is_empty() => {
            for (element, item) in by_element(value, of, keys) {
                let mut child = fields_of(item, of);
                child.member = true;
                set.insert(element, child);
            }
        }
        (Shape::Set, Value::Array(items)) if !items.is_empty() => {
            for item in items {
                set.insert(member(item), FieldSet::leaf());
            }
        }
        _ => set.member = true,
    }
    set
}

/// Every path of a value, the ones on the way to leaves too.
fn all_paths(value: &Value, ty: &Type) -> FieldSet {
    let mut set = FieldSet::leaf();
    match (ty.shape(), value) {
        (Shape::Struct | Shape::Any | Shape::Map(_), Value::Object(entries)) => {
            for (name, below) in entries {
                let of = ty.field(name).unwrap_or(&Type::Any);
                set.insert(field(name), all_paths(below, of));
            }
        }
        (Shape::Keyed(of, keys), Value::Array(_)) => {
            for (element, item) in by_element(value, of, keys) {
                set.insert(element, all_paths(item, of));
            }
        }
        (Shape::Set, Value::Array(items)) => {
            for item in items {
                set.insert(member(item), FieldSet::leaf());
            }
        }
        _ => {}
    }
    set
}

/// What changed from one value to another.
pub(crate) fn compare(old: &Value, new: &Value, ty: &Type) -> Comparison {
    let mut found = Comparison::default();
    if old == new {
        return found;
    }
    match (ty.shape(), old, new) {
        (
            Shape::Struct | Shape::Any | Shape::Map(_),
            Value::Object(before),
            Value::Object(after),
        ) => {
            for (name, was) in before {
                let of = ty.field(name).unwrap_or(&Type::Any);
                found.entry(field(name), Some(was), after.get(name), of);
            }
            for (name, is) in after {
                if !before.contains_key(name) {
                    let of = ty.field(name).unwrap_or(&Type::Any);
                    found.entry(field(name), None, Some(is), of);
                }
            }
        }
        (Shape::Keyed(of, keys), Value::Array(_), Value::Array(_)) => {
            let before = by_element(old, of, keys);
            let after = by_element(new, of, keys);
            for (element, was) in &before {
                let is = after.iter().find(|(e, _)| e == element).map(|(_, v)| *v);
                found.entry(element.clone(), Some(was), is, of);
            }
            for (element, is) in &after {
                if !before.iter().any(|(e, _)| e == element) {
                    found.entry(element.clone(), None, Some(is), of);
                }
            }
        }
        (Shape::Set, Value::Array(before), Value::Array(after)) => {
            for was in before.iter().filter(|was| !after.contains(was)) {
                found.removed.insert(member(was), FieldSet::leaf());
            }
            for is in after.iter().filter(|is| !before.contains(is)) {
                found.added.insert(member(is), FieldSet::leaf());
            }
        }
        _ => found.modified.member = true,
    }
    found
}

impl Comparison {
    fn entry(&mut self, element: String, old: Option<&Value>, new: Option<&Value>, of: &Type) {
        match (old, new) {
            (Some(old), Some(new)) => {
                let below = compare(old, new, of);
                self.added.insert(element.clone(), below.added);
                self.modified.insert(element.clone(), below.modified);
                self.removed.insert(element, below.removed);
            }
            (Some(old), None) => self.removed.insert(element, all_paths(old, of)),
            (None, Some(new)) => self.added.insert(element, all_paths(new, of)),
            (None, None) => {}
        }
    }
}
