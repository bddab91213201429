//! Keys in files that only the daemon's user can read: the newest in one, and
//! each older one beside it, under its id.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{KEY, KeyError, KeyId};

/// What files of older keys begin and end with.
const OLDER: (&str, &str) = ("secrets-", ".key");

/// A part of a change that is whole or not there at all.
pub(crate) type Step = Box<dyn Fn() -> io::Result<()>>;

/// The files.
pub(crate) struct KeyFiles {
    current: PathBuf,
}

impl KeyFiles {
    pub(super) fn new(current: PathBuf) -> Self {
        Self { current }
    }

    /// The newest key; none when there is none yet.
    pub(super) fn current(&self) -> Result<Option<(PathBuf, [u8; KEY])>, KeyError> {
        match read(&self.current) {
            Ok(key) => Ok(Some((self.current.clone(), key))),
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The older ones.
    pub(super) fn older(&self) -> Result<Vec<(PathBuf, [u8; KEY])>, KeyError> {
        let entries = match std::fs::read_dir(self.folder()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(KeyError::Io { path: self.folder(), source }),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| KeyError::Io { path: self.folder(), source })?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(OLDER.0) && name.ends_with(OLDER.1) {
                found.push((entry.path(), read(&entry.path())?));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Where an older key is kept.
    pub(super) fn kept(&self, id: KeyId) -> PathBuf {
        self.folder().join(format!("{}{id}{}", OLDER.0, OLDER.1))
    }

    /// What puts a new key in its place: after each step, and also when one was
    /// interrupted, all keys are there that were, and each file is whole.
    pub(crate) fn steps(&self, before: Option<(KeyId, [u8; KEY])>, key: [u8; KEY]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        if let Some((id, old)) = before {
            let kept = self.kept(id);
            let unfinished = kept.clone();
            steps.push(Box::new(move || write_unfinished(&unfinished, &old)));
            steps.push(Box::new(move || finish(&kept)));
        }
        let (unfinished, current) = (self.current.clone(), self.current.clone());
        steps.push(Box::new(move || write_unfinished(&unfinished, &key)));
        steps.push(Box::new(move || finish(&current)));
        steps
    }

    fn folder(&self) -> PathBuf {
        match self.current.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }
}

fn read(path: &Path) -> Result<[u8; KEY], KeyError> {
    let key =
        std::fs::read(path).map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
    let found = key.len();
    key.try_into().map_err(|_| KeyError::Length { path: path.to_owned(), found })
}

/// Where a file is written before it is whole.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("key.new")
}

fn write_unfinished(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(unfinished(path))?;
    file.write_all(key)?;
    file.sync_all()
}

fn finish(path: &Path) -> io::Result<()> {
    std::fs::rename(unfinished(path), path)?;
    match path.parent() {
        // The name has to last as well as the bytes.
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
