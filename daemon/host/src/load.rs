//! From bytes to a plugin that can be called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use deployd_core::config::{Grant, PluginKind};
use deployd_core::ports::{Call, CallLog, PluginRef, Scope};
use deployd_core::{Digest, Fault};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component;

use crate::config_schema::{ConfigError, ConfigSchema};
use crate::contract::{self, ContractError};
use crate::document::Known;
use crate::engine::Compiler;
use crate::grants;
use crate::health::{Backoff, Health};
use crate::limits::{self, Limits, bytes_text};
use crate::manifest::{Manifest, ManifestError};
use crate::plugin::{LoadedInfo, Plugin};
use crate::session::{Session, Shared};
use crate::stats::Stats;

/// A plugin to be loaded.
#[derive(Debug, Clone)]
pub struct Registration<'a> {
    /// The name of its `Plugin` document: how calls name it.
    pub name: &'a str,
    /// The kind that it must be.
    pub kind: PluginKind,
    /// Its component.
    pub component: Arc<[u8]>,
    /// Its `plugin.toml`.
    pub manifest: &'a str,
    /// The digest that the operator pinned.
    pub digest: Option<Digest>,
    /// What the operator grants.
    pub grant: &'a Grant,
    /// Its configuration, where the `Plugin` document has one.
    pub config: Option<&'a BTreeMap<String, Value>>,
}

/// Why a plugin is not loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is too large.
    #[error(
        "the component has {bytes} bytes, and may have {}",
        bytes_text(limits::COMPONENT_BYTES)
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is not the component that was meant.
    #[error("the component has the digest {found}, and {by} says {expected}")]
    WrongDigest {
        /// Who expects another.
        by: &'static str,
        /// What is expected.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// Its manifest names another kind than the configuration.
    #[error(
        "its plugin.toml says that it is a {manifest}, and the configuration has it as a {wanted}"
    )]
    OtherKind {
        /// What the manifest says.
        manifest: PluginKind,
        /// What the configuration says.
        wanted: PluginKind,
    },
    /// It does not fit the contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// It asks for what is not granted.
    #[error("it asks for what the operator does not grant: {}", refused.join("; "))]
    NotGranted {
        /// All of it.
        refused: Vec<String>,
    },
    /// Its schema is no JSON Schema.
    #[error("its config.schema is no JSON Schema: {0}")]
    Schema(String),
    /// Its configuration does not fit its schema.
    #[error("its configuration does not fit its schema: {}", joined(errors))]
    Config {
        /// All that is wrong.
        errors: Vec<ConfigError>,
    },
    /// It could not be compiled.
    #[error("it can't be compiled: {0}")]
    Compile(String),
    /// It took too long to compile.
    #[error("it was not compiled within {} s", limits::COMPILE_TIME.as_secs())]
    CompileTime,
    /// Its exports or imports have other types than the contract.
    #[error("it does not fit {contract}: {reason}")]
    Types {
        /// Which contract.
        contract: String,
        /// What differs.
        reason: String,
    },
    /// It failed before its first call.
    #[error("no instance of it can be made ({contract}): {fault}")]
    Instance {
        /// The contract that it says it is for.
        contract: String,
        /// What happened.
        fault: Box<Fault>,
    },
}

fn joined(errors: &[ConfigError]) -> String {
    errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("; ")
}

/// What is found out about a plugin without compiling it.
struct Checked {
    manifest: Manifest,
    digest: Digest,
    limits: Limits,
    grants: crate::plugin::Grants,
    schema: Option<ConfigSchema>,
    contract: &'static contract::Contract,
    imports: Vec<String>,
    with_wasi: bool,
}

/// Everything that is cheap, before anything that is not.
fn check(registration: &Registration<'_>) -> Result<Checked, LoadError> {
    let bytes = registration.component.len();
    if bytes > limits::COMPONENT_BYTES {
        return Err(LoadError::TooLarge { bytes });
    }
    let file = format!("{}/plugin.toml", registration.name);
    let manifest = Manifest::parse(&file, registration.manifest)?;
    let digest = Digest::of(&registration.component);
    for (by, expected) in
        [("the configuration", registration.digest), ("its plugin.toml", manifest.digest)]
    {
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(LoadError::WrongDigest { by, expected, found: digest });
        }
    }
    if manifest.kind != registration.kind {
        return Err(LoadError::OtherKind { manifest: manifest.kind, wanted: registration.kind });
    }
    let surface = contract::validate(&registration.component)?;
    let contract = contract::find(registration.kind, &surface)?;
    let with_wasi = contract.check_imports(&surface.imports)?;
    let limits = Limits::of(registration.kind, &registration.grant.limits);
    let grants = grants::resolve(&manifest.asks, registration.grant, &limits)
        .map_err(|refused| LoadError::NotGranted { refused })?;
    let schema =
        manifest.schema.as_ref().map(ConfigSchema::new).transpose().map_err(LoadError::Schema)?;
    let errors = check_config(registration, schema.as_ref());
    if !errors.is_empty() {
        return Err(LoadError::Config { errors });
    }
    let imports = surface.imports;
    Ok(Checked { manifest, digest, limits, grants, schema, contract, imports, with_wasi })
}

fn check_config(
    registration: &Registration<'_>,
    schema: Option<&ConfigSchema>,
) -> Vec<ConfigError> {
    let Some(config) = registration.config else { return Vec::new() };
    if registration.kind == PluginKind::Driver {
        // The schema of a driver is that of its inputs.
        return if config.is_empty() {
            Vec::new()
        } else {
            vec![ConfigError {
                path: String::new(),
                message: "a driver has no configuration of its own; \
                          give it as inputs of a ResourceDefinition"
                    .to_owned(),
            }]
        };
    }
    let config = Value::Object(config.clone().into_iter().collect());
    schema.map(|schema| schema.check(&config)).unwrap_or_default()
}

/// Loads plugins, one at a time: a compiler takes all processors that it gets.
pub(crate) struct Loader {
    pub(crate) compiler: Compiler,
    pub(crate) backoff: Backoff,
    one_at_a_time: Arc<Semaphore>,
}

impl Loader {
    pub(crate) fn new(compiler: Compiler, backoff: Backoff) -> Self {
        Self { compiler, backoff, one_at_a_time: Arc::new(Semaphore::new(1)) }
    }

    /// Checks, compiles, links, and makes one instance to see that it can be made.
    pub(crate) async fn load(
        &self,
        shared: &Shared,
        registration: &Registration<'_>,
    ) -> Result<Plugin, LoadError> {
        let checked = check(registration)?;
        let hits = self.compiler.cache.cache_hits();
        let started = Instant::now();
        let component = self.compile(Arc::clone(&registration.component)).await?;
        let compiled_in = started.elapsed();
        let types = |error: wasmtime::Error| LoadError::Types {
            contract: checked.contract.package(),
            reason: format!("{error:#}"),
        };
        let exports = (checked.contract.link)(&component, checked.with_wasi).map_err(types)?;

        let reference = PluginRef { name: registration.name.to_owned(), digest: checked.digest };
        let (manifest, grants) = (checked.manifest, checked.grants);
        let info = LoadedInfo {
            plugin: reference.clone(),
            id: manifest.id,
            version: manifest.version,
            description: manifest.description,
            kind: manifest.kind,
            contract: checked.contract.package(),
            repeat: manifest.repeat,
            imports: checked.imports,
            secrets: grants.secrets.keys().cloned().collect(),
            reveal: grants.reveal.iter().cloned().collect(),
            generate_secrets: grants.generate_secrets,
            limits: checked.limits,
            bytes: registration.component.len(),
            compiled_in,
            from_cache: self.compiler.cache.cache_hits() > hits,
        };
        let plugin = Arc::new(Plugin {
            reference,
            kind: manifest.kind,
            limits: checked.limits,
            grants,
            schema: checked.schema,
            info,
            calls: Semaphore::new(checked.limits.concurrency),
            health: Health::new(self.backoff),
            stats: Stats::default(),
            exports,
        });
        try_instance(shared, &plugin).await.map_err(|fault| LoadError::Instance {
            contract: checked.contract.package(),
            fault: Box::new(fault),
        })?;
        Arc::into_inner(plugin).ok_or_else(|| {
            LoadError::Compile("the plugin is still in use after its trial".to_owned())
        })
    }

    async fn compile(&self, bytes: Arc<[u8]>) -> Result<Component, LoadError> {
        let engine = self.compiler.engine.clone();
        // Never closed, so this always gets one.
        let turn: Option<OwnedSemaphorePermit> =
            Arc::clone(&self.one_at_a_time).acquire_owned().await.ok();
        let compiling = tokio::task::spawn_blocking(move || {
            // Held until the compiler ends, also when nobody waits for it any
            // more: it can't be stopped, but a second one would make it worse.
            let _turn = turn;
            Component::from_binary(&engine, &bytes)
        });
        match tokio::time::timeout(limits::COMPILE_TIME, compiling).await {
            Ok(Ok(Ok(component))) => Ok(component),
            Ok(Ok(Err(error))) => Err(LoadError::Compile(format!("{error:#}"))),
            Ok(Err(_)) => Err(LoadError::Compile("the compiler panicked".to_owned())),
            Err(_) => Err(LoadError::CompileTime),
        }
    }
}

async fn try_instance(shared: &Shared, plugin: &Arc<Plugin>) -> Result<(), Fault> {
    let (scope, log) = (Scope::default(), CallLog::default());
    // The pool has room for this many, and semaphores are never closed.
    let _permit = shared.calls.acquire().await.ok();
    let session = Session {
        shared,
        plugin: Arc::clone(plugin),
        call: Call { plugin: &plugin.reference, scope: &scope, log: &log },
        function: "instantiation",
        uid: None,
        has_effects: false,
        known: Known::default(),
    };
    let tried = plugin.exports.try_instance(session).await;
    tried.map_err(|mut fault| {
        // The log of a plugin that can't be loaded has no step to stand with.
        let lines = log.take();
        if let Some(last) = lines.last() {
            fault.message = format!("{}; its last line was: {}", fault.message, last.message);
        }
        fault
    })
}
