//! The keys that data keys are wrapped with: where they come from, and which of
//! them is the newest.

mod file;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use deployd_core::Digest;
use deployd_core::ports::Random;
use deployd_core::secret::{KeyReport, KeyUse, KeyView};

pub(crate) use file::KeyFiles;

use crate::progress::Progress;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;

/// Bytes of a key's id: enough to tell the few keys of one installation apart.
pub(crate) const ID: usize = 8;

/// What the environment says of a variable; in tests, what it is told to say.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Names a key. Made of the key, and tells nothing about it: keys are random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId(pub(crate) [u8; ID]);

impl KeyId {
    fn of(key: &[u8; KEY]) -> Self {
        let digest = Digest::of_parts(&[b"deployd key of secrets", key]);
        let mut id = [0; ID];
        for (byte, digit) in id.iter_mut().zip(digest.as_bytes()) {
            *byte = *digit;
        }
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// The file of the newest key, unless that comes from a variable; keys
    /// before it are in files beside it.
    pub file: PathBuf,
    /// The variable that has the newest key, in base 64.
    pub variable: Option<String>,
    /// Variables of keys before it. Those that are not set are left out.
    pub previous_variables: Vec<String>,
}

/// Why the keys can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file can't be read or made.
    #[error("the key of secrets, {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no key.
    #[error(
        "the key of secrets, {path}: found {found} bytes, expected {KEY}; restore it from where it was kept"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// A variable is not set, or is no key.
    #[error(
        "the key of secrets in the variable {name}: {reason}; expected {KEY} bytes in base 64, as of `head -c {KEY} /dev/urandom | base64`"
    )]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There are secrets, and no key.
    #[error(
        "there are secrets in the store, and no key at {path}; restore it from where it was kept"
    )]
    Lost {
        /// Where it should be.
        path: PathBuf,
    },
    /// There are secrets that need another key than those at hand.
    #[error(
        "the secrets in the store are encrypted with the key {needed}, and at hand are: {}; \
         restore it as secrets-{needed}.key beside the newest, or name its variable in \
         secrets.previous-key-envs", if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    Unknown {
        /// The key's id.
        needed: String,
        /// The ids of those at hand.
        known: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] deployd_core::ports::StoreError),
}

/// Where a key was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    File(PathBuf),
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

/// One key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) cipher: XChaCha20Poly1305,
    bytes: [u8; KEY],
    origin: Origin,
}

impl Key {
    fn new(bytes: [u8; KEY], origin: Origin) -> Self {
        let cipher = XChaCha20Poly1305::new(&bytes.into());
        Self { id: KeyId::of(&bytes), cipher, bytes, origin }
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        &self.bytes
    }
}

/// The keys that are known, the newest first.
pub(crate) struct Keyring {
    newest: Key,
    older: Vec<Key>,
}

impl Keyring {
    pub(crate) fn newest(&self) -> &Key {
        &self.newest
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&Key> {
        self.all().find(|key| key.id == id)
    }

    /// What can be said of them, as far as it is with wrapping all secrets with
    /// the newest.
    pub(crate) fn report(&self, progress: Progress) -> KeyReport {
        let settled = progress.is_settled(self.newest.id);
        // What no key has opened may be what an older one is kept for.
        let removable = settled && progress.unreadable.is_empty();
        let old = if removable { KeyUse::Removable } else { KeyUse::Needed };
        let view = |key: &Key, used| KeyView {
            id: key.id.to_string(),
            from: key.origin.to_string(),
            used,
        };
        let older = self.older.iter().map(|key| view(key, old));
        let keys = std::iter::once(view(&self.newest, KeyUse::Newest)).chain(older).collect();
        KeyReport { settled, keys, unreadable: progress.unreadable }
    }
}

/// What is known before the store is asked.
pub(crate) struct Found {
    /// None when there is no file yet, and no variable was named.
    newest: Option<Key>,
    older: Vec<Key>,
}

impl Found {
    /// The keyring; none when there is no newest key yet.
    pub(crate) fn ring(self) -> Result<Keyring, Vec<Key>> {
        match self.newest {
            None => Err(self.older),
            Some(newest) => {
                let mut seen = BTreeSet::from([newest.id]);
                let mut older = self.older;
                // A rotation that was interrupted leaves a key twice.
                older.retain(|key| seen.insert(key.id));
                Ok(Keyring { newest, older })
            }
        }
    }

    pub(crate) fn ids(&self) -> Vec<KeyId> {
        self.newest.iter().chain(&self.older).map(|key| key.id).collect()
    }
}

impl KeySettings {
    pub(crate) fn files(&self) -> KeyFiles {
        KeyFiles::new(self.file.clone())
    }

    /// All keys that are there. Makes none.
    pub(crate) fn find(&self, environment: &Environment) -> Result<Found, KeyError> {
        let files = self.files();
        let from_file = |(path, bytes)| Key::new(bytes, Origin::File(path));
        let current = files.current()?.map(from_file);
        let mut older: Vec<Key> = Vec::new();
        for name in &self.previous_variables {
            older.extend(variable(name, environment)?);
        }
        let newest = match &self.variable {
            None => current,
            Some(name) => {
                older.extend(current);
                let reason = "it is not set";
                let unset = || KeyError::Variable { name: name.clone(), reason };
                Some(variable(name, environment)?.ok_or_else(unset)?)
            }
        };
        older.extend(files.older()?.into_iter().map(from_file));
        Ok(Found { newest, older })
    }

    /// What can be said of the keys without the store; an error when they can't
    /// be read. No keys when there are none yet.
    pub fn look(&self, environment: &Environment) -> Result<Vec<KeyView>, KeyError> {
        Ok(match self.find(environment)?.ring() {
            Ok(ring) => ring.report(Progress::default()).keys,
            Err(_) => Vec::new(),
        })
    }

    /// Makes a key file with a new key, and keeps the one before it.
    pub(crate) fn make(&self, random: &dyn Random, before: Option<&Key>) -> Result<Key, KeyError> {
        let mut bytes = [0u8; KEY];
        random.fill(&mut bytes);
        let files = self.files();
        for step in files.steps(before.map(|key| (key.id, *key.bytes())), bytes) {
            step().map_err(|source| KeyError::Io { path: self.file.clone(), source })?;
        }
        Ok(Key::new(bytes, Origin::File(self.file.clone())))
    }

    /// The newest key, and those that were known before.
    pub(crate) fn with_newest(&self, newest: Key, before: &Keyring) -> Keyring {
        let kept = self.files().kept(before.newest.id);
        let older = before.all().map(|key| {
            let moved = key.origin == Origin::File(self.file.clone());
            let origin = if moved { Origin::File(kept.clone()) } else { key.origin.clone() };
            Key { origin, ..key.clone() }
        });
        Keyring { older: older.collect(), newest }
    }

    /// A newest key beside older ones that came from elsewhere.
    pub(crate) fn first(newest: Key, older: Vec<Key>) -> Keyring {
        Keyring { newest, older }
    }
}

/// The key in a variable; none when it is not set.
fn variable(name: &str, environment: &Environment) -> Result<Option<Key>, KeyError> {
    let Some(text) = environment(name) else { return Ok(None) };
    let wrong = |reason| KeyError::Variable { name: name.to_owned(), reason };
    let decoded = STANDARD.decode(text.trim()).map_err(|_| wrong("it is not base 64"))?;
    let bytes = decoded.try_into().map_err(|_| wrong("it has another length"))?;
    Ok(Some(Key::new(bytes, Origin::Variable(name.to_owned()))))
}
