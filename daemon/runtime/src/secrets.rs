//! Wires the vault: its keys, and the places where secrets are kept elsewhere.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use deployd_cluster::{KubeCluster, KubeSecrets, SecretsAccess};
use deployd_core::ports::{Random, Recipe, Store, Vault, VaultError};
use deployd_core::secret::{LinkKind, SecretRef, SecretValue};
use deployd_egress::{Broker, System};
use deployd_vault::{EnvSource, Environment, FileSource, KvSource, Sources, StoreVault};

use crate::daemon::StartError;
use crate::settings::{SecretsSettings, SettingsError};
use crate::world::SystemClock;

/// The process's own environment.
pub(crate) fn environment() -> Environment {
    Arc::new(|name| std::env::var(name).ok())
}

/// Opens the vault as the settings have it.
pub(crate) async fn vault(
    settings: &SecretsSettings,
    data: &Path,
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    cluster: Arc<KubeCluster>,
) -> Result<StoreVault, StartError> {
    let sources = sources(settings, cluster)?;
    let keys = settings.keys(data);
    let clock = Arc::new(SystemClock);
    Ok(StoreVault::open(store, random, clock, keys, &environment(), sources).await?)
}

fn sources(
    settings: &SecretsSettings,
    cluster: Arc<KubeCluster>,
) -> Result<Sources, SettingsError> {
    settings.check()?;
    let never = settings.own_variables();
    let variables = EnvSource::new(settings.environment.clone(), never, environment());
    let mut sources = Sources::default()
        .with(LinkKind::File, Arc::new(FileSource::new(settings.files.clone())))
        .with(LinkKind::Env, Arc::new(variables));
    if let Some(kubernetes) = &settings.kubernetes {
        let access = match &kubernetes.kubeconfig {
            Some(file) => SecretsAccess::Kubeconfig(file.clone()),
            None => SecretsAccess::InCluster,
        };
        let source = KubeSecrets::new(cluster, access);
        sources = sources.with(LinkKind::Kubernetes, Arc::new(source));
    }
    if let Some(vault) = &settings.vault {
        // Its grant names no secret of ours: it is asked for them.
        let egress = Arc::new(Broker::new(Arc::new(System), Arc::new(NoSecrets)));
        let source = KvSource::new(egress, environment(), vault.address()?)
            .map_err(|error| SettingsError::Secrets(error.to_string()))?;
        sources = sources.with(LinkKind::Vault, Arc::new(source));
    }
    Ok(sources)
}

/// A vault without secrets: for a way out whose grants name none.
pub(crate) struct NoSecrets;

#[async_trait]
impl Vault for NoSecrets {
    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn contains(&self, _: &SecretRef) -> Result<bool, VaultError> {
        Ok(false)
    }

    async fn generate(&self, secret: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn put(&self, secret: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        Ok(Vec::new())
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        Ok(())
    }
}
