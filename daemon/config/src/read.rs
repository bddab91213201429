//! From files to documents, or to everything that is wrong with them.

mod draft;

use std::collections::{HashMap, HashSet};

use deployd_core::Name;
use deployd_core::config::{ApplicationWorkload, Document, DocumentKind};
use serde::{Deserialize, Serialize};

use crate::beside::{Beside, named};
use crate::check::{self, Entry};
use crate::error::DocumentError;
use crate::identify::identify;
use crate::limits::{
    BESIDE_TOTAL_BYTES_MAX, ERRORS_MAX, FILE_BYTES_MAX, FILES_MAX, TOTAL_BYTES_MAX,
};
use crate::normalise;
use crate::path::Path;
use crate::problem::Problem;
use crate::yaml;
use draft::{Draft, Typed};

/// A file with documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path, for messages and for files beside it; separated by `/`.
    pub path: String,
    /// Its text: YAML or JSON, any number of documents.
    pub text: String,
}

/// A document and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The document.
    pub document: Document,
    /// The file.
    pub file: String,
    /// Where it begins there, from 1.
    pub line: usize,
    /// Where it begins there, from 1.
    pub column: usize,
}

/// A file that a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The path of the document's file.
    pub document: String,
    /// The path as the document has it.
    pub path: String,
}

/// Reads documents that are all there are.
pub fn read(files: &[SourceFile], beside: &dyn Beside) -> Result<Vec<Located>, Vec<DocumentError>> {
    read_with(files, beside, &[])
}

/// Reads documents that come to those which were applied before, and replace
/// those of the same key.
pub fn read_with(
    files: &[SourceFile],
    beside: &dyn Beside,
    stored: &[Document],
) -> Result<Vec<Located>, Vec<DocumentError>> {
    let too_much = within_limits(files);
    if !too_much.is_empty() {
        return Err(too_much);
    }
    let mut errors = Vec::new();
    let mut drafts = Vec::new();
    let mut complete = true;
    let mut budget = BESIDE_TOTAL_BYTES_MAX;
    for file in files {
        let (documents, rest) = yaml::parse(&file.text);
        if let Some(problem) = rest {
            complete = false;
            errors.push(problem.into_error(&file.path, None, None));
        }
        for parsed in documents {
            drafts.push(Draft::new(&file.path, parsed, beside, &mut budget, &mut errors));
        }
    }
    complete &= drafts.iter().all(Draft::is_named);
    let mut between = Vec::new();
    let entries = assign(drafts, stored, complete, &mut between);
    between.extend(check::check(&entries, stored, complete));
    // Of a field that is wrong by itself nothing more needs to be said.
    let known: HashSet<_> =
        errors.iter().map(|e| (e.file.clone(), e.line, e.column, e.pointer.clone())).collect();
    between.retain(|e| !known.contains(&(e.file.clone(), e.line, e.column, e.pointer.clone())));
    errors.extend(between);
    if errors.is_empty() {
        return Ok(entries.into_iter().filter_map(located).collect());
    }
    Err(in_order(files, errors))
}

/// Which files beside themselves documents name, so that who has only texts can
/// be sent those as well. Documents that can't be read name none.
pub fn named_files(files: &[SourceFile]) -> Vec<NamedFile> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.text.len() <= FILE_BYTES_MAX) {
        for mut parsed in yaml::parse(&file.text).0 {
            let Ok(kind) = identify(&parsed.root) else { continue };
            normalise::score(&mut parsed.root, &mut Vec::new());
            for (_, path) in named(kind, &parsed.root) {
                found.push(NamedFile { document: file.path.clone(), path });
            }
        }
    }
    found
}

fn within_limits(files: &[SourceFile]) -> Vec<DocumentError> {
    let error = |file: &str, found: String, expected: String| {
        Problem::at_value(Path::default(), found, expected).into_error(file, None, None)
    };
    if let Some(file) = files.get(FILES_MAX) {
        let found = format!("{} files", files.len());
        return vec![error(&file.path, found, format!("at most {FILES_MAX}"))];
    }
    let mut errors: Vec<DocumentError> = files
        .iter()
        .filter(|file| file.text.len() > FILE_BYTES_MAX)
        .map(|file| {
            let found = format!("{} bytes", file.text.len());
            error(&file.path, found, format!("at most {FILE_BYTES_MAX} bytes in a file"))
        })
        .collect();
    let total: usize = files.iter().map(|file| file.text.len()).sum();
    if let (true, Some(last)) = (total > TOTAL_BYTES_MAX, files.last()) {
        let expected = format!("at most {TOTAL_BYTES_MAX} bytes in all files together");
        errors.push(error(&last.path, format!("{total} bytes"), expected));
    }
    errors
}

/// Makes entries of drafts; Score documents find the application they belong to.
fn assign(
    drafts: Vec<Draft>,
    stored: &[Document],
    complete: bool,
    errors: &mut Vec<DocumentError>,
) -> Vec<Entry> {
    let listings = check::Listings::new(drafts.iter().filter_map(Draft::listing), stored);
    let mut entries = Vec::new();
    for draft in drafts {
        let Some((mut entry, typed)) = draft.entry() else { continue };
        let mut owner = None;
        if entry.kind == DocumentKind::Workload {
            owner = listings.owner(&entry, complete).unwrap_or_else(|problem| {
                errors.push(entry.error(*problem));
                None
            });
            entry.application = owner.as_ref().map(Name::to_string);
        }
        entry.document = match (typed, owner) {
            (Some(Typed::Document(document)), _) => Some(*document),
            (Some(Typed::Workload(workload)), Some(application)) => {
                let name = entry.name.parse().ok();
                name.map(|name| {
                    Document::Workload(ApplicationWorkload { application, name, workload })
                })
            }
            _ => None,
        };
        entries.push(entry);
    }
    entries
}

fn located(entry: Entry) -> Option<Located> {
    let at = entry.node.as_ref().map(|node| node.at)?;
    let document = entry.document?;
    Some(Located { document, file: entry.file, line: at.line, column: at.column })
}

/// In the order of the files and of the places in them, none twice.
fn in_order(files: &[SourceFile], mut errors: Vec<DocumentError>) -> Vec<DocumentError> {
    let order: HashMap<&str, usize> =
        files.iter().enumerate().rev().map(|(index, file)| (file.path.as_str(), index)).collect();
    let place = |error: &DocumentError| {
        (order.get(error.file.as_str()).copied().unwrap_or(usize::MAX), error.line, error.column)
    };
    errors.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    errors.dedup();
    errors.truncate(ERRORS_MAX);
    errors
}
