//! Secrets, encrypted in the store: XChaCha20-Poly1305 with a key from a file
//! that only the daemon's user can read. Each value is bound to its name, so
//! that one ciphertext can't be put in the place of another.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use deployd_core::ports::{
    Batch, Index, KeyRange, Order, Put, Random, Recipe, Store, Vault, VaultError,
};
use deployd_core::secret::{SecretRef, SecretValue};
use tokio::sync::Mutex;

/// Owner, zero byte, name -> format, nonce, ciphertext.
const SECRETS: Index = Index("secrets");

/// The first byte of a stored secret.
const FORMAT: u8 = 1;

/// Bytes of a nonce: long enough to be chosen at random.
const NONCE: usize = 24;

/// Bytes of the key.
const KEY: usize = 32;

/// The largest secret: what a Kubernetes Secret can hold.
const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// The most secrets of one owner.
const SECRETS_MAX: usize = 10_000;

/// Why the key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or made.
    #[error("the key of secrets, {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no key.
    #[error(
        "the key of secrets, {path}: found {found} bytes, expected {KEY}; restore it from where it was kept"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// There are secrets, and no key.
    #[error(
        "there are secrets in the store, and no key at {path}; restore it from where it was kept"
    )]
    Lost {
        /// Where it should be.
        path: PathBuf,
    },
}

/// The vault over a store.
pub(crate) struct StoreVault {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    cipher: XChaCha20Poly1305,
    /// One change at a time, so that "is it there?" and "put it there" are one.
    changing: Mutex<()>,
}

impl StoreVault {
    /// Opens the vault; makes a key when there is none and nothing is encrypted
    /// yet.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        key_file: &Path,
    ) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: key_file.to_owned(), source };
        let key = match std::fs::read(key_file) {
            Ok(key) if key.len() == KEY => key,
            Ok(key) => {
                return Err(KeyError::Length { path: key_file.to_owned(), found: key.len() });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let all = KeyRange { start: Vec::new(), end: None };
                let some = store.scan(SECRETS, all, Order::Ascending, 1).await;
                if some.is_ok_and(|page| !page.entries.is_empty()) {
                    return Err(KeyError::Lost { path: key_file.to_owned() });
                }
                let mut key = vec![0u8; KEY];
                random.fill(&mut key);
                make_key_file(key_file, &key).map_err(io)?;
                key
            }
            Err(error) => return Err(io(error)),
        };
        let cipher = XChaCha20Poly1305::new_from_slice(&key)
            .map_err(|_| KeyError::Length { path: key_file.to_owned(), found: key.len() })?;
        Ok(Self { store, random, cipher, changing: Mutex::new(()) })
    }

    async fn write(&self, secret: &SecretRef, value: &[u8]) -> Result<(), VaultError> {
        let unreadable = |reason: &str| VaultError::Unreadable {
            secret: secret.clone(),
            reason: reason.to_owned(),
        };
        if value.len() > VALUE_BYTES_MAX {
            return Err(VaultError::Recipe(format!(
                "it has {} bytes, and at most {VALUE_BYTES_MAX} are allowed",
                value.len()
            )));
        }
        let mut nonce = [0u8; NONCE];
        self.random.fill(&mut nonce);
        let key = key(secret);
        let payload = Payload { msg: value, aad: &key };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| unreadable("it can't be encrypted"))?;
        let mut stored = vec![FORMAT];
        stored.extend_from_slice(&nonce);
        stored.extend_from_slice(&sealed);
        let put = Put { index: SECRETS, key, value: Some(stored) };
        self.store.append(Batch { puts: vec![put], ..Batch::default() }).await?;
        Ok(())
    }
}

/// Makes the file whole or not at all: a start that ends in between must not
/// leave a key that is cut off, which no later start would take.
fn make_key_file(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("key.new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        // The name has to last as well as the bytes.
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn key(secret: &SecretRef) -> Vec<u8> {
    format!("{}\0{}", secret.owner, secret.name).into_bytes()
}

fn of_owner(owner: &str) -> KeyRange {
    KeyRange::prefix(format!("{owner}\0").as_bytes())
}

#[async_trait]
impl Vault for StoreVault {
    async fn generate(&self, secret: &SecretRef, recipe: &Recipe) -> Result<(), VaultError> {
        let _changing = self.changing.lock().await;
        if self.contains(secret).await? {
            return Ok(());
        }
        let characters: Vec<char> = recipe.alphabet.chars().collect();
        if characters.is_empty() || characters.len() > 256 {
            return Err(VaultError::Recipe("its alphabet has no or too many characters".into()));
        }
        if !(Recipe::LENGTH_MIN..=Recipe::LENGTH_MAX).contains(&recipe.length) {
            return Err(VaultError::Recipe(format!(
                "its length is {}, expected {} to {}",
                recipe.length,
                Recipe::LENGTH_MIN,
                Recipe::LENGTH_MAX
            )));
        }
        // Bytes that would favour the first characters are drawn again.
        let fair = 256 - 256 % characters.len();
        let mut value = String::with_capacity(recipe.length);
        let mut drawn = 0;
        while drawn < recipe.length {
            let mut byte = [0u8; 1];
            self.random.fill(&mut byte);
            let at = usize::from(byte[0]);
            if at < fair {
                value.extend(characters.get(at % characters.len()));
                drawn += 1;
            }
        }
        self.write(secret, value.as_bytes()).await
    }

    async fn put(&self, secret: &SecretRef, value: SecretValue) -> Result<(), VaultError> {
        let _changing = self.changing.lock().await;
        match self.get(secret).await {
            Ok(known) if known == value => return Ok(()),
            Ok(_) | Err(VaultError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.write(secret, value.expose()).await
    }

    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        let key = key(secret);
        let stored = self
            .store
            .get(SECRETS, &key)
            .await?
            .ok_or_else(|| VaultError::NotFound(secret.clone()))?;
        let unreadable = |reason: &str| VaultError::Unreadable {
            secret: secret.clone(),
            reason: reason.to_owned(),
        };
        let Some((FORMAT, rest)) = stored.split_first().map(|(first, rest)| (*first, rest)) else {
            return Err(unreadable("it is of a format that this version does not know"));
        };
        let (nonce, sealed) =
            rest.split_first_chunk::<NONCE>().ok_or_else(|| unreadable("it is cut off"))?;
        let payload = Payload { msg: sealed, aad: &key };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(SecretValue::new)
            .map_err(|_| unreadable("it was encrypted with another key, or changed since"))
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        Ok(self.store.get(SECRETS, &key(secret)).await?.is_some())
    }

    async fn list(&self, owner: &str) -> Result<Vec<String>, VaultError> {
        let page = self.store.scan(SECRETS, of_owner(owner), Order::Ascending, SECRETS_MAX).await?;
        let name = |(key, _): &(Vec<u8>, Vec<u8>)| {
            String::from_utf8_lossy(key.get(owner.len() + 1..).unwrap_or_default()).into_owned()
        };
        Ok(page.entries.iter().map(name).collect())
    }

    async fn remove_owner(&self, owner: &str) -> Result<(), VaultError> {
        let _changing = self.changing.lock().await;
        let page = self.store.scan(SECRETS, of_owner(owner), Order::Ascending, SECRETS_MAX).await?;
        let puts = page
            .entries
            .into_iter()
            .map(|(key, _)| Put { index: SECRETS, key, value: None })
            .collect();
        self.store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use deployd_store::MemoryStore;

    use super::*;
    use crate::world::SystemRandom;

    fn secret(owner: &str, name: &str) -> SecretRef {
        SecretRef { owner: owner.into(), name: name.into() }
    }

    async fn open(store: &Arc<dyn Store>, folder: &Path) -> Result<StoreVault, KeyError> {
        StoreVault::open(store.clone(), Arc::new(SystemRandom), &folder.join("key")).await
    }

    fn recipe(length: usize) -> Recipe {
        Recipe { length, alphabet: "abc".into() }
    }

    #[tokio::test]
    async fn secrets_survive_a_restart_and_stand_nowhere_in_the_clear() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let vault = open(&store, folder.path()).await.unwrap();
        let canary = SecretValue::new(b"canary-7d1f".to_vec());
        vault.put(&secret("operator", "a"), canary.clone()).await.unwrap();
        drop(vault);
        let vault = open(&store, folder.path()).await.unwrap();
        assert_eq!(vault.get(&secret("operator", "a")).await.unwrap(), canary);
        let all = KeyRange { start: Vec::new(), end: None };
        for (_, value) in store.scan(SECRETS, all, Order::Ascending, 10).await.unwrap().entries {
            assert!(!value.windows(6).any(|part| part == b"canary"));
        }
    }

    #[tokio::test]
    async fn a_generated_secret_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let vault = open(&store, folder.path()).await.unwrap();
        let name = secret("uid", "password");
        vault.generate(&name, &recipe(20)).await.unwrap();
        let first = vault.get(&name).await.unwrap();
        assert_eq!(first.expose().len(), 20);
        vault.generate(&name, &recipe(20)).await.unwrap();
        assert_eq!(vault.get(&name).await.unwrap(), first);
        assert!(vault.generate(&secret("uid", "b"), &recipe(3)).await.is_err());
        vault.remove_owner("uid").await.unwrap();
        assert!(vault.list("uid").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_ciphertext_can_not_be_moved_and_a_lost_key_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let vault = open(&store, folder.path()).await.unwrap();
        vault.put(&secret("o", "a"), SecretValue::new(b"x".to_vec())).await.unwrap();
        let moved = store.get(SECRETS, &key(&secret("o", "a"))).await.unwrap();
        let put = Put { index: SECRETS, key: key(&secret("o", "b")), value: moved };
        store.append(Batch { puts: vec![put], ..Batch::default() }).await.unwrap();
        let found = vault.get(&secret("o", "b")).await;
        assert!(matches!(found, Err(VaultError::Unreadable { .. })), "{found:?}");

        std::fs::remove_file(folder.path().join("key")).unwrap();
        assert!(matches!(open(&store, folder.path()).await, Err(KeyError::Lost { .. })));
        std::fs::write(folder.path().join("key"), "short").unwrap();
        assert!(matches!(open(&store, folder.path()).await, Err(KeyError::Length { .. })));
    }
}
