//! From bytes to a plugin that can be called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deployd_core::config::{Grant, PluginKind};
use deployd_core::ports::{Call, CallLog, PluginRef, Scope};
use deployd_core::{Digest, Fault};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component;

use crate::compiler::{Answer, Apart, Exhausted};
use crate::config_schema::{ConfigError, ConfigSchema};
use crate::contract::{self, ContractError, Surface};
use crate::document::Known;
use crate::engine::Compiler;
use crate::grants;
use crate::health::{Backoff, Health};
use crate::lanes::Pace;
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
    /// It asks for what is not granted, or is granted what it does not ask for.
    #[error("what it asks for and what the operator grants do not fit: {}", refused.join("; "))]
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
    /// It took more to compile than there is for it.
    #[error(transparent)]
    CompileLimits(#[from] Exhausted),
    /// The process that compiles failed. Asking again may help.
    #[error("it was not compiled: {0}")]
    Compiler(String),
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

/// What is found out about a plugin without looking into it.
struct Outside {
    manifest: Manifest,
    digest: Digest,
}

/// What is found out about a plugin without compiling it here.
struct Checked {
    manifest: Manifest,
    limits: Limits,
    grants: crate::plugin::Grants,
    schema: Option<ConfigSchema>,
    contract: &'static contract::Contract,
    imports: Vec<String>,
    with_wasi: bool,
}

/// Everything that is cheap, before anything that is not.
fn outside(registration: &Registration<'_>) -> Result<Outside, LoadError> {
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
    Ok(Outside { manifest, digest })
}

/// Whether it fits what is hosted, and what is granted.
fn check(
    registration: &Registration<'_>,
    manifest: Manifest,
    surface: Surface,
) -> Result<Checked, LoadError> {
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
    Ok(Checked { manifest, limits, grants, schema, contract, imports, with_wasi })
}

fn check_config(
    registration: &Registration<'_>,
    schema: Option<&ConfigSchema>,
) -> Vec<ConfigError> {
    let Some(config) = registration.config else { return Vec::new() };
    // The schema of a driver is that of its inputs, that of a check is for what
    // environment types configure, that of a receiver for what hooks do, and that of a
    // policy for params.
    let elsewhere = match registration.kind {
        PluginKind::Driver => Some(("a driver", "inputs of a ResourceDefinition")),
        PluginKind::Check => Some(("a check", "the config of a check of an EnvironmentType")),
        PluginKind::Receiver => Some(("a receiver", "the config of a Hook")),
        PluginKind::Policy => Some(("a policy", "the params of a Policy")),
        PluginKind::Templater | PluginKind::Strategy | PluginKind::Notifier => None,
    };
    if let Some((who, place)) = elsewhere {
        return if config.is_empty() {
            Vec::new()
        } else {
            vec![ConfigError {
                path: String::new(),
                message: format!("{who} has no configuration of its own; give it as {place}"),
            }]
        };
    }
    let config = Value::Object(config.clone().into_iter().collect());
    schema.map(|schema| schema.check(&config)).unwrap_or_default()
}

/// What another process may take longer than its limit, to say so.
const COMPILE_MARGIN: Duration = Duration::from_secs(10);

/// A component that was looked into.
struct Examined {
    surface: Surface,
    /// Whether it had to be compiled for that.
    compiled_now: bool,
}

/// Loads plugins, one at a time: a compiler takes all processors that it gets.
pub(crate) struct Loader {
    pub(crate) compiler: Compiler,
    /// Compiles elsewhere; none compiles here.
    apart: Option<Arc<Apart>>,
    pub(crate) backoff: Backoff,
    one_at_a_time: Arc<Semaphore>,
}

impl Loader {
    pub(crate) fn new(compiler: Compiler, apart: Option<Apart>, backoff: Backoff) -> Self {
        let one_at_a_time = Arc::new(Semaphore::new(1));
        Self { compiler, apart: apart.map(Arc::new), backoff, one_at_a_time }
    }

    /// Checks, compiles, links, and makes one instance to see that it can be made.
    pub(crate) async fn load(
        &self,
        shared: &Shared,
        registration: &Registration<'_>,
    ) -> Result<Plugin, LoadError> {
        let Outside { manifest, digest } = outside(registration)?;
        let started = Instant::now();
        let examined = self.examine(registration, digest).await?;
        let checked = check(registration, manifest, examined.surface)?;
        let hits = self.compiler.cache.cache_hits();
        let component = self.compile(Arc::clone(&registration.component)).await?;
        let compiled_in = started.elapsed();
        let types = |error: wasmtime::Error| LoadError::Types {
            contract: checked.contract.package(),
            reason: format!("{error:#}"),
        };
        let exports = (checked.contract.link)(&component, checked.with_wasi).map_err(types)?;

        let from_cache = !examined.compiled_now && self.compiler.cache.cache_hits() > hits;
        let reference = PluginRef { name: registration.name.to_owned(), digest };
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
            from_cache,
        };
        let plugin = Arc::new(Plugin {
            reference,
            kind: manifest.kind,
            limits: checked.limits,
            grants,
            schema: checked.schema,
            info,
            calls: Arc::new(Semaphore::new(checked.limits.concurrency)),
            pace: Pace::default(),
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

    /// Looks into a component: in another process, which compiles it as well, or
    /// in this one, which only validates it.
    async fn examine(
        &self,
        registration: &Registration<'_>,
        digest: Digest,
    ) -> Result<Examined, LoadError> {
        let (kind, bytes) = (registration.kind, Arc::clone(&registration.component));
        let Some(apart) = self.apart.clone() else {
            let examined = self.one_at_a_time(move || contract::validate(&bytes)).await?;
            return Ok(Examined { surface: examined?, compiled_now: false });
        };
        let engine = self.compiler.engine.clone();
        let answer = self
            .one_at_a_time(move || match apart.known(&engine, digest) {
                Some(surface) => (Answer::Compiled(surface), false),
                None => (apart.compile(&engine, digest, kind, &bytes), true),
            })
            .await?;
        match answer {
            (Answer::Compiled(surface), compiled_now) => Ok(Examined { surface, compiled_now }),
            (Answer::Refused(error), _) => Err(error.into()),
            (Answer::Invalid(error), _) => Err(LoadError::Compile(error)),
            (Answer::Exhausted(exhausted), _) => Err(exhausted.into()),
            (Answer::Failed(error), _) => Err(LoadError::Compiler(error)),
        }
    }

    /// Compiles it, or reads what was compiled before.
    async fn compile(&self, bytes: Arc<[u8]>) -> Result<Component, LoadError> {
        let engine = self.compiler.engine.clone();
        self.one_at_a_time(move || Component::from_binary(&engine, &bytes))
            .await?
            .map_err(|error| LoadError::Compile(format!("{error:#}")))
    }

    /// Does what keeps a processor busy on a thread of its own.
    async fn one_at_a_time<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        // Never closed, so this always gets one.
        let turn: Option<OwnedSemaphorePermit> =
            Arc::clone(&self.one_at_a_time).acquire_owned().await.ok();
        let working = tokio::task::spawn_blocking(move || {
            // Held until it ends, also when nobody waits for it any more: it
            // can't be stopped, but a second one would make it worse.
            let _turn = turn;
            work()
        });
        match tokio::time::timeout(limits::COMPILE_TIME + COMPILE_MARGIN, working).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(LoadError::Compile("the compiler panicked".to_owned())),
            Err(_) => Err(LoadError::CompileTime),
        }
    }
}

async fn try_instance(shared: &Shared, plugin: &Arc<Plugin>) -> Result<(), Fault> {
    let (scope, log) = (Scope::default(), CallLog::default());
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
