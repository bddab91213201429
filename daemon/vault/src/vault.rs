//! The port `Vault` over a store.

use std::sync::{Arc, Mutex as Lock, PoisonError, RwLock};

use async_trait::async_trait;
use deployd_core::ports::{
    Batch, Index, KeyRange, Order, Put, Random, Recipe, Store, Vault, VaultAdmin, VaultError,
};
use deployd_core::secret::{KeyReport, Link, SecretRef, SecretValue};
use tokio::sync::Mutex;

use crate::generate::generate;
use crate::keys::{Environment, Found, KeyError, KeyId, KeySettings, Keyring};
use crate::record::{self, Kind, OVERHEAD, Unreadable};
use crate::sources::Sources;

/// Owner, zero byte, name -> a record.
pub(crate) const SECRETS: Index = Index("secrets");

/// Facts about the keys.
const KEYS: Index = Index("secret-keys");

/// The id of the key that all secrets in the store are wrapped with.
const SETTLED: &[u8] = b"settled";

/// The largest record: what the store takes as one value.
pub(crate) const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// The largest value.
const VALUE_BYTES_MAX: usize = RECORD_BYTES_MAX - OVERHEAD;

/// The most secrets of one owner.
const SECRETS_MAX: usize = 10_000;

/// Secrets in a store, and links to those that are kept elsewhere.
pub struct StoreVault {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) random: Arc<dyn Random>,
    settings: KeySettings,
    ring: RwLock<Arc<Keyring>>,
    sources: Sources,
    /// One change at a time, so that "is it there?" and "put it there" are one.
    pub(crate) changing: Mutex<()>,
    /// One rotation at a time.
    rotating: Mutex<()>,
    /// What no key opened when secrets were last wrapped anew.
    unreadable: Lock<Vec<String>>,
}

/// What is in the store of a secret.
enum Stored {
    Value(Vec<u8>),
    Link(Link),
}

impl StoreVault {
    /// Opens the vault; makes a key when there is none, and nothing in the store
    /// needs one. Secrets that older keys wrap can be read at once, and are
    /// wrapped anew by [`StoreVault::settle`].
    ///
    /// # Errors
    ///
    /// When a key is no key, or the one that secrets in the store need is not
    /// there.
    pub async fn open(
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        settings: KeySettings,
        environment: &Environment,
        sources: Sources,
    ) -> Result<Self, KeyError> {
        let found = settings.find(environment)?;
        let settled = fitting(&found, &*store).await?;
        let all = KeyRange { start: Vec::new(), end: None };
        let empty = store.scan(SECRETS, all, Order::Ascending, 1).await?.entries.is_empty();
        let ring = match found.ring() {
            Ok(ring) => ring,
            Err(older) if older.is_empty() && !empty => {
                return Err(KeyError::Lost { path: settings.file });
            }
            Err(older) => KeySettings::first(settings.make(&*random, None)?, older),
        };
        if empty && settled != Some(ring.newest().id) {
            settle(&*store, ring.newest().id).await?;
        }
        Ok(Self {
            store,
            random,
            settings,
            ring: RwLock::new(Arc::new(ring)),
            sources,
            changing: Mutex::new(()),
            rotating: Mutex::new(()),
            unreadable: Lock::new(Vec::new()),
        })
    }

    /// Wraps every secret with the newest key, if any is not: after a start with
    /// a new key in the environment, after a rotation that was interrupted, and
    /// when the records are of an older format. In batches, while everything
    /// goes on; when it is interrupted, it goes on with the next call.
    pub async fn settle(&self) -> Result<(), VaultError> {
        let _rotating = self.rotating.lock().await;
        if self.is_settled().await? { Ok(()) } else { self.wrap_anew().await }
    }

    async fn is_settled(&self) -> Result<bool, VaultError> {
        Ok(settled(&*self.store).await? == Some(self.ring().newest().id))
    }

    async fn wrap_anew(&self) -> Result<(), VaultError> {
        let ring = self.ring();
        let rewrapped = self.rewrap_all(&ring).await?;
        settle(&*self.store, ring.newest().id).await?;
        tracing::info!(
            key = %ring.newest().id,
            secrets = rewrapped.count,
            unreadable = rewrapped.unreadable.len(),
            "all secrets are wrapped with the newest key"
        );
        *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner) = rewrapped.unreadable;
        Ok(())
    }

    pub(crate) fn ring(&self) -> Arc<Keyring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn report(&self) -> Result<KeyReport, VaultError> {
        let settled = settled(&*self.store).await?;
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(KeyReport { unreadable, ..self.ring().report(settled) })
    }

    async fn write(
        &self,
        secret: &SecretRef,
        kind: Kind,
        content: &[u8],
    ) -> Result<(), VaultError> {
        if content.len() > VALUE_BYTES_MAX {
            return Err(VaultError::Recipe(format!(
                "it has {} bytes, and at most {VALUE_BYTES_MAX} are allowed",
                content.len()
            )));
        }
        let key = key(secret);
        let stored = record::seal(&key, kind, content, &self.ring(), &*self.random)
            .map_err(|why| unreadable(secret, &why))?;
        let put = Put { index: SECRETS, key, value: Some(stored) };
        self.store.append(Batch { puts: vec![put], ..Batch::default() }).await?;
        Ok(())
    }

    async fn stored(&self, secret: &SecretRef) -> Result<Stored, VaultError> {
        let key = key(secret);
        let record = self
            .store
            .get(SECRETS, &key)
            .await?
            .ok_or_else(|| VaultError::NotFound(secret.clone()))?;
        self.opened(secret, &key, &record)
    }

    fn opened(&self, secret: &SecretRef, key: &[u8], record: &[u8]) -> Result<Stored, VaultError> {
        let (kind, content) =
            record::open(key, record, &self.ring()).map_err(|why| unreadable(secret, &why))?;
        match kind {
            Kind::Value => Ok(Stored::Value(content)),
            Kind::Link => String::from_utf8(content)
                .ok()
                .and_then(|text| text.parse().ok())
                .map(Stored::Link)
                .ok_or_else(|| unreadable(secret, &Unreadable::Format)),
        }
    }

    async fn of_owner(&self, owner: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>, VaultError> {
        let range = KeyRange::prefix(format!("{owner}\0").as_bytes());
        Ok(self.store.scan(SECRETS, range, Order::Ascending, SECRETS_MAX).await?.entries)
    }
}

fn unreadable(secret: &SecretRef, why: &Unreadable) -> VaultError {
    VaultError::Unreadable { secret: secret.clone(), reason: why.to_string() }
}

/// The key that all secrets in a store are wrapped with, if that is known; it
/// is among those that were found.
async fn fitting(found: &Found, store: &dyn Store) -> Result<Option<KeyId>, KeyError> {
    let settled = settled(store).await?;
    let known = found.ids();
    match settled {
        Some(needed) if !known.contains(&needed) => Err(KeyError::Unknown {
            needed: needed.to_string(),
            known: known.iter().map(ToString::to_string).collect(),
        }),
        settled => Ok(settled),
    }
}

impl KeySettings {
    /// How the keys fit a store; none when there is no key yet. Changes nothing.
    ///
    /// # Errors
    ///
    /// When a key is no key, or the one that secrets in the store need is not
    /// there.
    pub async fn report(
        &self,
        store: &dyn Store,
        environment: &Environment,
    ) -> Result<Option<KeyReport>, KeyError> {
        let found = self.find(environment)?;
        let settled = fitting(&found, store).await?;
        Ok(found.ring().ok().map(|ring| ring.report(settled)))
    }
}

async fn settled(store: &dyn Store) -> Result<Option<KeyId>, deployd_core::ports::StoreError> {
    let stored = store.get(KEYS, SETTLED).await?;
    Ok(stored.and_then(|id| id.try_into().ok()).map(KeyId))
}

async fn settle(store: &dyn Store, id: KeyId) -> Result<(), deployd_core::ports::StoreError> {
    let put = Put { index: KEYS, key: SETTLED.to_vec(), value: Some(id.0.to_vec()) };
    store.append(Batch { puts: vec![put], ..Batch::default() }).await.map(drop)
}

fn key(secret: &SecretRef) -> Vec<u8> {
    format!("{}\0{}", secret.owner, secret.name).into_bytes()
}

/// The name in an owner's key.
fn name(owner: &str, key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(owner.len() + 1..).unwrap_or_default()).into_owned()
}

#[async_trait]
impl Vault for StoreVault {
    async fn generate(&self, secret: &SecretRef, recipe: &Recipe) -> Result<(), VaultError> {
        let _changing = self.changing.lock().await;
        if self.contains(secret).await? {
            return Ok(());
        }
        let value = generate(recipe, &*self.random)?;
        self.write(secret, Kind::Value, value.as_bytes()).await
    }

    async fn put(&self, secret: &SecretRef, value: SecretValue) -> Result<(), VaultError> {
        let _changing = self.changing.lock().await;
        match self.stored(secret).await {
            Ok(Stored::Value(known)) if known == value.expose() => return Ok(()),
            // Whoever sets it anew does not need what can't be read any more.
            Ok(_) | Err(VaultError::NotFound(_) | VaultError::Unreadable { .. }) => {}
            Err(error) => return Err(error),
        }
        self.write(secret, Kind::Value, value.expose()).await
    }

    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        match self.stored(secret).await? {
            Stored::Value(value) => Ok(SecretValue::new(value)),
            Stored::Link(link) => self.sources.read(&link).await.map_err(|fault| {
                let (secret, fault) = (secret.clone(), Box::new(fault));
                VaultError::Unresolved { secret, link: Box::new(link), fault }
            }),
        }
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        Ok(self.store.get(SECRETS, &key(secret)).await?.is_some())
    }

    async fn list(&self, owner: &str) -> Result<Vec<String>, VaultError> {
        let entries = self.of_owner(owner).await?;
        Ok(entries.iter().map(|(key, _)| name(owner, key)).collect())
    }

    async fn remove_owner(&self, owner: &str) -> Result<(), VaultError> {
        let _changing = self.changing.lock().await;
        let entries = self.of_owner(owner).await?;
        let puts =
            entries.into_iter().map(|(key, _)| Put { index: SECRETS, key, value: None }).collect();
        self.store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }
}

#[async_trait]
impl VaultAdmin for StoreVault {
    async fn link(&self, secret: &SecretRef, link: &Link) -> Result<(), VaultError> {
        self.sources.allows(link).map_err(|fault| VaultError::Unresolved {
            secret: secret.clone(),
            link: Box::new(link.clone()),
            fault: Box::new(fault),
        })?;
        let _changing = self.changing.lock().await;
        self.write(secret, Kind::Link, link.to_string().as_bytes()).await
    }

    async fn links(&self, owner: &str) -> Result<Vec<(String, Option<Link>)>, VaultError> {
        let mut links = Vec::new();
        for (key, record) in self.of_owner(owner).await? {
            let name = name(owner, &key);
            let secret = SecretRef { owner: owner.to_owned(), name: name.clone() };
            // What can't be read is said when it is used, and hides no other.
            let link = match self.opened(&secret, &key, &record) {
                Ok(Stored::Link(link)) => Some(link),
                Ok(Stored::Value(_)) | Err(_) => None,
            };
            links.push((name, link));
        }
        Ok(links)
    }

    async fn keys(&self) -> Result<KeyReport, VaultError> {
        self.report().await
    }

    async fn rotate_key(&self) -> Result<KeyReport, VaultError> {
        let _rotating = self.rotating.lock().await;
        if self.is_settled().await? {
            self.new_key()?;
        }
        self.wrap_anew().await?;
        self.report().await
    }
}

impl StoreVault {
    /// Makes the newest key one that nobody has ever used.
    fn new_key(&self) -> Result<(), VaultError> {
        if let Some(name) = &self.settings.variable {
            return Err(VaultError::Key(format!(
                "the key of secrets comes from the variable {name}, which deployd can't change: put \
                 a new key there, name a variable with the old one in secrets.previous-key-envs, \
                 and start again"
            )));
        }
        let before = self.ring();
        let made = self
            .settings
            .make(&*self.random, Some(before.newest()))
            .map_err(|error| VaultError::Key(format!("no new key was made: {error}")))?;
        let ring = Arc::new(self.settings.with_newest(made, &before));
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }
}
