//! Plugins that plans in flight have pinned: a deployment ends with the versions
//! that it began with, also over a restart, whatever documents say by then.

use std::collections::BTreeSet;

use deployd_core::Name;
use deployd_core::config::PluginSpec;
use deployd_core::deployment::projection::{ENVIRONMENTS, EnvironmentHead};
use deployd_core::plan::Plan;
use deployd_core::ports::{Index, KeyRange, Order, PluginInfo, PluginRef, Put};

use crate::records::{SCAN_MAX, content, decode, get, head_of_deployment, key, put};
use crate::{EngineError, Inner};

/// Name and digest of a plugin -> the spec that it was loaded by.
const VERSIONS: Index = Index("plugin-versions");

/// Remembers by which spec a version was loaded.
pub(crate) fn remember(info: &PluginInfo, spec: &PluginSpec) -> Result<Put, EngineError> {
    let digest = info.plugin.digest.to_string();
    put(VERSIONS, key(&[&info.plugin.name, &digest]), spec)
}

impl Inner {
    /// Loads what active deployments have pinned and documents do not name any
    /// more. What can't be loaded is logged, and fails where it is needed.
    pub(crate) async fn load_pinned(
        &self,
        loaded: &BTreeSet<PluginRef>,
    ) -> Result<(), EngineError> {
        let store = &*self.ports.store;
        let range = KeyRange { start: Vec::new(), end: None };
        let page = store.scan(ENVIRONMENTS, range, Order::Ascending, SCAN_MAX).await?;
        let mut wanted = BTreeSet::new();
        for (_, bytes) in &page.entries {
            // An environment that can't be read is set aside by the workers.
            let Ok(head) = decode::<EnvironmentHead>("environment", bytes) else { continue };
            let Some(active) = head.active else { continue };
            let Ok(record) = head_of_deployment(store, &active).await else { continue };
            let Some(digest) = record.work.and_then(|work| work.plan) else { continue };
            let plan: Plan = content(store, "plan", digest).await?;
            wanted.insert(plan.templater.plugin);
            wanted.insert(plan.strategy.plugin);
            wanted.extend(plan.resources.into_values().map(|resource| resource.driver));
        }
        for plugin in wanted.difference(loaded) {
            if let Err(error) = self.load_version(plugin).await {
                tracing::error!(plugin = plugin.name, digest = %plugin.digest, %error, "not loaded");
            }
        }
        Ok(())
    }

    async fn load_version(&self, plugin: &PluginRef) -> Result<(), EngineError> {
        let at = key(&[&plugin.name, &plugin.digest.to_string()]);
        let spec: Option<PluginSpec> = get(&*self.ports.store, VERSIONS, &at).await?;
        let mut spec =
            spec.ok_or_else(|| EngineError::not_found(format!("version {} of it", plugin.digest)))?;
        spec.digest = Some(plugin.digest);
        let name: Name = plugin.name.parse().map_err(EngineError::bug)?;
        self.ports.catalog.load(&name, &spec).await?;
        Ok(())
    }
}
