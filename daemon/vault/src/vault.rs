//! The port `Vault` over a store.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use deployd_core::ports::{
    Batch, Clock, Index, KeyRange, Order, Put, Random, Recipe, Store, StoreError, Vault,
    VaultAdmin, VaultError,
};
use deployd_core::secret::{KeyReport, Link, SecretRef, SecretValue};
use deployd_core::{Digest, Timestamp};
use tokio::sync::Mutex;

use crate::generate::generate;
use crate::keys::{Environment, KeyError, KeySettings, Keyring};
use crate::progress::{Progress, settle};
use crate::record::{self, Kind, OVERHEAD, Unreadable};
use crate::sources::Sources;

/// Owner, zero byte, name -> a record.
pub(crate) const SECRETS: Index = Index("secrets");

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
    pub(crate) clock: Arc<dyn Clock>,
    settings: KeySettings,
    ring: RwLock<Arc<Keyring>>,
    sources: Sources,
    /// One change at a time, so that "is it there?" and "put it there" are one.
    pub(crate) changing: Mutex<()>,
    /// One rotation at a time. What it holds are keys of which the newest was made
    /// and is in its file, and the store may not know it yet.
    rotating: Mutex<Option<Arc<Keyring>>>,
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
        clock: Arc<dyn Clock>,
        settings: KeySettings,
        environment: &Environment,
        sources: Sources,
    ) -> Result<Self, KeyError> {
        let (at, asked) = (settings.clone(), environment.clone());
        let found = on_a_thread(move || at.find(&asked)).await??;
        let progress = Progress::of(&*store).await?;
        let empty = is_empty(&*store).await?;
        if !empty {
            progress.fits(&found)?;
        }
        let ring = match found.ring() {
            Ok(ring) => ring,
            Err(older) if older.is_empty() && !empty => {
                return Err(KeyError::Lost { path: settings.file });
            }
            Err(older) => {
                let (at, random) = (settings.clone(), random.clone());
                let made = on_a_thread(move || at.make(&*random, None)).await??;
                KeySettings::first(made, older)
            }
        };
        let newest = ring.newest().id;
        if !empty {
            progress.intend(&*store, newest).await?;
        } else if !progress.is_settled(newest) {
            settle(&*store, newest, Vec::new()).await?;
        }
        Ok(Self {
            store,
            random,
            clock,
            settings,
            ring: RwLock::new(Arc::new(ring)),
            sources,
            changing: Mutex::new(()),
            rotating: Mutex::new(None),
        })
    }

    /// Wraps every secret with the newest key, if any is not: after a start with
    /// a new key in the environment, after a rotation that was interrupted, and
    /// when the records are of an older format. In batches, while everything
    /// goes on; when it is interrupted, it goes on with the next call.
    pub async fn settle(&self) -> Result<(), VaultError> {
        let _rotating = self.rotating.lock().await;
        let progress = Progress::of(&*self.store).await?;
        // What no key has opened, one that was restored since may open.
        if progress.is_settled(self.ring().newest().id) && progress.unreadable.is_empty() {
            return Ok(());
        }
        self.wrap_anew().await
    }

    async fn wrap_anew(&self) -> Result<(), VaultError> {
        let ring = self.ring();
        let rewrapped = self.rewrap_all(&ring).await?;
        let (count, unreadable) = (rewrapped.count, rewrapped.unreadable.len());
        settle(&*self.store, ring.newest().id, rewrapped.unreadable).await?;
        tracing::info!(
            key = %ring.newest().id,
            secrets = count,
            unreadable,
            "all secrets are wrapped with the newest key"
        );
        Ok(())
    }

    pub(crate) fn ring(&self) -> Arc<Keyring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn report(&self) -> Result<KeyReport, VaultError> {
        Ok(self.ring().report(Progress::of(&*self.store).await?))
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
        let known = match kind {
            Kind::Value => Some(content),
            Kind::Link => None,
        };
        let mut puts = self.fingerprint(secret, known).await;
        let key = key(secret);
        let stored = record::seal(&key, kind, content, &self.ring(), &*self.random)
            .map_err(|why| unreadable(secret, &why))?;
        puts.push(Put { index: SECRETS, key, value: Some(stored) });
        self.store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }

    /// A value as it is written, without anything beside it.
    pub(crate) fn sealed(&self, secret: &SecretRef, value: &[u8]) -> Result<Put, VaultError> {
        let key = key(secret);
        let stored = record::seal(&key, Kind::Value, value, &self.ring(), &*self.random)
            .map_err(|why| unreadable(secret, &why))?;
        Ok(Put { index: SECRETS, key, value: Some(stored) })
    }

    /// A value that is kept here; none where there is a link.
    pub(crate) async fn value(&self, secret: &SecretRef) -> Result<Option<Vec<u8>>, VaultError> {
        Ok(match self.stored(secret).await? {
            Stored::Value(value) => Some(value),
            Stored::Link(_) => None,
        })
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

async fn is_empty(store: &dyn Store) -> Result<bool, StoreError> {
    let all = KeyRange { start: Vec::new(), end: None };
    Ok(store.scan(SECRETS, all, Order::Ascending, 1).await?.entries.is_empty())
}

/// Does what waits for a disk where nobody else waits for it.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StoreError::Stopped(format!("a change of key files ended: {error}")))
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
        let progress = Progress::of(store).await?;
        if !is_empty(store).await? {
            progress.fits(&found)?;
        }
        Ok(found.ring().ok().map(|ring| ring.report(progress)))
    }
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

    async fn fingerprints(
        &self,
        owner: &str,
        at: Timestamp,
    ) -> Result<BTreeMap<String, Digest>, VaultError> {
        self.known_at(owner, at).await
    }

    async fn keys(&self) -> Result<KeyReport, VaultError> {
        self.report().await
    }

    async fn rotate_key(&self) -> Result<KeyReport, VaultError> {
        let mut made = self.rotating.lock().await;
        let progress = Progress::of(&*self.store).await?;
        if made.is_none() && progress.is_settled(self.ring().newest().id) {
            *made = Some(Arc::new(self.new_key().await?));
        }
        if let Some(ring) = &*made {
            progress.intend(&*self.store, ring.newest().id).await?;
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring.clone();
            *made = None;
        }
        self.wrap_anew().await?;
        self.report().await
    }
}

impl StoreVault {
    /// The keys with a newest one that nobody has ever used.
    async fn new_key(&self) -> Result<Keyring, VaultError> {
        if let Some(name) = &self.settings.variable {
            return Err(VaultError::Key(format!(
                "the key of secrets comes from the variable {name}, which deployd can't change: put \
                 a new key there, name a variable with the old one in secrets.previous-key-envs, \
                 and start again"
            )));
        }
        let before = self.ring();
        let (settings, random, old) = (self.settings.clone(), self.random.clone(), before.clone());
        let made = on_a_thread(move || settings.make(&*random, Some(old.newest()))).await?;
        let made =
            made.map_err(|error| VaultError::Key(format!("no new key was made: {error}")))?;
        Ok(self.settings.with_newest(made, &before))
    }
}
