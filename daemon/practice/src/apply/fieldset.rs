//! Sets of field paths, in the encoding of `fieldsV1`.
//!
//! A path element is its encoded text: `f:replicas`, `k:{"name":"app"}`,
//! `v:"example.com/finalizer"`. That gives order and equality for free.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A tree of path elements; a node may be a member itself, above others, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// The path that leads here is in the set.
    pub(crate) member: bool,
    /// What is below.
    pub(crate) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// A set of the empty path.
    pub(crate) fn leaf() -> Self {
        Self { member: true, children: BTreeMap::new() }
    }

    /// Whether no path is in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(FieldSet::is_empty)
    }

    /// The part below an element.
    pub(crate) fn child(&self, element: &str) -> Option<&FieldSet> {
        self.children.get(element)
    }

    /// Adds a subtree below an element, unless it is empty.
    pub(crate) fn insert(&mut self, element: String, below: FieldSet) {
        if !below.is_empty() {
            self.children
                .entry(element)
                .and_modify(|found| *found = found.union(&below))
                .or_insert(below);
        }
    }

    /// Paths in either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut children = self.children.clone();
        for (element, theirs) in &other.children {
            children
                .entry(element.clone())
                .and_modify(|ours| *ours = ours.union(theirs))
                .or_insert_with(|| theirs.clone());
        }
        Self { member: self.member || other.member, children }
    }

    /// Paths in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let children = self
            .children
            .iter()
            .filter_map(|(element, ours)| {
                let both = ours.intersection(other.children.get(element)?);
                (!both.is_empty()).then(|| (element.clone(), both))
            })
            .collect();
        Self { member: self.member && other.member, children }
    }

    /// Paths in this one only.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut left = self.clone();
        left.remove(other);
        left
    }

    /// Takes paths away.
    pub(crate) fn remove(&mut self, other: &Self) {
        self.member &= !other.member;
        for (element, theirs) in &other.children {
            if let Some(ours) = self.children.get_mut(element) {
                ours.remove(theirs);
                if ours.is_empty() {
                    self.children.remove(element);
                }
            }
        }
    }

    /// Takes paths away, and what is below them.
    pub(crate) fn remove_below(&mut self, other: &Self) {
        if other.member {
            *self = Self::default();
            return;
        }
        for (element, theirs) in &other.children {
            if let Some(ours) = self.children.get_mut(element) {
                ours.remove_below(theirs);
                if ours.is_empty() {
                    self.children.remove(element);
                }
            }
        }
    }

    /// Every path, written as conflicts write it: `.spec.containers[name="app"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect(&mut String::new(), &mut found);
        found
    }

    fn collect(&self, at: &mut String, found: &mut Vec<String>) {
        if self.member {
            found.push(at.clone());
        }
        for (element, below) in &self.children {
            let length = at.len();
            at.push_str(&written(element));
            below.collect(at, found);
            at.truncate(length);
        }
    }

    /// Reads `fieldsV1`.
    pub(crate) fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        for (element, below) in value.as_object().into_iter().flatten() {
            if element == "." {
                set.member = true;
                continue;
            }
            let mut child = Self::from_json(below);
            if below.as_object().is_none_or(Map::is_empty) {
                child.member = true;
            }
            set.children.insert(element.clone(), child);
        }
        set
    }

    /// Writes `fieldsV1`.
    pub(crate) fn into_json(self) -> Value {
        let mut object = Map::new();
        if self.member && !self.children.is_empty() {
            object.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, below) in self.children {
            object.insert(element, below.into_json());
        }
        Value::Object(object)
    }
}

/// The element of a field.
pub(crate) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The element of an item of a set.
pub(crate) fn member(value: &Value) -> String {
    format!("v:{value}")
}

/// The element of a list item with keys; the keys come in sorted order.
pub(crate) fn keyed(keys: &BTreeMap<&str, Value>) -> String {
    let inside: Vec<String> =
        keys.iter().map(|(key, value)| format!("{}:{value}", Value::from(*key))).collect();
    format!("k:{{{}}}", inside.join(","))
}

fn written(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let inside: Vec<String> =
                keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", inside.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        Some(("i", index)) => format!("[{index}]"),
        _ => element.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_v1_reads_back_as_it_was_written() {
        let value = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:containers": {
            "k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}}}});
        assert_eq!(FieldSet::from_json(&value).into_json(), value);
    }

    #[test]
    fn paths_read_as_the_api_server_writes_them() {
        let set = FieldSet::from_json(&json!({"f:spec": {"f:ports": {
            "k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}},
            "f:metadata": {"f:finalizers": {"v:\"x/y\"": {}}}}));
        assert_eq!(
            set.paths(),
            [".metadata.finalizers[=\"x/y\"]", ".spec.ports[port=80,protocol=\"TCP\"].name"]
        );
    }
}
