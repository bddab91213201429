//! Plugins of pure kinds, called without a daemon: what they do is tried before it is
//! configured anywhere.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use deployd_core::config::{Grant, PluginKind};
use deployd_core::ports::{PluginRef, Vault};
use deployd_host::{Audit, Backoff, HostOptions, PluginHost, Registration, Reveal};

use crate::catalog::shipped;
use crate::secrets::NoSecrets;

/// A host of plugins that has no secrets and no way out.
pub(crate) struct Offline {
    pub(crate) host: PluginHost,
    /// What is compiled; gone with it.
    _state: tempfile::TempDir,
}

impl Offline {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::with(Arc::new(NoSecrets))
    }

    /// A host whose plugins see the names of these secrets, as far as they are granted.
    pub(crate) fn with(vault: Arc<dyn Vault>) -> anyhow::Result<Self> {
        let state = tempfile::tempdir().context("making a folder for what is compiled")?;
        let host = PluginHost::new(HostOptions {
            state_dir: state.path().to_owned(),
            vault,
            audit: Arc::new(Nobody),
            egress: None,
            backoff: Backoff::default(),
            compiler: None,
        })?;
        Ok(Self { host, _state: state })
    }

    /// Loads a plugin that is shipped, or that is in a file with its manifest beside it.
    pub(crate) async fn load(&self, kind: PluginKind, named: &str) -> anyhow::Result<PluginRef> {
        self.load_as(named, kind, named, &Grant::default()).await
    }

    /// The same under a name and with a grant of its own.
    pub(crate) async fn load_as(
        &self,
        name: &str,
        kind: PluginKind,
        named: &str,
        grant: &Grant,
    ) -> anyhow::Result<PluginRef> {
        let (component, manifest) = component(named)?;
        let loaded = Box::pin(self.host.register(Registration {
            name,
            kind,
            component,
            manifest: &manifest,
            digest: None,
            grant,
            config: None,
        }))
        .await?;
        Ok(loaded.plugin)
    }
}

/// A component and its manifest: shipped, or in a file with the manifest beside it.
fn component(named: &str) -> anyhow::Result<(Arc<[u8]>, String)> {
    if let Some(found) = shipped().iter().find(|one| one.id == named) {
        return Ok((found.component.into(), found.manifest.to_owned()));
    }
    let path = Path::new(named);
    if path.extension().is_none_or(|extension| extension != "wasm") {
        let ids: Vec<&str> = shipped().iter().map(|one| one.id).collect();
        anyhow::bail!(
            "no plugin {named:?} is shipped; expected the file of a component, or one of {}",
            ids.join(", ")
        );
    }
    let component = std::fs::read(path).with_context(|| format!("reading {named}"))?;
    let manifest = path.with_extension("toml");
    let manifest = std::fs::read_to_string(&manifest)
        .with_context(|| format!("reading its manifest {}", manifest.display()))?;
    Ok((component.into(), manifest))
}

/// A plugin without a daemon reveals no secrets.
struct Nobody;

#[async_trait]
impl Audit for Nobody {
    async fn revealed(&self, _: &Reveal) -> Result<(), String> {
        Err("nothing is revealed here".to_owned())
    }
}
