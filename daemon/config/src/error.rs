//! What is wrong in a document, where, and what was expected instead.

use std::fmt;

use deployd_core::config::DocumentKind;
use serde::{Deserialize, Serialize};

/// One thing that is wrong in one document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentError {
    /// The file, as it was named when it was given; empty for a document that
    /// was applied before.
    pub file: String,
    /// From 1; 0 when there is no place in a file.
    pub line: usize,
    /// In characters, from 1; 0 when there is no place in a file.
    pub column: usize,
    /// The document, as far as it could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentName>,
    /// The field as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The field for people: `spec.artifacts[0].workload`.
    pub field: String,
    /// What is there, shortened.
    pub found: String,
    /// What should be there.
    pub expected: String,
    /// What to do about it, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl std::error::Error for DocumentError {}

/// What a document calls itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DocumentName {
    /// `Environment`; `Workload` for a Score document.
    pub kind: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl DocumentName {
    /// As people name it: environments by their application as well.
    pub(crate) fn of(kind: DocumentKind, application: Option<&str>, name: Option<&str>) -> Self {
        let name = name.map(crate::shown::shorten);
        let name = match (kind, application) {
            (DocumentKind::Environment, Some(application)) => {
                name.map(|name| format!("{}/{name}", crate::shown::shorten(application)))
            }
            _ => name,
        };
        Self { kind: kind.to_string(), name }
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name}", self.kind),
            None => write!(f, "{} without a name", self.kind),
        }
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() {
            f.write_str("applied before: ")?;
        } else if self.line == 0 {
            write!(f, "{}: ", self.file)?;
        } else {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        }
        if let Some(document) = &self.document {
            write!(f, "{document}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    help: {hint}"),
            None => Ok(()),
        }
    }
}

/// Errors, one below the other, for people.
pub fn render(errors: &[DocumentError]) -> String {
    let lines: Vec<String> = errors.iter().map(DocumentError::to_string).collect();
    lines.join("\n")
}
