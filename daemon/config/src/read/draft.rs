//! A document on its way from the file to its type.

use deployd_core::config::{Document, DocumentKind};
use deployd_core::score::Workload;
use serde_json::Value;

use crate::beside::{Beside, inline};
use crate::check::{Entry, Listing};
use crate::error::{DocumentError, DocumentName};
use crate::identify::identify;
use crate::limits::ERRORS_MAX;
use crate::node::Node;
use crate::normalise;
use crate::path::Path;
use crate::problem::{Problem, name_of};
use crate::validate::validate;
use crate::yaml::Parsed;

/// A document in its type. A Score document has no application yet.
pub(super) enum Typed {
    Document(Box<Document>),
    Workload(Workload),
}

/// A document, as far as it could be read.
pub(super) struct Draft {
    file: String,
    root: Node,
    value: Value,
    kind: Option<DocumentKind>,
    name: Option<String>,
    /// Only of a document with which nothing is wrong so far.
    typed: Option<Typed>,
}

impl Draft {
    /// Reads a document; what is wrong with it alone goes to `errors`.
    pub(super) fn new(
        file: &str,
        parsed: Parsed,
        beside: &dyn Beside,
        budget: &mut usize,
        errors: &mut Vec<DocumentError>,
    ) -> Self {
        let Parsed { mut root, mut problems } = parsed;
        let kind = match identify(&root) {
            Ok(kind) => Some(kind),
            Err(problem) => {
                problems.push(*problem);
                None
            }
        };
        if kind == Some(DocumentKind::Workload) {
            normalise::score(&mut root, &mut problems);
        }
        if let Some(kind) = kind {
            inline(kind, &mut root, file, beside, budget, &mut problems);
        }
        let value = root.to_value();
        let mut document = None;
        if let Some(kind) = kind {
            let mut found = validate(kind, &root, &value);
            // What is no proper YAML need not fit the schema as well.
            found.retain(|one| !problems.iter().any(|known| known.path() == one.path()));
            problems.extend(found);
            if problems.is_empty() {
                match typed(kind, &value) {
                    Ok(read) => document = Some(read),
                    Err(problem) => problems.push(*problem),
                }
            }
        }
        let draft = Self {
            file: file.to_owned(),
            name: name_of(&value),
            root,
            value,
            kind,
            typed: document,
        };
        let name = draft.document_name();
        errors.extend(
            problems
                .into_iter()
                .take(ERRORS_MAX)
                .map(|problem| problem.into_error(file, name.clone(), Some(&draft.root))),
        );
        draft
    }

    /// Whether it is known which document it is, whatever else is wrong.
    pub(super) fn is_named(&self) -> bool {
        self.kind.is_some() && self.name.is_some()
    }

    /// What can be compared with others, and its type; none without kind and name.
    pub(super) fn entry(self) -> Option<(Entry, Option<Typed>)> {
        let kind = self.kind?;
        let application = self.application().map(ToOwned::to_owned);
        let entry = Entry {
            file: self.file,
            node: Some(self.root),
            kind,
            name: self.name?,
            application,
            value: self.value,
            document: None,
        };
        Some((entry, self.typed))
    }

    /// The workloads that it lists, if it is an application.
    pub(super) fn listing(&self) -> Option<Listing> {
        if self.kind != Some(DocumentKind::Application) {
            return None;
        }
        Some(Listing::of(self.name.clone()?, &self.value))
    }

    fn document_name(&self) -> Option<DocumentName> {
        if let Some(kind) = self.kind {
            return Some(DocumentName::of(kind, self.application(), self.name.as_deref()));
        }
        // A foreign document, or a kind that was misspelt.
        let kind = self.value.get("kind")?.as_str().map(crate::shown::shorten)?;
        Some(DocumentName { kind, name: self.name.as_deref().map(crate::shown::shorten) })
    }

    /// The application that an environment names.
    fn application(&self) -> Option<&str> {
        if self.kind != Some(DocumentKind::Environment) {
            return None;
        }
        self.value.pointer("/spec/application").and_then(Value::as_str)
    }
}

fn typed(kind: DocumentKind, value: &Value) -> Result<Typed, Box<Problem>> {
    let read = if kind == DocumentKind::Workload {
        serde_json::from_value(value.clone()).map(Typed::Workload)
    } else {
        serde_json::to_vec(value)
            .and_then(|bytes| Document::from_stored(kind, &bytes))
            .map(|document| Typed::Document(Box::new(document)))
    };
    // The schema is made from the type: what one takes, the other does. What does
    // not is shown all the same, rather than lost.
    read.map_err(|error| {
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        Problem::at_value(
            Path::default(),
            format!("a document that can't be taken ({text})"),
            "one that can",
        )
        .into()
    })
}
