//! References to secrets: what stands in outputs and manifests where the value
//! will be, once the object leaves for the cluster.

mod keys;
mod link;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use keys::{KeyReport, KeyUse, KeyView};
pub use link::{InvalidLink, Link, LinkKind};

const OPEN: &str = "\u{27e6}secret:";
const CLOSE: char = '\u{27e7}';

/// Names one secret: of a resource (`<uid>/password`) or set by an operator
/// (`operator/<name>`). Its text, `⟦secret:OWNER/NAME⟧`, may stand inside a
/// longer string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretRef {
    /// The resource's uid, or [`OPERATOR`].
    pub owner: String,
    /// The name within its owner.
    pub name: String,
}

/// The owner of secrets that an operator has set.
pub const OPERATOR: &str = "operator";

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OPEN}{}/{}{CLOSE}", self.owner, self.name)
    }
}

/// A part of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it stands.
    Text(&'a str),
    /// Where a secret's value will be.
    Secret(SecretRef),
}

/// Whether a text has anything in it that looks like a reference. What people
/// write is refused when it does, so that nobody can name a secret by hand.
pub fn has_marker(text: &str) -> bool {
    text.contains(OPEN)
}

/// Whether references begin or end with it.
fn is_bracket(c: char) -> bool {
    c == CLOSE || OPEN.starts_with(c)
}

/// Splits a string into text and references. What only begins like a reference
/// is text.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let (before, from) = rest.split_at(start);
        let inner = from.strip_prefix(OPEN).unwrap_or(from);
        let Some((name, after)) = inner.split_once(CLOSE) else { break };
        let Some((owner, name)) = name.split_once('/') else { break };
        if !before.is_empty() {
            found.push(Part::Text(before));
        }
        found.push(Part::Secret(SecretRef { owner: owner.to_owned(), name: name.to_owned() }));
        rest = after;
    }
    if !rest.is_empty() {
        found.push(Part::Text(rest));
    }
    found
}

/// Every reference in a document, in order of appearance.
pub fn references(document: &Value) -> Vec<SecretRef> {
    let mut found = Vec::new();
    visit(document, &mut String::new(), &mut |_, text| {
        for part in parts(text) {
            if let Part::Secret(reference) = part {
                found.push(reference);
            }
        }
    });
    found
}

/// Paths (RFC 6901) of strings of a document that look like references.
pub fn marked_paths(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(document, &mut String::new(), &mut |path, text| {
        if has_marker(text) {
            found.push(path.to_owned());
        }
    });
    found
}

/// Where a Kubernetes object has references in a place where they must not be:
/// anywhere but in the `stringData` of a v1 Secret. Paths are RFC 6901.
pub fn misplaced(object: &Value) -> Vec<String> {
    let is_secret = object.get("kind").and_then(Value::as_str) == Some("Secret")
        && object.get("apiVersion").and_then(Value::as_str) == Some("v1");
    marked_paths(object)
        .into_iter()
        .filter(|path| !(is_secret && path.starts_with("/stringData/")))
        .collect()
}

fn visit(value: &Value, path: &mut String, see: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(path, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let length = path.len();
                path.push_str(&format!("/{index}"));
                visit(item, path, see);
                path.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let length = path.len();
                path.push('/');
                path.push_str(&key.replace('~', "~0").replace('/', "~1"));
                see(path, key);
                visit(item, path, see);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A secret's value in memory. Never printed: `Debug` hides it, and it is not
/// serialisable on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// Wraps a value.
    pub fn new(value: Vec<u8>) -> Self {
        Self(value)
    }

    /// The value itself. Every caller is a place where a secret leaves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

impl Drop for SecretValue {
    fn drop(&mut self) {
        self.0.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_stand_inside_longer_strings() {
        let reference = SecretRef { owner: "ab12".into(), name: "password".into() };
        let text = format!("postgres://app:{reference}@db/{reference}");
        assert_eq!(
            parts(&text),
            [
                Part::Text("postgres://app:"),
                Part::Secret(reference.clone()),
                Part::Text("@db/"),
                Part::Secret(reference),
            ]
        );
        assert_eq!(parts("plain"), [Part::Text("plain")]);
        assert_eq!(parts("\u{27e6}secret:open"), [Part::Text("\u{27e6}secret:open")]);
    }

    #[test]
    fn only_string_data_of_secrets_may_hold_them() {
        let text = SecretRef { owner: "u".into(), name: "n".into() }.to_string();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": text}});
        assert!(misplaced(&object).is_empty());
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a/b": text}});
        assert_eq!(misplaced(&object), ["/data/a~1b"]);
        let object =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"labels": {"a": text}}});
        assert_eq!(misplaced(&object), ["/metadata/labels/a"]);
    }

    #[test]
    fn values_are_not_printed() {
        assert_eq!(format!("{:?}", SecretValue::new(b"hunter2".to_vec())), "SecretValue(..)");
    }
}
