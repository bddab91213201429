//! What the demo deploys of the sample in the repository, as it is in the binary.
//!
//! The sample's staging is not in it: it is on servers that a demo has not.

use include_dir::{Dir, include_dir};

static CONFIG: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sample/config");
static SCORE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sample/score");

/// The sample's files: path within the sample, and text.
pub(crate) fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (folder, dir) in [("config", &CONFIG), ("score", &SCORE)] {
        for file in dir.files() {
            if let Some(text) = file.contents_utf8() {
                files.push((format!("{folder}/{}", file.path().display()), text.to_owned()));
            }
        }
    }
    files.sort();
    files
}
