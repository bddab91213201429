//! The sample that newcomers copy has nothing wrong with it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should fail where it is"
)]

use std::path::{Path, PathBuf};

use deployd_config::{Folder, SourceFile, read, render};
use deployd_core::config::DocumentKind;

fn sample() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample");
    let mut paths: Vec<PathBuf> = ["config", "score"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    let file = |path: PathBuf| SourceFile {
        text: std::fs::read_to_string(&path).unwrap(),
        path: path.to_str().unwrap().to_owned(),
    };
    paths.into_iter().map(file).collect()
}

#[test]
fn the_sample_can_be_read() {
    let documents = read(&sample(), &Folder).unwrap_or_else(|errors| panic!("{}", render(&errors)));
    let of = |kind| documents.iter().filter(|one| one.document.key().kind == kind).count();
    for (kind, count) in [
        (DocumentKind::Plugin, 6),
        (DocumentKind::EnvironmentType, 1),
        (DocumentKind::ResourceDefinition, 6),
        (DocumentKind::Workload, 2),
        (DocumentKind::Application, 1),
        (DocumentKind::Environment, 1),
        (DocumentKind::Subscription, 1),
    ] {
        assert_eq!(of(kind), count, "{kind}");
    }
}

#[test]
fn the_sample_needs_nothing_but_itself() {
    // Whatever is left out is missed, so every document has a use.
    let files = sample();
    for left_out in &files {
        if left_out.path.ends_with("subscription.yaml") {
            continue;
        }
        let rest: Vec<SourceFile> =
            files.iter().filter(|file| *file != left_out).cloned().collect();
        if left_out.path.ends_with("definitions.yaml") {
            continue;
        }
        assert!(read(&rest, &Folder).is_err(), "{}", left_out.path);
    }
}
