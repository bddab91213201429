//! Registries of images, asked what a tag means.

use async_trait::async_trait;

use crate::secret::SecretValue;
use crate::{Digest, Fault};

/// How a registry is reached.
#[derive(Debug, Clone, Default)]
pub struct RegistryAccess {
    /// `user:password`; none where anybody may pull.
    pub credentials: Option<SecretValue>,
    /// Whether its address may be loopback, link-local or private.
    pub private_address: bool,
    /// Whether it speaks HTTP without TLS.
    pub plain_http: bool,
}

/// Asks registries.
#[async_trait]
pub trait Registries: Send + Sync + 'static {
    /// The digest that a tag of a repository has now.
    ///
    /// Fails with a fault that is transient where the registry is away or has no such
    /// tag yet, `denied` where it may not be asked, and `invalid` where the repository
    /// is none.
    async fn digest(
        &self,
        repository: &str,
        tag: &str,
        access: &RegistryAccess,
    ) -> Result<Digest, Fault>;
}
