//! Where files beside a document come from.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::limits::BESIDE_BYTES_MAX;

/// Gives files that documents name.
pub trait Beside {
    /// The bytes of a file. `document` is the path of the document's file as it
    /// was given, `path` what the document says: relative, and without a way
    /// out of the document's directory. An error is a sentence's end: "found
    /// the path x, which {error}".
    fn bytes(&self, document: &str, path: &str) -> Result<Vec<u8>, String>;
}

/// There are none: documents are texts alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Beside for NoFiles {
    fn bytes(&self, _: &str, _: &str) -> Result<Vec<u8>, String> {
        Err("can't be read: only the documents themselves were sent".to_owned())
    }
}

/// Files that were sent along, by [`joined`] path.
#[derive(Debug, Clone, Default)]
pub struct Sent(pub BTreeMap<String, Vec<u8>>);

impl Beside for Sent {
    fn bytes(&self, document: &str, path: &str) -> Result<Vec<u8>, String> {
        let joined = joined(document, path).ok_or("leads out of the document's directory")?;
        let bytes = self.0.get(&joined).ok_or("was not sent along with the document")?;
        small(bytes.len())?;
        Ok(bytes.clone())
    }
}

/// Files on disk, beside the documents' own. The paths of documents are
/// relative to the working directory, or absolute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folder;

impl Beside for Folder {
    fn bytes(&self, document: &str, path: &str) -> Result<Vec<u8>, String> {
        let relative = within(path).ok_or("leads out of the document's directory")?;
        let directory = Path::new(document).parent().map_or_else(PathBuf::new, Path::to_owned);
        let directory = if directory.as_os_str().is_empty() { ".".into() } else { directory };
        let unreadable = |error: std::io::Error| format!("can't be read: {error}");
        let directory = directory.canonicalize().map_err(unreadable)?;
        // A symbolic link may lead anywhere, so the real place counts.
        let file = directory.join(relative).canonicalize().map_err(unreadable)?;
        if !file.starts_with(&directory) {
            return Err("leads out of the document's directory".to_owned());
        }
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err("is no file".to_owned());
        }
        let mut bytes = Vec::new();
        // One byte more than allowed tells that there is more.
        let limit = BESIDE_BYTES_MAX as u64 + 1;
        let opened = std::fs::File::open(&file).map_err(unreadable)?;
        opened.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
        small(bytes.len())?;
        Ok(bytes)
    }
}

fn small(length: usize) -> Result<(), String> {
    if length <= BESIDE_BYTES_MAX {
        return Ok(());
    }
    Err(format!("has more than {BESIDE_BYTES_MAX} bytes"))
}

/// A path without `.` and `..`; none when it leads out of where it begins.
pub(super) fn within(path: &str) -> Option<String> {
    // A drive or a share of Windows, which `/` alone would not show.
    if path.starts_with('/') || path.contains(['\\', ':', '\0']) {
        return None;
    }
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop()?;
            }
            step => steps.push(step),
        }
    }
    (!steps.is_empty()).then(|| steps.join("/"))
}

/// The path of a file beside a document, from where the document's path begins;
/// none when it leads out of the document's directory.
pub fn joined(document: &str, path: &str) -> Option<String> {
    let path = within(path)?;
    Some(match document.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{path}"),
        None => path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within() {
        for (path, expected) in [
            ("a", Some("a")),
            ("./a//b", Some("a/b")),
            ("a/../b", Some("b")),
            ("", None),
            (".", None),
            ("..", None),
            ("../a", None),
            ("a/../../b", None),
            ("/etc/passwd", None),
            ("C:/x", None),
            ("..\\a", None),
        ] {
            assert_eq!(within(path).as_deref(), expected, "{path}");
        }
        assert_eq!(joined("score/app.yaml", "x/y").as_deref(), Some("score/x/y"));
        assert_eq!(joined("app.yaml", "x").as_deref(), Some("x"));
        assert_eq!(joined("score/app.yaml", "../x"), None);
    }

    #[test]
    fn a_folder_gives_its_files_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("a.txt"), "hello").unwrap();
        std::fs::write(directory.path().join("outside"), "secret").unwrap();
        std::fs::write(inner.join("large"), vec![0; BESIDE_BYTES_MAX + 1]).unwrap();
        std::os::unix::fs::symlink("../outside", inner.join("link")).unwrap();
        let document = inner.join("app.yaml");
        let read = |path| Folder.bytes(document.to_str().unwrap(), path);
        assert_eq!(read("a.txt"), Ok(b"hello".to_vec()));
        assert!(read("../outside").unwrap_err().contains("leads out"));
        assert!(read("link").unwrap_err().contains("leads out"));
        assert!(read("none").unwrap_err().contains("can't be read"));
        assert!(read("large").unwrap_err().contains("more than"));
        assert_eq!(read("../inner").unwrap_err(), "leads out of the document's directory");
    }
}
