//! What is wrong, before it is known in which file and document.

use serde_json::Value;

use crate::error::{DocumentError, DocumentName};
use crate::node::{Node, Place, Position};
use crate::path::Path;
use crate::shown;

/// What is found where a field is missing.
pub(crate) const NOTHING: &str = "nothing";

/// What is found where one of several fields is missing.
pub(crate) const NONE_OF_THEM: &str = "none of them";

/// Something wrong at a place within a document.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    path: Path,
    place: Place,
    at: Option<Position>,
    found: String,
    expected: String,
    hint: Option<String>,
    meant: Option<Path>,
}

impl Problem {
    /// At a value.
    pub(crate) fn at_value(
        path: Path,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let (found, expected) = (found.into(), expected.into());
        Self { path, place: Place::Value, at: None, found, expected, hint: None, meant: None }
    }

    /// At the name of a field.
    pub(crate) fn at_key(
        path: Path,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { place: Place::Key, ..Self::at_value(path, found, expected) }
    }

    /// At a place that is known.
    pub(crate) fn placed(mut self, at: Position) -> Self {
        self.at = Some(at);
        self
    }

    /// With advice, if there is any.
    pub(crate) fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }

    /// The field that was misspelt, if one was.
    pub(crate) fn meaning(mut self, field: Option<Path>) -> Self {
        self.meant = field;
        self
    }

    /// The field that was misspelt.
    pub(crate) fn meant(&self) -> Option<Path> {
        self.meant.clone()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is about a field that is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.found == NOTHING
    }

    /// Whether it is about fields none of which is there.
    pub(crate) fn lacks_alternative(&self) -> bool {
        self.found == NONE_OF_THEM
    }

    /// A name that is not there: what there is instead, and what was meant.
    pub(crate) fn unknown<'a>(
        path: Path,
        wrong: &str,
        what: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let list = shown::list(known.clone());
        let there = if list.is_empty() { "there is none".to_owned() } else { list };
        Self::at_value(path, shown::quoted(wrong), format!("{what}: {there}"))
            .hint(shown::did_you_mean(wrong, known))
    }

    /// As it is reported.
    pub(crate) fn into_error(
        self,
        file: &str,
        document: Option<DocumentName>,
        root: Option<&Node>,
    ) -> DocumentError {
        let at = self.at.or_else(|| root.map(|root| root.position(&self.path, self.place)));
        DocumentError {
            file: file.to_owned(),
            line: at.map_or(0, |at| at.line),
            column: at.map_or(0, |at| at.column),
            document,
            pointer: self.path.pointer(),
            field: self.path.dotted(),
            found: self.found,
            expected: self.expected,
            hint: self.hint,
        }
    }
}

/// The name that a document gives itself.
pub(crate) fn name_of(document: &Value) -> Option<String> {
    document.pointer("/metadata/name").and_then(Value::as_str).map(ToOwned::to_owned)
}
