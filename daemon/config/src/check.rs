//! Compares documents with each other, and says what no schema can.
//!
//! Works on values rather than types, so that what is wrong with one field does
//! not hide what is wrong with another.

mod application;
mod calendar;
mod definition;
mod environment;
mod group;
mod hook;
mod issuer;
mod order;
mod ownership;
mod placeholders;
mod plugin;
mod policy;
mod role;
mod selector;
mod subscription;
mod workload;
mod world;

use std::collections::HashSet;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::secret;
use serde_json::Value;

use crate::error::{DocumentError, DocumentName};
use crate::node::Node;
use crate::path::Path;
use crate::problem::Problem;

pub use ownership::APPLICATION_ANNOTATION;
pub(crate) use ownership::{Listing, Listings};
use world::World;

/// A document among others.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its file; empty if it was applied before.
    pub(crate) file: String,
    /// Its places, if it is of a file.
    pub(crate) node: Option<Node>,
    /// Its kind.
    pub(crate) kind: DocumentKind,
    /// Its name.
    pub(crate) name: String,
    /// The application that it belongs to, where its kind has one.
    pub(crate) application: Option<String>,
    /// What it says.
    pub(crate) value: Value,
    /// In its type, if nothing is wrong with it alone.
    pub(crate) document: Option<Document>,
}

impl Entry {
    fn stored(document: &Document) -> Self {
        let key = document.key();
        let value = match document {
            Document::Workload(document) => serde_json::to_value(&document.workload),
            _ => serde_json::to_value(document),
        };
        Self {
            file: String::new(),
            node: None,
            kind: key.kind,
            name: key.name.to_string(),
            application: key.application.map(|name| name.to_string()),
            // Documents consist of JSON already.
            value: value.unwrap_or_default(),
            document: None,
        }
    }

    fn key(&self) -> world::Key<'_> {
        (self.kind, self.application.as_deref(), self.name.as_str())
    }

    /// The text at a JSON Pointer.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    /// The fields of the map at a JSON Pointer.
    pub(crate) fn fields(&self, pointer: &str) -> impl Iterator<Item = (&str, &Value)> {
        fields(self.value.pointer(pointer))
    }

    /// The items of the list at a JSON Pointer.
    pub(crate) fn items(&self, pointer: &str) -> impl Iterator<Item = &Value> {
        self.value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
    }

    /// Something wrong with it, as it is reported.
    pub(crate) fn error(&self, problem: Problem) -> DocumentError {
        let name = DocumentName::of(self.kind, self.application.as_deref(), Some(&self.name));
        problem.into_error(&self.file, Some(name), self.node.as_ref())
    }
}

/// The fields of a map; none if it is none.
pub(crate) fn fields(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// Everything that is wrong between documents. Names are looked up only if all
/// documents are known (`complete`): otherwise what is missing may be in what
/// could not be read.
pub(crate) fn check(given: &[Entry], stored: &[Document], complete: bool) -> Vec<DocumentError> {
    let mut errors = Vec::new();
    let given_keys: HashSet<world::Key<'_>> = given.iter().map(Entry::key).collect();
    let stored: Vec<Entry> = stored.iter().map(Entry::stored).collect();
    let kept: Vec<&Entry> =
        stored.iter().filter(|entry| !given_keys.contains(&entry.key())).collect();

    errors.extend(duplicates(given));
    let world = World::new(given.iter().chain(kept.iter().copied()), complete);
    for entry in given {
        errors.extend(secrets(entry).into_iter().map(|problem| entry.error(problem)));
        errors.extend(one(entry, &world).into_iter().map(|problem| entry.error(problem)));
    }
    if !kept.is_empty() {
        errors.extend(broken(&kept, &stored, &world));
    }
    errors.extend(definition::ties(&world));
    errors
}

/// What is wrong with one document among others.
fn one(entry: &Entry, world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let check = match entry.kind {
        DocumentKind::Application => application::check,
        DocumentKind::EnvironmentType => environment::check_type,
        DocumentKind::Environment => environment::check,
        DocumentKind::ResourceDefinition => definition::check,
        DocumentKind::Plugin => plugin::check,
        DocumentKind::Subscription => subscription::check,
        DocumentKind::Hook => hook::check,
        DocumentKind::Calendar => calendar::check,
        DocumentKind::Group => group::check,
        DocumentKind::Issuer => issuer::check,
        DocumentKind::RoleBinding => role::check_binding,
        DocumentKind::Role => role::check,
        DocumentKind::Policy => policy::check,
        DocumentKind::Workload => workload::check,
    };
    check(entry, world, &mut problems);
    problems
}

/// What the given documents break in those that were applied before. What was
/// wrong before is not their fault.
fn broken(kept: &[&Entry], stored: &[Entry], world: &World<'_>) -> Vec<DocumentError> {
    let before = World::new(stored.iter(), true);
    let mut errors = Vec::new();
    for entry in kept {
        let errors_in = |world| -> Vec<DocumentError> {
            one(entry, world).into_iter().map(|problem| entry.error(problem)).collect()
        };
        let known = errors_in(&before);
        errors.extend(errors_in(world).into_iter().filter(|error| {
            !known.iter().any(|k| k.pointer == error.pointer && k.found == error.found)
        }));
    }
    errors
}

fn duplicates(given: &[Entry]) -> Vec<DocumentError> {
    let mut first = std::collections::HashMap::new();
    let mut errors = Vec::new();
    for entry in given {
        // Whose it is, and so which it is, is not known: that is reported already.
        if entry.kind == DocumentKind::Workload && entry.application.is_none() {
            continue;
        }
        match first.get(&entry.key()) {
            None => {
                first.insert(entry.key(), entry);
            }
            Some(known) => {
                let known: &Entry = known;
                let line = known.node.as_ref().map_or(0, |node| node.at.line);
                let found = "a second document of this kind and name";
                let expected = format!("one; the first is {}:{line}", known.file);
                let path = Path::of(["metadata", "name"]);
                errors.push(entry.error(Problem::at_value(path, found, expected)));
            }
        }
    }
    errors
}

fn secrets(entry: &Entry) -> Vec<Problem> {
    let mut paths = secret::marked_paths(&entry.value);
    paths.dedup();
    let problem = |path: String| {
        Problem::at_value(
            Path::from_pointer(&path),
            "text that looks like a reference to a secret",
            "none: such references are made by deployd alone",
        )
    };
    paths.into_iter().map(problem).collect()
}
