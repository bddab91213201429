//! How two documents differ, field by field.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Where: an RFC 6901 pointer, in which an element of a list of things with
    /// names is `[name]`.
    pub path: String,
    /// What side `a` has; nothing where it has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What side `b` has; nothing where it has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// Whether the values are secret, and not shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// What differs between two documents: the deepest fields that do.
pub fn fields(a: &Value, b: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk(&mut String::new(), Some(a), Some(b), &mut found);
    found
}

/// A key as a part of a pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn walk(path: &mut String, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<FieldChange>) {
    if a == b {
        return;
    }
    match (a, b) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                below(path, &escaped(key), a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => match (named(a), named(b)) {
            (Some(a), Some(b)) => {
                let added = b.order.iter().filter(|name| !a.by_name.contains_key(*name));
                for name in a.order.iter().chain(added) {
                    let part = format!("[{}]", escaped(name));
                    let (a, b) = (a.by_name.get(name), b.by_name.get(name));
                    below(path, &part, a.copied(), b.copied(), found);
                }
                // The same things in another order: that is all that differs.
                if a.by_name == b.by_name {
                    let names =
                        |all: &Named<'_>| all.order.iter().map(|name| (*name).into()).collect();
                    change(
                        path,
                        Some(Value::Array(names(&a))),
                        Some(Value::Array(names(&b))),
                        found,
                    );
                }
            }
            _ => {
                for place in 0..a.len().max(b.len()) {
                    below(path, &place.to_string(), a.get(place), b.get(place), found);
                }
            }
        },
        (a, b) => change(path, a.cloned(), b.cloned(), found),
    }
}

fn below(
    path: &mut String,
    part: &str,
    a: Option<&Value>,
    b: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    let length = path.len();
    path.push('/');
    path.push_str(part);
    walk(path, a, b, found);
    path.truncate(length);
}

fn change(path: &str, from: Option<Value>, to: Option<Value>, found: &mut Vec<FieldChange>) {
    found.push(FieldChange { path: path.to_owned(), from, to, hidden: false });
}

/// A list's elements by their names, and the names as they come.
struct Named<'v> {
    order: Vec<&'v str>,
    by_name: BTreeMap<&'v str, &'v Value>,
}

/// A list's elements by their names, if all have one and none twice: containers,
/// ports and variables of Kubernetes.
fn named(list: &[Value]) -> Option<Named<'_>> {
    let name = |value| Value::as_object(value).and_then(name_of);
    let order: Vec<&str> = list.iter().map(name).collect::<Option<_>>()?;
    let by_name: BTreeMap<&str, &Value> = order.iter().copied().zip(list).collect();
    (!list.is_empty() && by_name.len() == list.len()).then_some(Named { order, by_name })
}

fn name_of(object: &Map<String, Value>) -> Option<&str> {
    object.get("name").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(a: &Value, b: &Value) -> Vec<String> {
        fields(a, b).into_iter().map(|field| field.path).collect()
    }

    #[test]
    fn the_deepest_fields_are_named() {
        let a = json!({"a": {"b/c": 1, "d": [1, 2], "same": {}}, "gone": null});
        let b = json!({"a": {"b/c": 2, "d": [1], "same": {}}, "new": {"x": 1}});
        assert_eq!(paths(&a, &b), ["/a/b~1c", "/a/d/1", "/gone", "/new"]);
        assert!(paths(&a, &a).is_empty());
    }

    #[test]
    fn things_with_names_are_compared_by_them() {
        let main = json!({"name": "main", "image": "a"});
        let side = json!({"name": "side", "image": "a"});
        let newer = json!({"name": "main", "image": "b"});
        assert_eq!(paths(&json!([main, side]), &json!([side, newer])), ["/[main]/image"]);
        assert_eq!(paths(&json!([main]), &json!([side, main])), ["/[side]"]);
        // Another order alone is a difference, too.
        assert_eq!(paths(&json!([main, side]), &json!([side, main])), [""]);
        // A name twice names nothing.
        assert_eq!(paths(&json!([main, main]), &json!([main, side])), ["/1/image", "/1/name"][1..]);
    }
}
