//! Every fixture in `tests/fixtures/documents` gives exactly the errors that
//! stand beside it: `<case>.yaml` and `<case>.errors`.
//!
//! After a change of messages, `UPDATE_FIXTURES=1 cargo test -p deployd-config`
//! writes them anew; read the difference before it is kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should fail where it is"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use deployd_config::{NoFiles, SourceFile, read, render};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/documents")
}

fn cases(extension: &str) -> BTreeSet<String> {
    std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn errors_of(case: &str) -> String {
    let path = format!("{case}.yaml");
    let text = std::fs::read_to_string(folder().join(&path)).unwrap();
    match read(&[SourceFile { path, text }], &NoFiles) {
        Ok(_) => String::new(),
        Err(errors) => {
            assert!(!errors.is_empty(), "{case}: refused without a reason");
            format!("{}\n", render(&errors))
        }
    }
}

#[test]
fn every_case_gives_its_errors() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut differing = Vec::new();
    for case in cases("yaml") {
        let errors = errors_of(&case);
        let path = folder().join(format!("{case}.errors"));
        if update {
            std::fs::write(&path, &errors).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if errors != expected {
            differing.push(format!("== {case}: expected\n{expected}-- found\n{errors}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_fixture_is_used() {
    assert_eq!(cases("yaml"), cases("errors"), "each case is two files");
    let files = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, 2 * cases("yaml").len(), "a file that belongs to no case");
}

#[test]
fn what_is_reported_can_be_found() {
    for case in cases("yaml") {
        let path = format!("{case}.yaml");
        let text = std::fs::read_to_string(folder().join(&path)).unwrap();
        let lines: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        let Err(errors) = read(&[SourceFile { path, text }], &NoFiles) else { continue };
        let mut seen = BTreeSet::new();
        for error in errors {
            assert!((1..=lines.len() + 1).contains(&error.line), "{error}");
            // The end of a line, or of the file, is a place too.
            let length = lines.get(error.line - 1).copied().unwrap_or(0);
            assert!((1..=length + 1).contains(&error.column), "{error}");
            assert!(seen.insert(error.to_string()), "twice: {error}");
        }
    }
}
