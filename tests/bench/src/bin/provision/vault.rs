//! A vault in memory, and a journal that nobody reads.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::anyhow;
use async_trait::async_trait;
use deployd_core::ports::{Recipe, Vault, VaultError};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_host::{Audit, Reveal};

#[derive(Default)]
pub(crate) struct MemoryVault(Mutex<BTreeMap<SecretRef, SecretValue>>);

impl MemoryVault {
    /// Sets a secret of the operator.
    pub(crate) fn set(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let secret = SecretRef { owner: "operator".into(), name: name.into() };
        let mut secrets = self.0.lock().map_err(|_| anyhow!("a thread has panicked"))?;
        secrets.insert(secret, SecretValue::new(value.into()));
        Ok(())
    }

    fn with<T>(
        &self,
        secret: &SecretRef,
        act: impl FnOnce(&mut BTreeMap<SecretRef, SecretValue>) -> Option<T>,
    ) -> Result<T, VaultError> {
        let secrets = self.0.lock().ok();
        secrets
            .and_then(|mut secrets| act(&mut secrets))
            .ok_or_else(|| VaultError::NotFound(secret.clone()))
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn generate(&self, secret: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn put(&self, secret: &SecretRef, value: SecretValue) -> Result<(), VaultError> {
        self.with(secret, |secrets| {
            secrets.insert(secret.clone(), value);
            Some(())
        })
    }

    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        self.with(secret, |secrets| secrets.get(secret).cloned())
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        self.with(secret, |secrets| Some(secrets.contains_key(secret)))
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        Ok(Vec::new())
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        Ok(())
    }
}

pub(crate) struct NoJournal;

#[async_trait]
impl Audit for NoJournal {
    async fn revealed(&self, _: &Reveal) -> Result<(), String> {
        Ok(())
    }
}
