//! Manifests as files, one per object, in a directory that is ours.
//!
//! A list of what was written is kept beside them, with the digest of each: so a
//! second time what is ours is replaced and what is gone is removed, and what
//! somebody else has put there or changed is left alone.

use std::collections::BTreeMap;
use std::path::Path;

use deployd_core::{DeploymentId, Digest};
use serde::{Deserialize, Serialize};

use crate::error::CliError;

/// The list. Tools that apply a directory take no such file for a manifest.
pub(super) const LIST: &str = ".deployd-manifests";

/// The most names that are told where something is in the way.
const TOLD_MAX: usize = 5;

/// What was written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    deployment: Option<DeploymentId>,
    files: BTreeMap<String, Digest>,
}

/// Writes the files of a deployment, and removes those of the one that was there
/// before. With `force`, whatever has one of their names is written over.
pub(super) fn write(
    directory: &Path,
    deployment: &DeploymentId,
    files: &BTreeMap<String, String>,
    force: bool,
) -> Result<(), CliError> {
    let failed = |error| CliError::file(directory, error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let before = list(directory)?;
    let in_the_way = match &before {
        _ if force => Vec::new(),
        Some(before) => changed(directory, before, files)?,
        None => others(directory)?,
    };
    if !in_the_way.is_empty() {
        let told: Vec<&str> = in_the_way.iter().map(String::as_str).take(TOLD_MAX).collect();
        let more = in_the_way.len().saturating_sub(told.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = match before {
            Some(_) => "changed since they were written, or written by somebody else",
            None => "nothing of `deployd manifests`",
        };
        return Err(CliError::Failed(format!(
            "{}: {}{more}: {what}; nothing was written; another --out is empty, --force writes over what has the same name",
            directory.display(),
            told.join(", ")
        )));
    }
    let gone = before.unwrap_or_default().files.into_iter();
    for (name, digest) in gone.filter(|(name, _)| !files.contains_key(name)) {
        let path = directory.join(&name);
        // What was changed is somebody's work, also when the rest is forced.
        if present(&path)? == Some(digest) {
            std::fs::remove_file(&path).map_err(|error| CliError::file(&path, error))?;
        }
    }
    for (name, text) in files {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|error| CliError::file(&path, error))?;
    }
    let digests = files.iter().map(|(name, text)| (name.clone(), Digest::of(text.as_bytes())));
    let written = Written { deployment: Some(deployment.clone()), files: digests.collect() };
    let text = serde_json::to_string_pretty(&written)
        .map_err(|error| CliError::Failed(error.to_string()))?;
    let path = directory.join(LIST);
    std::fs::write(&path, text + "\n").map_err(|error| CliError::file(&path, error))
}

/// What was written there before; none where nothing was, or nobody can tell.
fn list(directory: &Path) -> Result<Option<Written>, CliError> {
    let path = directory.join(LIST);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let written: Option<Written> = serde_json::from_slice(&bytes).ok();
            // Names lead to files in the directory itself, whatever the list says.
            let plain = |name: &String| !name.contains(['/', '\\']) && !name.starts_with('.');
            Ok(written.filter(|written| written.files.keys().all(plain)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::file(path, error)),
    }
}

/// Files that would be written over or removed, and are not as they were written.
fn changed(
    directory: &Path,
    before: &Written,
    files: &BTreeMap<String, String>,
) -> Result<Vec<String>, CliError> {
    let mut found = Vec::new();
    for name in before.files.keys().chain(files.keys().filter(|it| !before.files.contains_key(*it)))
    {
        if let Some(digest) = present(&directory.join(name))?
            && before.files.get(name) != Some(&digest)
        {
            found.push(name.clone());
        }
    }
    Ok(found)
}

/// Everything in a directory that is not ours.
fn others(directory: &Path) -> Result<Vec<String>, CliError> {
    let failed = |error| CliError::file(directory, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn present(path: &Path) -> Result<Option<Digest>, CliError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(Digest::of(&bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::file(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_is_ours_is_replaced_and_the_rest_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("rendered");
        let id = DeploymentId("d".to_owned());
        let read = |name: &str| std::fs::read_to_string(at.join(name)).ok();
        let put = |name: &str, text: &str| std::fs::write(at.join(name), text).unwrap();
        write(&at, &id, &files(&[("1.yaml", "a"), ("2.yaml", "b")]), false).unwrap();
        put("kustomization.yaml", "mine");
        write(&at, &id, &files(&[("1.yaml", "c"), ("3.yaml", "d")]), false).unwrap();
        assert_eq!(read("1.yaml").as_deref(), Some("c"));
        assert_eq!((read("2.yaml"), read("3.yaml").as_deref()), (None, Some("d")));
        assert_eq!(read("kustomization.yaml").as_deref(), Some("mine"));
        // Somebody has changed one, and another one has a name that is needed now.
        put("3.yaml", "mine");
        put("4.yaml", "mine");
        let next = files(&[("1.yaml", "e"), ("4.yaml", "f")]);
        let error = write(&at, &id, &next, false).unwrap_err().to_string();
        assert!(error.contains("3.yaml, 4.yaml: changed since"), "{error}");
        assert_eq!(read("1.yaml").as_deref(), Some("c"), "nothing was written");
        write(&at, &id, &next, true).unwrap();
        assert_eq!(read("4.yaml").as_deref(), Some("f"));
        assert_eq!(read("3.yaml").as_deref(), Some("mine"), "it is gone from the list alone");
    }

    #[test]
    fn a_directory_of_others_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("note.txt"), "mine").unwrap();
        let (id, all) = (DeploymentId("d".to_owned()), files(&[("1.yaml", "a")]));
        let error = write(at, &id, &all, false).unwrap_err().to_string();
        assert!(error.contains("note.txt: nothing of `deployd manifests`"), "{error}");
        assert_eq!(others(at).unwrap(), ["note.txt"]);
        // A list that leads elsewhere is none of ours.
        let list = r#"{"deployment": "d", "files": {"../x": "sha256:00"}}"#;
        std::fs::write(at.join(LIST), list).unwrap();
        assert!(write(at, &id, &all, false).is_err());
        write(at, &id, &all, true).unwrap();
        assert_eq!(others(at).unwrap(), [LIST, "1.yaml", "note.txt"]);
    }
}
