//! The host: plugins by name and digest, and core's ports to call them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use deployd_core::Fault;
use deployd_core::config::PluginKind;
use deployd_core::ports::{Call, Egress, PluginRef, Vault};
use serde_json::Value;

use crate::audit::Audit;
use crate::compiler::{Apart, Supervisor};
use crate::config_schema::ConfigError;
use crate::document::Known;
use crate::engine::{Compiler, EngineError};
use crate::health::Backoff;
use crate::lanes::Lanes;
use crate::load::{LoadError, Loader, Registration};
use crate::plugin::{LoadedInfo, Plugin};
use crate::session::{Session, Shared};
use crate::stats::PluginStatus;

/// What a host needs.
pub struct HostOptions {
    /// The daemon's state; compiled plugins are kept below it.
    pub state_dir: PathBuf,
    /// Keeps secrets.
    pub vault: Arc<dyn Vault>,
    /// Records reveals of secrets.
    pub audit: Arc<dyn Audit>,
    /// The way out for drivers and checks; without it they connect to nobody.
    pub egress: Option<Arc<dyn Egress>>,
    /// How long quarantines last.
    pub backoff: Backoff,
    /// Compiles plugins in a process of its own. Without it they are compiled in
    /// this one: bounded by their size and in time, and in nothing else.
    pub compiler: Option<Arc<Supervisor>>,
}

/// Hosts plugins. Implements `Drivers`, `Templaters`, `Strategies`, `Notifiers`,
/// `Receivers` and `Checks` of core's ports.
pub struct PluginHost {
    loader: Loader,
    pub(crate) shared: Shared,
    /// Swapped as a whole: a call keeps the plugin that it began with.
    plugins: RwLock<Arc<Plugins>>,
}

type Plugins = BTreeMap<PluginRef, Arc<Plugin>>;

impl PluginHost {
    /// Starts a host without plugins.
    pub fn new(options: HostOptions) -> Result<Self, EngineError> {
        let compiler = Compiler::new(&options.state_dir)?;
        let apart = options.compiler.map(|supervisor| Apart::new(supervisor, &options.state_dir));
        let shared = Shared {
            engine: compiler.engine.clone(),
            vault: options.vault,
            audit: options.audit,
            egress: options.egress,
            lanes: Lanes::new().map_err(EngineError::Lanes)?,
        };
        let loader = Loader::new(compiler, apart, options.backoff);
        Ok(Self { loader, shared, plugins: RwLock::default() })
    }

    /// Loads a plugin, beside others of its name with other digests, and in
    /// place of the same one with an older grant. When it fails, what was
    /// loaded before stays.
    pub async fn register(&self, registration: Registration<'_>) -> Result<LoadedInfo, LoadError> {
        // On the heap: registering is rare, and its future large.
        let plugin = Box::pin(self.loader.load(&self.shared, &registration)).await?;
        let info = plugin.info.clone();
        self.change(|plugins| {
            plugins.insert(info.plugin.clone(), Arc::new(plugin));
        });
        tracing::info!(
            plugin = info.plugin.name,
            digest = %info.plugin.digest.short(),
            kind = %info.kind,
            version = info.version,
            from_cache = info.from_cache,
            millis = u64::try_from(info.compiled_in.as_millis()).unwrap_or(u64::MAX),
            "plugin loaded"
        );
        Ok(info)
    }

    /// Forgets one version of a plugin; calls that run go on. Says whether it
    /// was there.
    pub fn unload(&self, plugin: &PluginRef) -> bool {
        let mut was_there = false;
        self.change(|plugins| was_there = plugins.remove(plugin).is_some());
        was_there
    }

    /// What is loaded, by name and digest.
    pub fn loaded(&self) -> Vec<LoadedInfo> {
        self.snapshot().values().map(|plugin| plugin.info.clone()).collect()
    }

    /// One loaded plugin.
    pub fn info(&self, plugin: &PluginRef) -> Option<LoadedInfo> {
        self.snapshot().get(plugin).map(|plugin| plugin.info.clone())
    }

    /// How all plugins do, for status pages and metrics.
    pub fn status(&self) -> Vec<PluginStatus> {
        self.snapshot().values().map(|plugin| plugin.status()).collect()
    }

    /// Forgets strikes and quarantine of a plugin. Says whether it is there.
    pub fn clear_quarantine(&self, plugin: &PluginRef) -> bool {
        let plugins = self.snapshot();
        let plugin = plugins.get(plugin);
        if let Some(plugin) = plugin {
            plugin.health.clear();
        }
        plugin.is_some()
    }

    /// All that is wrong with a configuration for this plugin (of a driver: with
    /// the inputs of a definition; of a check: with that of an environment type), by its own schema; nothing where it has none.
    pub fn check_config(
        &self,
        plugin: &PluginRef,
        config: &Value,
    ) -> Result<Vec<ConfigError>, Fault> {
        let plugin = self.find(plugin)?;
        Ok(plugin.schema.as_ref().map(|schema| schema.check(config)).unwrap_or_default())
    }

    /// A call of a plugin of this kind.
    pub(crate) fn session<'a>(
        &'a self,
        call: Call<'a>,
        kind: PluginKind,
        function: &'static str,
    ) -> Result<(Arc<Plugin>, Session<'a>), Fault> {
        let plugin = self.find(call.plugin)?;
        if plugin.kind != kind {
            return Err(wrong_kind(&plugin, kind));
        }
        let session = Session {
            shared: &self.shared,
            plugin: Arc::clone(&plugin),
            call,
            function,
            uid: None,
            has_effects: false,
            known: Known::default(),
        };
        Ok((plugin, session))
    }

    pub(crate) fn find(&self, reference: &PluginRef) -> Result<Arc<Plugin>, Fault> {
        let plugins = self.snapshot();
        plugins.get(reference).cloned().ok_or_else(|| {
            let others: Vec<_> = plugins
                .keys()
                .filter(|other| other.name == reference.name)
                .map(|other| other.digest.short())
                .collect();
            Fault::permanent(
                "plugin-not-loaded",
                format!(
                    "the plugin {} with digest {} is not loaded; {}",
                    reference.name,
                    reference.digest,
                    if others.is_empty() {
                        "none of this name is".to_owned()
                    } else {
                        format!("of this name, these are: {}", others.join(", "))
                    }
                ),
            )
        })
    }

    fn snapshot(&self) -> Arc<Plugins> {
        Arc::clone(&self.plugins.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Plugins)) {
        let mut current = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        let mut plugins = Plugins::clone(&current);
        change(&mut plugins);
        *current = Arc::new(plugins);
    }
}

/// The configuration named a plugin of another kind.
pub(crate) fn wrong_kind(plugin: &Plugin, wanted: PluginKind) -> Fault {
    Fault::permanent(
        "plugin-wrong-kind",
        format!(
            "the plugin {} is a {}, and a {wanted} is needed",
            plugin.reference.name, plugin.kind
        ),
    )
}
