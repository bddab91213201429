//! Secrets, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use deployd_core::ports::{Recipe, Vault, VaultAdmin, VaultError};
use deployd_core::secret::{KeyReport, Link, SecretRef, SecretValue};
use deployd_core::{Digest, Timestamp};

use super::Instance;

#[async_trait]
impl Vault for Instance {
    async fn generate(&self, secret: &SecretRef, recipe: &Recipe) -> Result<(), VaultError> {
        let generated = async {
            let value = "g".repeat(recipe.length).into_bytes();
            self.world.vault.lock().unwrap().entry(secret.clone()).or_insert(value);
            Ok(())
        };
        self.operation("generate a secret", generated).await
    }

    async fn put(&self, secret: &SecretRef, value: SecretValue) -> Result<(), VaultError> {
        let put = async {
            self.world.vault.lock().unwrap().insert(secret.clone(), value.expose().to_vec());
            Ok(())
        };
        self.operation("put a secret", put).await
    }

    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        let found = async {
            let found = self.world.vault.lock().unwrap().get(secret).cloned();
            found.map(SecretValue::new).ok_or_else(|| VaultError::NotFound(secret.clone()))
        };
        self.look("get a secret", found).await
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        self.life.alive().await;
        Ok(self.world.vault.lock().unwrap().contains_key(secret))
    }

    async fn list(&self, owner: &str) -> Result<Vec<String>, VaultError> {
        self.life.alive().await;
        let vault = self.world.vault.lock().unwrap();
        Ok(vault.keys().filter(|s| s.owner == owner).map(|s| s.name.clone()).collect())
    }

    async fn remove_owner(&self, owner: &str) -> Result<(), VaultError> {
        let removed = async {
            self.world.vault.lock().unwrap().retain(|secret, _| secret.owner != owner);
            Ok(())
        };
        self.operation("remove secrets", removed).await
    }
}

/// Nothing is kept elsewhere, and there is no key.
#[async_trait]
impl VaultAdmin for Instance {
    async fn link(&self, _: &SecretRef, _: &Link) -> Result<(), VaultError> {
        unreachable!("no test of the engine links secrets")
    }

    async fn links(&self, owner: &str) -> Result<Vec<(String, Option<Link>)>, VaultError> {
        Ok(self.list(owner).await?.into_iter().map(|name| (name, None)).collect())
    }

    /// Of what is there now: nothing here changes a value that is there.
    async fn fingerprints(
        &self,
        owner: &str,
        _: Timestamp,
    ) -> Result<BTreeMap<String, Digest>, VaultError> {
        let vault = self.world.vault.lock().unwrap();
        let own = vault.iter().filter(|(secret, _)| secret.owner == owner);
        Ok(own.map(|(secret, value)| (secret.name.clone(), Digest::of(value))).collect())
    }

    async fn keys(&self) -> Result<KeyReport, VaultError> {
        unreachable!("no test of the engine asks for keys")
    }

    async fn rotate_key(&self) -> Result<KeyReport, VaultError> {
        unreachable!("no test of the engine rotates keys")
    }
}
