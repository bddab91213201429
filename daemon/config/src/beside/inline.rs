//! Puts the content of files in the place of their names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::config::DocumentKind;

use super::places::{Beside, within};
use crate::limits::BESIDE_TOTAL_BYTES_MAX;
use crate::node::{Data, Node};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// The other ways to give a file's content, which a name must not stand beside.
const OTHERS: [&str; 2] = ["content", "binaryContent"];

/// Every file that a document names: where, and its path.
pub(crate) fn named(kind: DocumentKind, root: &Node) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    let mut take = |path: Path| {
        if let Some(text) = root.at_path(&path).and_then(Node::as_str) {
            found.push((path, text.to_owned()));
        }
    };
    match kind {
        DocumentKind::Workload => {
            for container in keys(root.get("containers")) {
                let files = Path::of(["containers", container, "files"]);
                for file in keys(root.at_path(&files)) {
                    let file = files.then(file);
                    let other = |name: &&str| root.at_path(&file.then(*name)).is_some();
                    // Two contents are an error of the schema's.
                    if !OTHERS.iter().any(other) {
                        take(file.then("source"));
                    }
                }
            }
        }
        DocumentKind::EnvironmentType => {
            let templater = Path::of(["spec", "templater"]);
            if root.at_path(&templater.then("baseline")).is_none() {
                take(templater.then("baselineFile"));
            }
        }
        _ => {}
    }
    found
}

fn keys(node: Option<&Node>) -> impl Iterator<Item = &str> {
    let entries = match node.map(|node| &node.data) {
        Some(Data::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|entry| entry.key.as_str())
}

/// Reads what a document names into it. What stands there afterwards has the
/// place of the name. `budget` is how many bytes may still be read.
pub(crate) fn inline(
    kind: DocumentKind,
    root: &mut Node,
    file: &str,
    beside: &dyn Beside,
    budget: &mut usize,
    problems: &mut Vec<Problem>,
) {
    for (path, name) in named(kind, root) {
        if name.is_empty() {
            // An error of the schema's.
            continue;
        }
        let content = if within(&name).is_none() {
            Err("leads out of the document's directory".to_owned())
        } else {
            beside.bytes(file, &name).and_then(|bytes| spend(budget, bytes))
        };
        let content = content.map(String::from_utf8);
        let (field, text) = match (content, kind) {
            (Ok(Ok(text)), DocumentKind::Workload) => ("content", text),
            (Ok(Ok(text)), _) => ("baseline", text),
            (Ok(Err(bytes)), DocumentKind::Workload) => {
                ("binaryContent", STANDARD.encode(bytes.as_bytes()))
            }
            (Ok(Err(_)), _) => {
                let found = format!("the path {}, which is no text", shown::quoted(&name));
                problems.push(Problem::at_value(path, found, "a file of UTF-8"));
                continue;
            }
            (Err(reason), _) => {
                let found = format!("the path {}, which {reason}", shown::quoted(&name));
                problems.push(Problem::at_value(path, found, "a file beside the document"));
                continue;
            }
        };
        rename(root, &path, field, text);
    }
}

fn spend(budget: &mut usize, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match budget.checked_sub(bytes.len()) {
        Some(left) => {
            *budget = left;
            Ok(bytes)
        }
        None => Err(format!("makes more than {BESIDE_TOTAL_BYTES_MAX} bytes of all such files")),
    }
}

fn rename(root: &mut Node, path: &Path, field: &str, text: String) {
    let Some((last, parents)) = path.steps().split_last() else { return };
    let mut node = root;
    for step in parents {
        match node.get_mut(step) {
            Some(next) => node = next,
            None => return,
        }
    }
    if let Data::Map(entries) = &mut node.data
        && let Some(entry) = entries.iter_mut().find(|entry| &entry.key == last)
    {
        entry.key = field.to_owned();
        entry.value = Node::string(entry.value.at, text);
    }
}
