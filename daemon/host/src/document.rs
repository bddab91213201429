//! What a guest returned, checked before anybody else sees it: size first, then
//! depth, then shape; no secret in plain sight, and no reference to a secret
//! that the call had no business with.

use std::collections::BTreeSet;

use deployd_core::secret::{self, Part, SecretRef};
use serde_json::{Map, Value};

use crate::limits::{self, bytes_text};
use crate::record::CallRecord;

/// What a plugin returned against its contract.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misbehaviour {
    #[error(
        "its result has more than {} in all (it was at {what}); \
         this limit is the same for all plugins: return less, or refer to it",
        bytes_text(limits::RESULT_BYTES)
    )]
    TooLarge { what: String },
    #[error("{what} has {bytes} bytes, and may have {}", bytes_text(*limit))]
    PartTooLarge { what: String, bytes: usize, limit: usize },
    #[error("there are {count} {what}, and at most {limit} are taken")]
    TooMany { what: &'static str, count: usize, limit: usize },
    #[error("{what} is no JSON: {reason}")]
    InvalidJson { what: String, reason: String },
    #[error("{what} is nested deeper than {} levels", limits::DOCUMENT_DEPTH)]
    TooDeep { what: String },
    #[error("{what} must be {expected}, and is {found}")]
    WrongShape { what: String, expected: &'static str, found: &'static str },
    #[error("{what} must be {expected}")]
    WrongValue { what: String, expected: &'static str },
    #[error(
        "{what} holds the value of a secret; return it in secret-outputs, \
         and place only its reference"
    )]
    SecretInPlainSight { what: String },
    #[error(
        "{what} refers to the secret {owner}/{name}, which is neither the resource's own, \
         nor granted, nor part of the request"
    )]
    ForeignReference { what: String, owner: String, name: String },
}

impl Misbehaviour {
    /// Its stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::PartTooLarge { .. } | Self::TooMany { .. } => {
                "plugin-output-too-large"
            }
            Self::InvalidJson { .. } => "plugin-invalid-json",
            Self::TooDeep { .. } => "plugin-document-too-deep",
            Self::WrongShape { .. } | Self::WrongValue { .. } => "plugin-wrong-shape",
            Self::SecretInPlainSight { .. } => "plugin-secret-in-plain-sight",
            Self::ForeignReference { .. } => "plugin-foreign-secret",
        }
    }
}

/// Secrets that a result may refer to.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// All secrets of this owner.
    pub(crate) owner: Option<String>,
    /// These secrets.
    pub(crate) secrets: BTreeSet<SecretRef>,
}

impl Known {
    /// Adds what a document of the request refers to, and writes it. Most refer
    /// to nothing, and looking at the text is quicker than looking at each string.
    pub(crate) fn document(&mut self, document: &Value) -> String {
        let text = serde_json::to_string(document).unwrap_or_else(|_| document.to_string());
        if secret::has_marker(&text) {
            self.secrets.extend(secret::references(document));
        }
        text
    }

    /// Adds what a text of the request refers to.
    pub(crate) fn text(&mut self, text: &str) {
        if !secret::has_marker(text) {
            return;
        }
        for part in secret::parts(text) {
            if let Part::Secret(reference) = part {
                self.secrets.insert(reference);
            }
        }
    }

    fn has(&self, reference: &SecretRef) -> bool {
        self.owner.as_ref() == Some(&reference.owner) || self.secrets.contains(reference)
    }
}

/// Takes a result apart, within the limits of one result.
pub(crate) struct Reader<'a> {
    record: &'a CallRecord,
    known: &'a Known,
    bytes_left: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(record: &'a CallRecord, known: &'a Known) -> Self {
        Self { record, known, bytes_left: limits::RESULT_BYTES }
    }

    /// A value that must not appear anywhere else.
    pub(crate) fn secret(&mut self, what: &str, value: &str) -> Result<(), Misbehaviour> {
        self.charge(what, value.len())?;
        self.record.keep_secret(value.as_bytes());
        Ok(())
    }

    /// A text for people.
    pub(crate) fn message(&mut self, what: &str, text: String) -> Result<String, Misbehaviour> {
        self.charge(what, text.len())?;
        Ok(self.record.message(text))
    }

    /// A text that is handed on as it is.
    pub(crate) fn text(&mut self, what: &str, text: String) -> Result<String, Misbehaviour> {
        self.charge(what, text.len())?;
        self.check_text(what, &text)?;
        Ok(text)
    }

    /// Bytes that are handed on as they are.
    pub(crate) fn bytes(&mut self, what: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Misbehaviour> {
        self.charge(what, bytes.len())?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => self.check_text(what, text)?,
            Err(_) => self.check_text(what, &String::from_utf8_lossy(&bytes))?,
        }
        Ok(bytes)
    }

    /// A document of any shape.
    pub(crate) fn document(&mut self, what: &str, text: &str) -> Result<Value, Misbehaviour> {
        self.charge(what, text.len())?;
        if depth(text.as_bytes()) > limits::DOCUMENT_DEPTH {
            return Err(Misbehaviour::TooDeep { what: what.to_owned() });
        }
        let document: Value = serde_json::from_str(text).map_err(|error| {
            Misbehaviour::InvalidJson { what: what.to_owned(), reason: error.to_string() }
        })?;
        // A marker that is written with escapes has a backslash.
        if secret::has_marker(text) || text.contains('\\') {
            for reference in secret::references(&document) {
                self.check_reference(what, reference)?;
            }
        }
        if self.record.knows_secrets() && self.holds_secret(&document) {
            return Err(Misbehaviour::SecretInPlainSight { what: what.to_owned() });
        }
        Ok(document)
    }

    /// An object.
    pub(crate) fn object(
        &mut self,
        what: &str,
        text: &str,
    ) -> Result<Map<String, Value>, Misbehaviour> {
        match self.document(what, text)? {
            Value::Object(fields) => Ok(fields),
            other => Err(Misbehaviour::WrongShape {
                what: what.to_owned(),
                expected: "an object",
                found: shape(&other),
            }),
        }
    }

    fn charge(&mut self, what: &str, bytes: usize) -> Result<(), Misbehaviour> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes)
            .ok_or_else(|| Misbehaviour::TooLarge { what: what.to_owned() })?;
        Ok(())
    }

    fn check_text(&self, what: &str, text: &str) -> Result<(), Misbehaviour> {
        if secret::has_marker(text) {
            for part in secret::parts(text) {
                if let Part::Secret(reference) = part {
                    self.check_reference(what, reference)?;
                }
            }
        }
        if self.record.holds_secret(text) {
            return Err(Misbehaviour::SecretInPlainSight { what: what.to_owned() });
        }
        Ok(())
    }

    fn check_reference(&self, what: &str, reference: SecretRef) -> Result<(), Misbehaviour> {
        if self.known.has(&reference) {
            return Ok(());
        }
        Err(Misbehaviour::ForeignReference {
            what: what.to_owned(),
            owner: self.record.message(reference.owner),
            name: self.record.message(reference.name),
        })
    }

    fn holds_secret(&self, document: &Value) -> bool {
        match document {
            Value::String(text) => self.record.holds_secret(text),
            Value::Array(items) => items.iter().any(|item| self.holds_secret(item)),
            Value::Object(fields) => fields
                .iter()
                .any(|(key, value)| self.record.holds_secret(key) || self.holds_secret(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// Refuses a list that is too long.
pub(crate) fn at_most<T>(what: &'static str, limit: usize, list: &[T]) -> Result<(), Misbehaviour> {
    if list.len() > limit {
        return Err(Misbehaviour::TooMany { what, count: list.len(), limit });
    }
    Ok(())
}

/// Refuses a part that is too long by itself.
pub(crate) fn no_longer(what: &str, limit: usize, text: &str) -> Result<(), Misbehaviour> {
    if text.len() > limit {
        return Err(Misbehaviour::PartTooLarge { what: what.to_owned(), bytes: text.len(), limit });
    }
    Ok(())
}

/// What a document is, for people.
pub(crate) fn shape(document: &Value) -> &'static str {
    match document {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// How deep brackets nest outside of strings: an upper bound of a document's
/// depth, found without building it.
fn depth(text: &[u8]) -> usize {
    let (mut open, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, Misbehaviour> {
        let known = Known { owner: Some("uid".into()), ..Known::default() };
        let record = CallRecord::default();
        record.keep_secret(b"hunter22");
        Reader::new(&record, &known).document("the document", text)
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        assert_eq!(depth(br#"{"a": ["]\"[[[", [1]]}"#), 3);
    }

    #[test]
    fn documents_are_checked() {
        assert!(read(r#"{"a": "⟦secret:uid/password⟧"}"#).is_ok());
        for (text, code) in [
            ("", "plugin-invalid-json"),
            ("{} {}", "plugin-invalid-json"),
            (&"[".repeat(500), "plugin-document-too-deep"),
            (r#"{"a": "⟦secret:operator/root⟧"}"#, "plugin-foreign-secret"),
            (r#"{"⟦secret:other/x⟧": 1}"#, "plugin-foreign-secret"),
            (r#"{"a": ["x hunter22 y"]}"#, "plugin-secret-in-plain-sight"),
            (&format!("\"{}\"", "x".repeat(limits::RESULT_BYTES)), "plugin-output-too-large"),
        ] {
            assert_eq!(read(text).unwrap_err().code(), code, "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn all_parts_of_a_result_share_one_limit() {
        let (record, known) = (CallRecord::default(), Known::default());
        let mut reader = Reader::new(&record, &known);
        let half = format!("\"{}\"", "x".repeat(limits::RESULT_BYTES / 2));
        assert!(reader.document("one", &half).is_ok());
        assert!(matches!(reader.document("two", &half), Err(Misbehaviour::TooLarge { .. })));
    }
}
