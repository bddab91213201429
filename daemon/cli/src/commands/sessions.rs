//! Sessions of people who have signed in, one for each daemon, in a file that nobody
//! else reads: `deployd/sessions.json` where configuration of programs is kept.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use deployd_core::views::NewSession;
use deployd_core::{Actor, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::CliError;

/// A session at one daemon.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What is given with requests.
    pub(super) secret: String,
    /// Who has signed in.
    pub(super) name: Actor,
    /// Until when it counts.
    pub(super) expires: Timestamp,
}

impl From<NewSession> for Kept {
    fn from(new: NewSession) -> Self {
        Self { secret: new.secret, name: new.name, expires: new.expires }
    }
}

/// The file.
pub(super) struct Sessions {
    path: PathBuf,
    /// By the address of the daemon: a session is shown to no other.
    all: BTreeMap<String, Kept>,
}

impl Sessions {
    /// Reads the file; there are none where there is no file.
    pub(super) fn read(path: PathBuf) -> Result<Self, CliError> {
        let all = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                let file = path.display();
                CliError::Input(format!(
                    "{file} can't be read: {error}; delete it and sign in again"
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(CliError::file(&path, error)),
        };
        Ok(Self { path, all })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The session at a daemon, also one that is over.
    pub(super) fn at(&self, server: &str) -> Option<&Kept> {
        self.all.get(server)
    }

    /// Keeps a session, instead of the one before, and none that is over.
    pub(super) fn keep(
        &mut self,
        server: &str,
        kept: Kept,
        now: Timestamp,
    ) -> Result<(), CliError> {
        self.all.retain(|_, kept| kept.expires > now);
        self.all.insert(server.to_owned(), kept);
        self.write()
    }

    /// Takes a session away, and the file with the last one.
    pub(super) fn take(&mut self, server: &str) -> Result<Option<Kept>, CliError> {
        let Some(taken) = self.all.remove(server) else { return Ok(None) };
        if self.all.is_empty() {
            std::fs::remove_file(&self.path).map_err(|error| CliError::file(&self.path, error))?;
        } else {
            self.write()?;
        }
        Ok(Some(taken))
    }

    /// Writes a new file and puts it in the place of the old one, so that nobody reads
    /// half of it, and it never was one that others could read.
    fn write(&self) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(&self.all)
            .map_err(|error| CliError::Failed(error.to_string()))?;
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        let folder = self.path.parent().unwrap_or(Path::new("."));
        private_folder(folder).map_err(|error| CliError::file(folder, error))?;
        let written = private_file(&new)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&new, &self.path));
        written.map_err(|error| {
            // Of a session that could not be kept, nothing is left behind.
            let _ = std::fs::remove_file(&new);
            CliError::file(&self.path, error)
        })
    }
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

fn private_file(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Not one that is there already, whose mode would stay.
    options.write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(secret: &str, expires: u64) -> Kept {
        let (secret, name) = (secret.to_owned(), Actor("corp:ada".to_owned()));
        Kept { secret, name, expires: Timestamp(expires) }
    }

    #[test]
    fn each_daemon_has_its_own_and_what_is_over_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deployd/sessions.json");
        let mut sessions = Sessions::read(path.clone()).unwrap();
        sessions.keep("http://a", kept("one", 10), Timestamp(0)).unwrap();
        sessions.keep("http://b", kept("two", 100), Timestamp(0)).unwrap();
        let mut sessions = Sessions::read(path.clone()).unwrap();
        assert_eq!(sessions.at("http://a").unwrap().secret, "one");
        assert!(sessions.at("http://a/").is_none());
        sessions.keep("http://c", kept("three", 100), Timestamp(50)).unwrap();
        assert!(sessions.at("http://a").is_none());
        assert_eq!(sessions.take("http://b").unwrap().unwrap().secret, "two");
        assert!(sessions.take("http://b").unwrap().is_none());
        sessions.take("http://c").unwrap();
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deployd/sessions.json");
        let mut sessions = Sessions::read(path.clone()).unwrap();
        for secret in ["one", "two"] {
            sessions.keep("http://a", kept(secret, 10), Timestamp(0)).unwrap();
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        }
        std::fs::write(&path, "no JSON").unwrap();
        let error = Sessions::read(path).err().unwrap().to_string();
        assert!(error.contains("sessions.json") && error.contains("sign in again"), "{error}");
    }
}
