//! Takes over what runs already: reads manifests, writes a proposal, and tells what
//! came of comparing it. Whoever runs plugins renders it in between.

mod files;
mod told;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use deployd_config::limits::TOTAL_BYTES_MAX;
use deployd_config::{NoFiles, SourceFile, manifests, read};
use deployd_core::Fault;
use deployd_core::adopt::{Adoption, Compared, Options, Outcome, Source, adopt};

use super::sources::{STDIN, walk};
use crate::args::AdoptArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::Output;

/// Files that say that a directory has to be built first, and what builds it.
const TO_BE_BUILT: [(&str, &str); 4] = [
    ("kustomization.yaml", "kustomize build"),
    ("kustomization.yml", "kustomize build"),
    ("Kustomization", "kustomize build"),
    ("Chart.yaml", "helm template RELEASE"),
];

/// A proposal, and the files that it is written as.
#[derive(Debug)]
pub struct Proposal {
    /// What is proposed.
    pub adoption: Adoption,
    /// What it is for.
    pub options: Options,
    /// Paths and texts, `score/web.yaml`.
    pub files: Vec<(String, String)>,
}

/// Reads manifests and proposes documents for them.
///
/// Fails when something can't be read, when a directory has to be built by Kustomize or
/// Helm first, when no namespace is known, and when what is proposed would not be valid.
pub fn propose(args: &AdoptArgs, input: &mut dyn Read) -> Result<Proposal, CliError> {
    let sources = manifests(&texts(&args.manifests, input)?).map_err(CliError::Documents)?;
    let options = Options {
        environment: args.options.environment.clone(),
        namespace: match &args.options.namespace {
            Some(namespace) => namespace.clone(),
            None => namespace(&sources)?,
        },
    };
    let adoption = adopt(&sources, &options).map_err(|error| CliError::Input(error.to_string()))?;
    let files = files::of(&adoption)?;
    let documents = files.iter().filter(|(path, _)| path.ends_with(".yaml"));
    let documents: Vec<SourceFile> = documents
        .map(|(path, text)| SourceFile { path: path.clone(), text: text.clone() })
        .collect();
    read(&documents, &NoFiles).map_err(CliError::Documents)?;
    Ok(Proposal { adoption, options, files })
}

/// The one namespace that objects name.
fn namespace(sources: &[Source]) -> Result<String, CliError> {
    let named = sources.iter().filter_map(|source| {
        source.object.pointer("/metadata/namespace").and_then(serde_json::Value::as_str)
    });
    let named: BTreeSet<&str> = named.collect();
    let mut names = named.iter();
    match (names.next(), names.next()) {
        (Some(one), None) => Ok((*one).to_owned()),
        (None, _) => Err(CliError::Input(
            "the objects name no namespace: say with --namespace in which one they are".to_owned(),
        )),
        (Some(_), Some(_)) => {
            let all = named.iter().copied().collect::<Vec<_>>().join(", ");
            Err(CliError::Input(format!(
                "the objects are in several namespaces ({all}): say with --namespace which one is taken over"
            )))
        }
    }
}

/// The texts of files, of all below directories, and of standard input.
fn texts(paths: &[String], input: &mut dyn Read) -> Result<Vec<SourceFile>, CliError> {
    let mut files = Vec::new();
    let mut left = TOTAL_BYTES_MAX as u64;
    for path in paths {
        if path == "-" {
            files.push(text(STDIN, input, &mut left)?);
            continue;
        }
        let mut below = vec![path.clone()];
        if Path::new(path).is_dir() {
            below.clear();
            built(Path::new(path))?;
            walk(Path::new(path), &mut below)?;
            if below.is_empty() {
                let found = format!("{path}: there is no .yaml, .yml or .json file");
                return Err(CliError::Input(found));
            }
        }
        for path in below {
            if let Some(folder) = Path::new(&path).parent() {
                built(folder)?;
            }
            let mut file = std::fs::File::open(&path)
                .map_err(|error| CliError::file(Path::new(&path), error))?;
            files.push(text(&path, &mut file, &mut left)?);
        }
    }
    Ok(files)
}

/// Refuses a directory that holds what Kustomize or Helm makes manifests of.
fn built(folder: &Path) -> Result<(), CliError> {
    let found = TO_BE_BUILT.iter().find(|(file, _)| folder.join(file).is_file());
    let Some((file, command)) = found else { return Ok(()) };
    let shown = match folder.to_string_lossy() {
        shown if shown.is_empty() => ".".into(),
        shown => shown,
    };
    Err(CliError::Input(format!(
        "{shown}: found {file}, expected manifests as the cluster gets them: `{command} {shown} | deployd import --manifests - ...`"
    )))
}

fn text(path: &str, from: &mut dyn Read, left: &mut u64) -> Result<SourceFile, CliError> {
    let mut bytes = Vec::new();
    // One byte more than is ever read tells that there is more.
    let read = from.take(left.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| CliError::file(Path::new(path), error))?;
    let Some(rest) = left.checked_sub(bytes.len() as u64) else {
        return Err(CliError::Input(format!(
            "{path}: found more than {TOTAL_BYTES_MAX} bytes with the files before it, expected at most so many: take over an application at a time"
        )));
    };
    *left = rest;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        CliError::Input(format!("{path}:{line}: is no UTF-8"))
    })?;
    Ok(SourceFile { path: path.to_owned(), text })
}

/// Writes a proposal, if that is wanted, and tells of it and of what it renders; the exit
/// code. `compared` is why it was not rendered, where it was not.
pub fn conclude(
    args: &AdoptArgs,
    proposal: &Proposal,
    compared: Result<&[Compared], &Fault>,
    output: &mut Output,
) -> Result<u8, CliError> {
    let mut written = None;
    if let Some(folder) = &args.options.out {
        let notes = told::notes(proposal, compared);
        let mut files = proposal.files.clone();
        files.push(("NOTES.md".to_owned(), notes));
        files::write(folder, &files, args.options.force)?;
        written = Some(files.len());
    }
    told::tell(args, proposal, compared, written, output)?;
    output.flush()?;
    Ok(match compared {
        Err(_) => exit::NOT_ALL_COMPARED,
        Ok(compared) if compared.iter().all(is_same) => exit::OK,
        Ok(_) => exit::DIFFERS,
    })
}

/// Whether nothing changes for an object: what is not carried over stays as it is.
fn is_same(compared: &Compared) -> bool {
    matches!(compared.outcome, Outcome::Identical | Outcome::NotCarriedOver { .. })
}

#[cfg(test)]
mod tests;
