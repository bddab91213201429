//! Versions of plugins that documents do not name any more: a deployment ends with
//! those that it began with, also over a restart, and a resource goes with the
//! one that it was made by.

use deployd_core::Name;
use deployd_core::config::PluginSpec;
use deployd_core::ports::{Index, PluginInfo, PluginRef, Put};

use crate::records::{get, key, put};
use crate::{EngineError, Inner};

/// Name and digest of a plugin -> the spec that it was loaded by.
const VERSIONS: Index = Index("plugin-versions");

/// Remembers by which spec a version was loaded.
pub(crate) fn remember(info: &PluginInfo, spec: &PluginSpec) -> Result<Put, EngineError> {
    let digest = info.plugin.digest.to_string();
    put(VERSIONS, key(&[&info.plugin.name, &digest]), spec)
}

impl Inner {
    /// Loads a version of a plugin, by the spec that it was loaded by before,
    /// unless it is loaded. One that nobody remembers is left to the call, which
    /// says that it is not loaded.
    pub(crate) async fn need(&self, plugin: &PluginRef) -> Result<(), EngineError> {
        if self.ports.catalog.has(plugin) {
            return Ok(());
        }
        let at = key(&[&plugin.name, &plugin.digest.to_string()]);
        let remembered: Option<PluginSpec> = get(&*self.ports.store, VERSIONS, &at).await?;
        let Some(mut spec) = remembered else { return Ok(()) };
        spec.digest = Some(plugin.digest);
        let name: Name = plugin.name.parse().map_err(EngineError::bug)?;
        self.ports.catalog.load(&name, &spec).await?;
        Ok(())
    }
}
