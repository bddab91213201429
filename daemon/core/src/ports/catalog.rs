//! Which plugins there are.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugins::PluginRef;
use crate::config::{EffectLevel, PluginKind, PluginSpec};
use crate::{Digest, Fault, Name};

/// A plugin that is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginInfo {
    /// Its name and the digest of its component.
    pub plugin: PluginRef,
    /// The plugin's own version.
    pub version: String,
    /// What it is for.
    pub kind: PluginKind,
    /// How safe it is to repeat what it does; for drivers.
    pub effect: EffectLevel,
}

/// Loads plugins.
#[async_trait]
pub trait PluginCatalog: Send + Sync + 'static {
    /// Loads what a `Plugin` document names, with its grant and configuration,
    /// beside versions that are loaded already. Says all that is wrong with it.
    async fn load(&self, name: &Name, spec: &PluginSpec) -> Result<PluginInfo, Fault>;

    /// Keeps an uploaded component and its manifest until a document names it
    /// by digest. Refuses what is no component for this daemon.
    async fn upload(&self, component: Vec<u8>, manifest: String) -> Result<PluginInfo, Fault>;

    /// The `plugin.toml` that is kept beside a component; none where there is no such
    /// component.
    async fn manifest(&self, component: Digest) -> Result<Option<String>, Fault>;

    /// Forgets a version; calls that run go on.
    fn unload(&self, plugin: &PluginRef);

    /// Whether this version is loaded, and can be called.
    fn has(&self, plugin: &PluginRef) -> bool;
}
