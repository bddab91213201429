//! Problem details (RFC 9457), as the daemon and whoever is before it send them.

use std::fmt;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use crate::exit;
use crate::output::clean;

/// Why the daemon said no. Everything may be missing: a proxy may have said it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of problem, for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What was wrong this time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Names the request, as the daemon's log does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The kind of problem, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The code of the recorded fault, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All that is wrong with what was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemItem>,
}

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemItem {
    /// The file, of those that were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The field, parameter or place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// All of it in a sentence.
    #[serde(default)]
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// What an answer that is no success says.
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        // Of an answer that is no problem document, its beginning is shown.
        const SHOWN: usize = 300;
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(body);
            Self { detail: text.trim().chars().take(SHOWN).collect(), ..Self::default() }
        });
        problem.status = status.as_u16();
        if problem.title.is_empty() {
            problem.title = status.canonical_reason().unwrap_or("It did not work").to_owned();
        }
        problem
    }

    /// The exit code that tells of it.
    pub fn exit_code(&self) -> u8 {
        match (self.status, self.code.as_deref()) {
            (_, Some("idempotency-key-reuse")) => exit::CONFLICT,
            (_, Some("failed")) => exit::FAILED,
            (401 | 403, _) => exit::UNAUTHORISED,
            (404, _) => exit::NOT_FOUND,
            (409 | 412, _) => exit::CONFLICT,
            (408 | 429 | 502..=504, _) => exit::UNREACHABLE,
            (400..=499, _) => exit::INVALID,
            _ => exit::DAEMON,
        }
    }

    /// What to do about it, where this side knows.
    pub fn help(&self) -> Option<&'static str> {
        match self.status {
            401 => Some(
                "sign in with `deployd auth login`, or give a token with DEPLOYD_TOKEN or --token-file",
            ),
            403 => Some("`deployd whoami` says what the token may do"),
            _ => None,
        }
    }
}

impl ProblemItem {
    /// `file:line:column: `, as far as it is known.
    fn place(&self) -> String {
        let mut place = String::new();
        if let Some(file) = &self.file {
            place.push_str(file);
            place.push(':');
            if let Some(line) = self.line {
                place.push_str(&format!("{line}:{}:", self.column.unwrap_or(1)));
            }
            place.push(' ');
        }
        place
    }
}

impl fmt::Display for ProblemItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        // Messages about documents have their place and hint in them already.
        if self.message.starts_with(place.trim_end()) && !place.is_empty() {
            return f.write_str(&clean(&self.message));
        }
        f.write_str(&clean(&place))?;
        if let Some(document) = &self.document {
            write!(f, "{}: ", clean(document))?;
        }
        if let Some(field) = self.field.as_ref().filter(|field| !self.message.starts_with(*field)) {
            write!(f, "{}: ", clean(field))?;
        }
        f.write_str(&clean(&self.message))?;
        match &self.hint {
            Some(hint) if !self.message.contains(hint.as_str()) => {
                write!(f, "\n    help: {}", clean(hint))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.errors.len() == 1
            && self.errors.iter().all(|item| self.detail.contains(&item.message));
        if self.detail.is_empty() {
            write!(f, "{} ({})", clean(&self.title), self.status)?;
        } else {
            write!(f, "{} ({}): {}", clean(&self.title), self.status, clean(&self.detail))?;
        }
        if told && self.errors.iter().all(|item| item.file.is_none() && item.hint.is_none()) {
            return Ok(());
        }
        for item in &self.errors {
            write!(f, "\n{item}")?;
        }
        Ok(())
    }
}
