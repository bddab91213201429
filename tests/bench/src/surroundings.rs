//! What a host needs and a notifier never uses.

use async_trait::async_trait;
use deployd_core::ports::{Recipe, Vault, VaultError};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_host::{Audit, Reveal};

/// A vault without secrets.
pub struct NoVault;

#[async_trait]
impl Vault for NoVault {
    async fn generate(&self, secret: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn put(&self, secret: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn contains(&self, _: &SecretRef) -> Result<bool, VaultError> {
        Ok(false)
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        Ok(Vec::new())
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        Ok(())
    }
}

/// Nothing is ever revealed.
pub struct NoAudit;

#[async_trait]
impl Audit for NoAudit {
    async fn revealed(&self, _: &Reveal) -> Result<(), String> {
        Err("there are no secrets".to_owned())
    }
}
