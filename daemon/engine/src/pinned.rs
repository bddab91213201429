//! Versions of plugins that documents do not name any more: a deployment ends with
//! those that it began with, also over a restart, and a resource goes with the
//! one that it was made by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use deployd_core::config::{Grant, PluginKind, PluginSource, PluginSpec};
use deployd_core::ports::{Index, PluginInfo, PluginRef, Put};
use deployd_core::{Digest, Fault, Name};

use crate::records::{below, entries, get, key, put};
use crate::{EngineError, Inner};

/// Name and digest of a plugin -> the spec that it was loaded by.
const VERSIONS: Index = Index("plugin-versions");

/// Remembers by which spec a version was loaded.
pub(crate) fn remember(info: &PluginInfo, spec: &PluginSpec) -> Result<Put, EngineError> {
    let digest = info.plugin.digest.to_string();
    put(VERSIONS, key(&[&info.plugin.name, &digest]), spec)
}

/// Versions that no document ever named: loaded for replays, and gone with the
/// last of these.
#[derive(Debug, Default)]
pub(crate) struct Visitors {
    replays: usize,
    versions: BTreeSet<PluginRef>,
}

/// While there is one, versions that are loaded for replays stay.
pub(crate) struct Visit<'e>(&'e Inner);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut visitors = self.0.visitors();
        visitors.replays = visitors.replays.saturating_sub(1);
        if visitors.replays == 0 {
            for plugin in std::mem::take(&mut visitors.versions) {
                self.0.ports.catalog.unload(&plugin);
            }
        }
    }
}

impl Inner {
    fn visitors(&self) -> MutexGuard<'_, Visitors> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A replay begins.
    pub(crate) fn visit(&self) -> Visit<'_> {
        let mut visitors = self.visitors();
        visitors.replays = visitors.replays.saturating_add(1);
        Visit(self)
    }

    /// A document names a version: it stays loaded.
    pub(crate) fn stays_loaded(&self, plugin: &PluginRef) {
        self.visitors().versions.remove(plugin);
    }

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

    /// Loads a version of a pure plugin, also one that no document ever named:
    /// it was uploaded, or came with an import. Such a one is granted nothing,
    /// needs nothing, and is forgotten after the [`Inner::visit`] of who asks.
    pub(crate) async fn need_any(&self, plugin: &PluginRef) -> Result<(), EngineError> {
        self.need(plugin).await?;
        if self.ports.catalog.has(plugin) {
            return Ok(());
        }
        let name: Name = plugin.name.parse().map_err(EngineError::bug)?;
        let configuration = self.configuration().await?;
        let of_today = configuration.plugins.get(&name).map(|spec| spec.kind);
        let mut problem = None;
        for kind in [PluginKind::Templater, PluginKind::Strategy] {
            if of_today.is_some_and(|known| known != kind) {
                continue;
            }
            let uploaded = PluginSource { shipped: None, uploaded: Some(name.to_string()) };
            let spec = PluginSpec {
                kind,
                source: uploaded,
                digest: Some(plugin.digest),
                grant: Grant::default(),
                config: BTreeMap::new(),
            };
            match self.ports.catalog.load(&name, &spec).await {
                Ok(info) if info.plugin == *plugin => {
                    self.visitors().versions.insert(info.plugin);
                    return Ok(());
                }
                Ok(_) => {}
                Err(fault) => problem = Some(fault.message),
            }
        }
        let why = problem.map(|problem| format!(": {problem}")).unwrap_or_default();
        let message =
            format!("version {} of the plugin {name} can't be loaded{why}", plugin.digest);
        Err(Fault::permanent("plugin-not-loaded", message).into())
    }

    /// The versions of a plugin that were ever loaded.
    pub(crate) async fn versions(&self, name: &Name) -> Result<Vec<Digest>, EngineError> {
        let known = entries(&*self.ports.store, VERSIONS, below(&[name.as_str()])).await?;
        let digest = |key: &[u8]| {
            std::str::from_utf8(key.rsplit(|byte| *byte == 0).next()?).ok()?.parse().ok()
        };
        Ok(known.iter().filter_map(|(key, _)| digest(key)).collect())
    }
}
