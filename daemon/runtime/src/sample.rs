//! The sample in the repository, as it is in the binary.

use include_dir::{Dir, include_dir};

static SAMPLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sample");

/// The sample's files: path within the sample, and text.
pub(crate) fn files() -> Vec<(String, String)> {
    let mut open = vec![&SAMPLE];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        open.extend(folder.dirs());
        for file in folder.files() {
            if let Some(text) = file.contents_utf8() {
                files.push((file.path().display().to_string(), text.to_owned()));
            }
        }
    }
    files.sort();
    files
}
