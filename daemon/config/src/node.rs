//! A document as a tree that knows where everything stands.

use serde_json::{Map, Value};

use crate::path::Path;

/// A place in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The line.
    pub(crate) line: usize,
    /// The column, in characters.
    pub(crate) column: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) at: Position,
    /// The value.
    pub(crate) data: Data,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// Neither list nor map.
    Scalar {
        /// What it means.
        value: Value,
        /// How it was written, unless it is a string.
        written: Option<String>,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; keys are different from each other.
    Map(Vec<Entry>),
}

/// A field of a map.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) key: String,
    /// Where the name stands.
    pub(crate) at: Position,
    /// Its value.
    pub(crate) value: Node,
}

/// Which place of a field an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The value, if it stands on one line; the key of lists and maps.
    Value,
    /// The key.
    Key,
}

impl Node {
    /// A string.
    pub(crate) fn string(at: Position, text: String) -> Self {
        Self { at, data: Data::Scalar { value: Value::String(text), written: None } }
    }

    /// Without the places.
    pub(crate) fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar { value, .. } => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Data::Map(entries) => {
                let field = |entry: &Entry| (entry.key.clone(), entry.value.to_value());
                Value::Object(entries.iter().map(field).collect::<Map<_, _>>())
            }
        }
    }

    /// A field of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// A field of a map, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.data {
            Data::Map(entries) => entries.iter_mut().find(|e| e.key == key).map(|e| &mut e.value),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { value, .. } => value.as_str(),
            _ => None,
        }
    }

    /// The value at the end of a path.
    pub(crate) fn at_path(&self, path: &Path) -> Option<&Self> {
        let mut node = self;
        for step in path.steps() {
            node = match &node.data {
                Data::List(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => node.get(step)?,
            };
        }
        Some(node)
    }

    /// Where the end of a path stands, or else as much of it as there is.
    pub(crate) fn position(&self, path: &Path, place: Place) -> Position {
        let (mut node, mut at, mut missing) = (self, self.at, false);
        for step in path.steps() {
            let next = match &node.data {
                Data::List(items) => {
                    let item = step.parse::<usize>().ok().and_then(|index| items.get(index));
                    item.map(|item| (item, item.at))
                }
                Data::Map(entries) => {
                    entries.iter().find(|e| &e.key == step).map(|e| (&e.value, e.at))
                }
                Data::Scalar { .. } => None,
            };
            match next {
                Some((value, key_at)) => (node, at) = (value, key_at),
                None => {
                    missing = true;
                    break;
                }
            }
        }
        let on_one_line = matches!(node.data, Data::Scalar { .. });
        if place == Place::Value && on_one_line && !missing { node.at } else { at }
    }
}
