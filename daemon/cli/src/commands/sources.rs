//! Files that commands read.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_config::limits::TOTAL_BYTES_MAX;
use deployd_config::{Beside as _, Folder, SourceFile, joined, named_files};

use super::Context;
use crate::client::BesideFile;
use crate::error::CliError;

/// What standard input is called in messages.
pub(super) const STDIN: &str = "<stdin>";

/// Directories within each other.
const DEPTH_MAX: usize = 32;

/// Files with documents: those that are named, and all YAML and JSON below
/// directories that are.
pub(super) fn documents(
    context: &mut Context<'_>,
    paths: &[String],
) -> Result<Vec<SourceFile>, CliError> {
    let mut files: Vec<SourceFile> = Vec::new();
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for path in paths {
        if path == "-" {
            files.push(SourceFile { path: STDIN.to_owned(), text: text(context, path)? });
            continue;
        }
        let mut below = Vec::new();
        if Path::new(path).is_dir() {
            walk(Path::new(path), &mut below)?;
            found.extend(below.iter().cloned());
            if below.is_empty() {
                return Err(CliError::Input(format!(
                    "{path}: there is no .yaml, .yml or .json file"
                )));
            }
        } else {
            below.push(path.clone());
        }
        for path in below {
            if seen.insert(path.clone()) {
                files.push(SourceFile { text: text(context, &path)?, path });
            }
        }
    }
    // What a document names as a file beside it is no document itself, also
    // where it lies among them.
    let named: BTreeSet<String> = named_files(&files)
        .iter()
        .filter_map(|named| joined(&named.document, &named.path))
        .collect();
    files.retain(|file| !(found.contains(&file.path) && named.contains(&file.path)));
    Ok(files)
}

/// Files that documents name, to be sent along.
pub(super) fn beside(files: &[SourceFile]) -> Result<Vec<BesideFile>, CliError> {
    let mut sent: Vec<BesideFile> = Vec::new();
    for named in named_files(files) {
        let Some(path) = joined(&named.document, &named.path) else {
            // The daemon says what is wrong with it, and where.
            continue;
        };
        if sent.iter().any(|file| file.path == path) {
            continue;
        }
        let bytes = Folder.bytes(&named.document, &named.path).map_err(|error| {
            CliError::Input(format!(
                "{}: names the file {:?}, which {error}",
                named.document, named.path
            ))
        })?;
        sent.push(BesideFile { path, content: STANDARD.encode(bytes) });
    }
    Ok(sent)
}

/// Paths of YAML and JSON below a directory, in order.
pub(super) fn walk(directory: &Path, found: &mut Vec<String>) -> Result<(), CliError> {
    walk_within(directory, DEPTH_MAX, found)
}

fn walk_within(directory: &Path, depth: usize, found: &mut Vec<String>) -> Result<(), CliError> {
    let failed = |error| CliError::file(directory, error);
    if depth == 0 {
        return Err(CliError::Input(format!("{}: is too deep", directory.display())));
    }
    let mut entries: Vec<_> =
        std::fs::read_dir(directory).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        // A link to a directory may lead back here.
        if entry.file_type().map_err(failed)?.is_dir() {
            walk_within(&path, depth.saturating_sub(1), found)?;
        } else if has_documents(&path) && path.is_file() {
            found.push(slashed(&path)?);
        }
    }
    Ok(())
}

fn has_documents(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension
        .is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// A path as documents have it.
fn slashed(path: &Path) -> Result<String, CliError> {
    let text =
        path.to_str().ok_or_else(|| CliError::Input(format!("{}: is no UTF-8", path.display())))?;
    Ok(if std::path::MAIN_SEPARATOR == '/' { text.to_owned() } else { text.replace('\\', "/") })
}

/// The text of a file, or of standard input for `-`.
pub(super) fn text(context: &mut Context<'_>, path: &str) -> Result<String, CliError> {
    let bytes = bytes(context, path)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let name = if path == "-" { STDIN } else { path };
        CliError::Input(format!("{name}: is no UTF-8, at line {line}"))
    })
}

fn bytes(context: &mut Context<'_>, path: &str) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    // One byte more than is ever read tells that there is more.
    let limit = TOTAL_BYTES_MAX as u64 + 1;
    let name = if path == "-" { STDIN } else { path };
    let failed = |error| CliError::file(name, error);
    if path == "-" {
        (&mut *context.input).take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() > TOTAL_BYTES_MAX {
        return Err(CliError::Input(format!("{name}: has more than {TOTAL_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
