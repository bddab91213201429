//! Puts events together to a tree, on a stack of its own rather than the
//! thread's, and counts what it takes.

use std::collections::HashMap;

use saphyr_parser::{ScalarStyle, Tag};
use serde_json::Value;

use super::{Parsed, tags};
use crate::limits::{ALIASED_BYTES_MAX, DEPTH_MAX, ERRORS_MAX};
use crate::node::{Data, Entry, Node, Position};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// The key that YAML 1.1 merged maps with.
const MERGE: &str = "<<";

/// What ends the reading of a file. Boxed: it is rare, and large.
type Fatal = Box<Problem>;

/// A tree and what it counts for.
#[derive(Debug, Clone)]
struct Built {
    node: Node,
    /// Values in it, itself included.
    nodes: usize,
    /// Bytes of its strings and keys.
    bytes: usize,
    /// Levels of maps and lists.
    height: usize,
}

/// A list or map that is not closed yet.
#[derive(Debug)]
struct Open {
    at: Position,
    anchor: usize,
    content: Content,
    nodes: usize,
    bytes: usize,
    height: usize,
}

#[derive(Debug)]
enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The keys there are, and their lines.
        seen: HashMap<String, usize>,
        key: Option<Key>,
    },
}

/// A key whose value is still to come.
#[derive(Debug)]
enum Key {
    Named(String, Position),
    /// Something is wrong with it; its value is read and dropped.
    Dropped,
}

/// Builds the documents of one file.
#[derive(Debug, Default)]
pub(super) struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Built>,
    root: Option<Node>,
    problems: Vec<Problem>,
    /// Of the whole file, aliases counted as what they stand for.
    nodes: usize,
    nodes_max: usize,
    aliased_bytes: usize,
}

impl Builder {
    /// One that takes so many values.
    pub(super) fn new(nodes_max: usize) -> Self {
        Self { nodes_max, ..Self::default() }
    }

    /// Takes the document that has ended; none if it is empty.
    pub(super) fn finish(&mut self) -> Option<Parsed> {
        self.anchors.clear();
        let problems = std::mem::take(&mut self.problems);
        let root = self.root.take()?;
        let empty = matches!(root.data, Data::Scalar { value: Value::Null, .. });
        (!empty || !problems.is_empty()).then_some(Parsed { root, problems })
    }

    pub(super) fn scalar(
        &mut self,
        at: Position,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Fatal> {
        self.count(at, 1)?;
        let value = tags::scalar(text, style, tag).unwrap_or_else(|wrong| {
            self.wrong(at, wrong);
            Value::String(text.to_owned())
        });
        let written = match &value {
            Value::String(_) => None,
            _ => Some(text.to_owned()),
        };
        let bytes = text.len();
        let node = Node { at, data: Data::Scalar { value, written } };
        self.place(Built { node, nodes: 1, bytes, height: 0 }, anchor, Some((text, style)));
        Ok(())
    }

    pub(super) fn alias(&mut self, at: Position, anchor: usize) -> Result<(), Fatal> {
        let Some(mut built) = self.anchors.get(&anchor).cloned() else {
            let found = "an alias to a value that it is a part of".to_owned();
            self.wrong(at, (found, "an alias to a value that is complete".to_owned()));
            let node = Node { at, data: Data::Scalar { value: Value::Null, written: None } };
            self.place(Built { node, nodes: 1, bytes: 0, height: 0 }, 0, None);
            return Ok(());
        };
        self.count(at, built.nodes)?;
        self.aliased_bytes = self.aliased_bytes.saturating_add(built.bytes);
        if self.aliased_bytes > ALIASED_BYTES_MAX {
            let expected = format!("aliases that repeat at most {ALIASED_BYTES_MAX} bytes");
            return Err(self.fatal(at, "more text".to_owned(), expected));
        }
        self.deep(at, built.height)?;
        let text = built.node.as_str().map(ToOwned::to_owned);
        // A scalar stands where the alias does; a field of a list or map stands
        // where it was written.
        if matches!(built.node.data, Data::Scalar { .. }) {
            built.node.at = at;
        }
        let key = text.as_deref().map(|text| (text, ScalarStyle::DoubleQuoted));
        self.place(built, 0, key);
        Ok(())
    }

    pub(super) fn open(
        &mut self,
        at: Position,
        is_map: bool,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Fatal> {
        self.count(at, 1)?;
        self.deep(at, 1)?;
        if let Err(wrong) = tags::collection(is_map, tag) {
            self.wrong(at, wrong);
        }
        let content = if is_map {
            Content::Map { entries: Vec::new(), seen: HashMap::new(), key: None }
        } else {
            Content::List(Vec::new())
        };
        self.open.push(Open { at, anchor, content, nodes: 1, bytes: 0, height: 1 });
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<(), Fatal> {
        let Some(Open { at, anchor, content, nodes, bytes, height }) = self.open.pop() else {
            return Ok(());
        };
        let data = match content {
            Content::List(items) => Data::List(items),
            Content::Map { entries, .. } => Data::Map(entries),
        };
        self.place(Built { node: Node { at, data }, nodes, bytes, height }, anchor, None);
        Ok(())
    }

    /// Puts a complete value where it belongs. `text` is given if it can be a key.
    fn place(&mut self, built: Built, anchor: usize, text: Option<(&str, ScalarStyle)>) {
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        let at = built.node.at;
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(built.node);
            return;
        };
        parent.nodes += built.nodes;
        parent.bytes += built.bytes;
        parent.height = parent.height.max(built.height + 1);
        match &mut parent.content {
            Content::List(items) => items.push(built.node),
            Content::Map { entries, key: key @ Some(_), .. } => {
                if let Some(Key::Named(key, at)) = key.take() {
                    entries.push(Entry { key, at, value: built.node });
                }
            }
            Content::Map { key: None, .. } => self.take_key(at, text),
        }
    }

    fn take_key(&mut self, at: Position, text: Option<(&str, ScalarStyle)>) {
        let wrong = match text {
            None => {
                Some(("a list or map as a key".to_owned(), "a string as a key".to_owned(), None))
            }
            Some(("", ScalarStyle::Plain)) => {
                Some(("a value without a key".to_owned(), "a string as a key".to_owned(), None))
            }
            Some((MERGE, ScalarStyle::Plain)) => Some((
                "a merge key `<<`".to_owned(),
                "fields that are written out".to_owned(),
                Some(
                    "merge keys are no part of YAML 1.2; an alias can still stand for a whole value",
                ),
            )),
            Some((text, _)) => self.repeated(text),
        };
        let key = match (wrong, text) {
            (None, Some((text, _))) => Key::Named(text.to_owned(), at),
            (wrong, _) => {
                if let Some((found, expected, hint)) = wrong {
                    let path = self.path();
                    let path = if let Some((text, _)) = text { path.then(text) } else { path };
                    self.report(Problem::at_key(path, found, expected).placed(at).hint(hint));
                }
                Key::Dropped
            }
        };
        if let Some(Open { content: Content::Map { seen, key: slot, .. }, .. }) =
            self.open.last_mut()
        {
            if let Key::Named(name, at) = &key {
                seen.insert(name.clone(), at.line);
            }
            *slot = Some(key);
        }
    }

    fn repeated(&self, text: &str) -> Option<(String, String, Option<&'static str>)> {
        let Some(Open { content: Content::Map { seen, .. }, .. }) = self.open.last() else {
            return None;
        };
        let line = seen.get(text)?;
        let found = format!("the key {} a second time", shown::quoted(text));
        Some((found, format!("every key once; it stands in line {line} already"), None))
    }

    /// Where the next value will be.
    fn path(&self) -> Path {
        let mut path = Path::default();
        for open in &self.open {
            match &open.content {
                Content::List(items) => path.push(items.len()),
                Content::Map { key: Some(Key::Named(name, _)), .. } => path.push(name),
                Content::Map { .. } => {}
            }
        }
        path
    }

    fn count(&mut self, at: Position, nodes: usize) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= self.nodes_max {
            return Ok(());
        }
        let expected = format!("at most {} in a file, aliases written out", self.nodes_max);
        Err(self.fatal(at, "more values".to_owned(), expected))
    }

    fn deep(&self, at: Position, height: usize) -> Result<(), Fatal> {
        if self.open.len() + height <= DEPTH_MAX {
            return Ok(());
        }
        let found = format!("more than {DEPTH_MAX} maps and lists within each other");
        Err(self.fatal(at, found, "a YAML or JSON document".to_owned()))
    }

    fn wrong(&mut self, at: Position, (found, expected): tags::Wrong) {
        self.report(Problem::at_value(self.path(), found, expected).placed(at));
    }

    fn report(&mut self, problem: Problem) {
        if self.problems.len() < ERRORS_MAX {
            self.problems.push(problem);
        }
    }

    fn fatal(&self, at: Position, found: String, expected: String) -> Fatal {
        // The path is as deep as the nesting that is refused: without it.
        Box::new(Problem::at_value(Path::default(), found, expected).placed(at))
    }
}
