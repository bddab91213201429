//! Files below folders that the settings name.
//!
//! The kernel resolves the path below the folder (`openat2`), in one step with
//! opening the file: neither `..` nor a symbolic link leads out of it, also not
//! one that is put there in between.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::SecretSource;
use deployd_core::secret::{Link, SecretValue};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::{VALUE_BYTES_MAX, wrong_place};

/// Reads files.
pub struct FileSource {
    folders: Vec<PathBuf>,
}

impl FileSource {
    /// Files below these folders.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// The folder that a path is below, and the path from there.
    fn place(&self, path: &str) -> Result<(&Path, PathBuf), Fault> {
        let below = |folder: &PathBuf| {
            let below = Path::new(path).strip_prefix(folder).ok()?;
            (!below.as_os_str().is_empty()).then(|| below.to_owned())
        };
        let found = self.folders.iter().find_map(|folder| Some((folder, below(folder)?)));
        let (folder, below) = found.ok_or_else(|| {
            let allowed: Vec<String> =
                self.folders.iter().map(|folder| folder.display().to_string()).collect();
            let message = format!(
                "{path} is in no folder that secrets.files in the daemon's settings allows: {}",
                if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") }
            );
            Fault::denied("secret-file-denied", message)
        })?;
        Ok((folder, below))
    }
}

#[async_trait]
impl SecretSource for FileSource {
    fn allows(&self, link: &Link) -> Result<(), Fault> {
        let Link::File { path } = link else { return Err(wrong_place(link)) };
        self.place(path).map(drop)
    }

    async fn read(&self, link: &Link) -> Result<SecretValue, Fault> {
        let Link::File { path } = link else { return Err(wrong_place(link)) };
        let (folder, below) = self.place(path)?;
        let (folder, path) = (folder.to_owned(), path.clone());
        let reading = tokio::task::spawn_blocking(move || read(&folder, &below, &path));
        let ended = |_| Fault::transient("secret-file-failed", "the daemon is stopping");
        reading.await.map_err(ended)?.map(SecretValue::new)
    }
}

/// The bytes of a file, without one line break at its end: editors end a file
/// with one that nobody means.
fn read(folder: &Path, below: &Path, path: &str) -> Result<Vec<u8>, Fault> {
    let open = || {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, directory, Mode::empty())?;
        // Without waiting for whoever may one day write to a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(folder, below, flags, Mode::empty(), inside)
    };
    let file = std::fs::File::from(open().map_err(|errno| refused(errno, path))?);
    let failed = |error: io::Error| {
        Fault::transient("secret-file-failed", format!("{path} can't be read: {error}"))
    };
    if !file.metadata().map_err(failed)?.is_file() {
        let message = format!("{path} is no file");
        return Err(Fault::invalid("secret-file-invalid", message));
    }
    let mut bytes = Vec::new();
    // One more than is allowed, so that too much is seen as such.
    let limit = VALUE_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(bytes)
}

fn refused(errno: Errno, path: &str) -> Fault {
    match errno {
        Errno::NOENT | Errno::NOTDIR => {
            Fault::invalid("secret-file-missing", format!("{path} is not there; put it there"))
        }
        Errno::XDEV | Errno::LOOP => {
            let message = format!("{path} is a symbolic link that leads out of its folder");
            Fault::denied("secret-file-denied", message)
        }
        Errno::ACCESS | Errno::PERM => {
            let message = format!(
                "the daemon may not read {path}: its user can't, or the folder was not there when \
                 the daemon was started"
            );
            Fault::denied("secret-file-denied", message)
        }
        Errno::NOSYS => {
            let message = "this kernel can't open files below a folder only (Linux 5.6 can)";
            Fault::permanent("secret-file-failed", message)
        }
        other => {
            let error = io::Error::from(other);
            Fault::transient("secret-file-failed", format!("{path} can't be opened: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn link(path: &Path) -> Link {
        format!("file:{}", path.display()).parse().unwrap()
    }

    async fn code(source: &FileSource, path: &Path) -> String {
        source.read(&link(path)).await.unwrap_err().code
    }

    #[tokio::test]
    async fn files_are_read_without_the_line_break_at_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let source = FileSource::new(vec![folder.path().join("none"), folder.path().to_owned()]);
        for (written, read) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n")] {
            let file = folder.path().join("secret");
            std::fs::write(&file, written).unwrap();
            assert_eq!(source.read(&link(&file)).await.unwrap().expose(), read.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_file_may_be_reached_by_links_that_stay_in_its_folder() {
        // As the kubelet mounts Secrets.
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("..2026")).unwrap();
        std::fs::write(folder.path().join("..2026/db"), "hunter2").unwrap();
        symlink("..2026", folder.path().join("..data")).unwrap();
        symlink("..data/db", folder.path().join("db")).unwrap();
        let source = FileSource::new(vec![folder.path().to_owned()]);
        let value = source.read(&link(&folder.path().join("db"))).await.unwrap();
        assert_eq!(value.expose(), b"hunter2");
    }

    #[tokio::test]
    async fn nothing_leads_out_of_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("allowed");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(outside.path().join("secret"), "hunter2").unwrap();
        symlink(outside.path().join("secret"), folder.join("absolute")).unwrap();
        symlink("../secret", folder.join("relative")).unwrap();
        symlink("..", folder.join("inner/up")).unwrap();
        symlink(outside.path(), folder.join("folder")).unwrap();
        symlink("/proc/self/environ", folder.join("environ")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        let source = FileSource::new(vec![folder.clone()]);
        for path in
            ["absolute", "relative", "folder/secret", "environ", "loop", "inner/up/relative"]
        {
            assert_eq!(code(&source, &folder.join(path)).await, "secret-file-denied", "{path}");
        }
        // A sibling whose name begins alike is no part of it.
        let other = outside.path().join("allowed-not");
        std::fs::write(&other, "hunter2").unwrap();
        for path in [&other, &outside.path().join("secret"), &folder] {
            let fault = source.allows(&link(path)).unwrap_err();
            assert_eq!(fault.code, "secret-file-denied");
            assert!(fault.message.contains(&folder.display().to_string()), "{fault}");
        }
    }

    #[tokio::test]
    async fn what_is_no_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let source = FileSource::new(vec![folder.path().to_owned()]);
        assert_eq!(code(&source, &folder.path().join("none")).await, "secret-file-missing");
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        assert_eq!(code(&source, &folder.path().join("inner")).await, "secret-file-invalid");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(code(&source, &pipe).await, "secret-file-invalid");
    }
}
