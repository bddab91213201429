//! Where values of secrets are kept.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::secret::{KeyReport, Link, SecretRef, SecretValue};
use crate::{Digest, Fault, Timestamp};

/// What a generated secret is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Characters.
    pub length: usize,
    /// The characters to choose from.
    pub alphabet: String,
}

impl Recipe {
    /// The shortest generated secret, in characters.
    pub const LENGTH_MIN: usize = 8;
    /// The longest.
    pub const LENGTH_MAX: usize = 256;
}

/// Why a secret can't be had.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is none of this name.
    #[error("there is no secret {}/{}", .0.owner, .0.name)]
    NotFound(SecretRef),
    /// It is there, but can't be decrypted with the key at hand.
    #[error("secret {}/{} can't be decrypted: {reason}", secret.owner, secret.name)]
    Unreadable {
        /// Which.
        secret: SecretRef,
        /// Why.
        reason: String,
    },
    /// It is kept elsewhere, and can't be had from there.
    #[error("secret {}/{}, which is kept at {link}, can't be had: {fault}", secret.owner, secret.name)]
    Unresolved {
        /// Which.
        secret: SecretRef,
        /// Where it is kept.
        link: Box<Link>,
        /// Why, and what to do.
        fault: Box<Fault>,
    },
    /// A key can't be made, or is not ours to make.
    #[error("{0}")]
    Key(String),
    /// A recipe that gives no secret.
    #[error("no secret can be made of this recipe: {0}")]
    Recipe(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] super::StoreError),
}

/// Keeps secrets, encrypted.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// Makes sure that there is a secret of this name; an existing one stays.
    async fn generate(&self, secret: &SecretRef, recipe: &Recipe) -> Result<(), VaultError>;

    /// Sets a value, over an older one if there is one. Setting the same value
    /// again changes nothing.
    async fn put(&self, secret: &SecretRef, value: SecretValue) -> Result<(), VaultError>;

    /// The value.
    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError>;

    /// Whether there is one, without decrypting it.
    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError>;

    /// Names of an owner's secrets, in order.
    async fn list(&self, owner: &str) -> Result<Vec<String>, VaultError>;

    /// Removes all of an owner's secrets.
    async fn remove_owner(&self, owner: &str) -> Result<(), VaultError>;
}

/// What operators do with secrets and with the keys that encrypt them.
#[async_trait]
pub trait VaultAdmin: Send + Sync + 'static {
    /// Has a name stand for a value that is kept elsewhere, instead of what it
    /// stood for. The value is looked up when it is used, and never stored.
    /// Fails when the daemon's settings do not allow that place.
    async fn link(&self, secret: &SecretRef, link: &Link) -> Result<(), VaultError>;

    /// An owner's secrets by name, each with where it is kept; none: here.
    async fn links(&self, owner: &str) -> Result<Vec<(String, Option<Link>)>, VaultError>;

    /// Keyed hashes of the values that an owner's secrets had at a time, by name:
    /// those of equal values are equal, and nothing else can be told by them. Of
    /// what is kept elsewhere, and of what nobody knows any more, there is none.
    async fn fingerprints(
        &self,
        owner: &str,
        at: Timestamp,
    ) -> Result<BTreeMap<String, Digest>, VaultError>;

    /// How the keys are.
    async fn keys(&self) -> Result<KeyReport, VaultError>;

    /// Makes a new key and wraps every secret with it. When an earlier rotation
    /// was interrupted, finishes that one instead.
    async fn rotate_key(&self) -> Result<KeyReport, VaultError>;
}

/// A kind of place outside deployd where values of secrets are kept.
#[async_trait]
pub trait SecretSource: Send + Sync + 'static {
    /// Whether the operator's settings allow this place; it is not asked.
    fn allows(&self, link: &Link) -> Result<(), Fault>;

    /// The value that is there now. Faults have nothing of it.
    async fn read(&self, link: &Link) -> Result<SecretValue, Fault>;
}
