//! The daemon's own host, with everything on that it always has on: a store per
//! call, limits, the epoch's deadline, the timeout, the check of what comes back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::timed;
use deployd_core::config::Grant;
use deployd_core::ports::{Call, CallLog, NotifierRequest, Notifiers, PluginRef, Scope};
use deployd_host::{Backoff, HostOptions, Manifest, PluginHost, Registration};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::surroundings::{NoAudit, NoVault};

/// The plugin that is called.
const CALLED: &str = "webhook";

pub(crate) struct Ours<'a> {
    runtime: &'a Runtime,
    state: TempDir,
    shipped: BTreeMap<String, Shipped>,
    host: Arc<PluginHost>,
    caller: Arc<Caller>,
}

/// A plugin as it lies in a folder.
struct Shipped {
    manifest: Manifest,
    manifest_text: String,
    component: Arc<[u8]>,
}

/// What a call needs beside the host.
struct Caller {
    plugin: PluginRef,
    scope: Scope,
    event: Value,
    config: Value,
}

impl<'a> Ours<'a> {
    /// Compiles all plugins of the folder, so that the cache has them.
    pub(crate) fn start(
        runtime: &'a Runtime,
        plugins: &Path,
        event: &Value,
        config: &Value,
    ) -> anyhow::Result<Self> {
        let state = TempDir::new()?;
        let shipped = read_all(plugins)?;
        let host = new_host(state.path())?;
        let plugin = runtime.block_on(async {
            let mut called = None;
            for (id, one) in &shipped {
                let plugin = register(&host, id, one).await?;
                if id == CALLED {
                    called = Some(plugin);
                }
            }
            called.with_context(|| format!("no plugin {CALLED} in {}", plugins.display()))
        })?;
        let (event, config) = (event.clone(), config.clone());
        let caller = Arc::new(Caller { plugin, scope: scope(), event, config });
        Ok(Self { runtime, state, shipped, host, caller })
    }

    /// How many plugins there are.
    pub(crate) fn count(&self) -> usize {
        self.shipped.len()
    }

    /// Makes one call, and returns its answer.
    pub(crate) fn answer(&self) -> anyhow::Result<NotifierRequest> {
        let requests = self.runtime.block_on(self.caller.call(&self.host))?;
        requests.into_iter().next().context("the plugin makes no request of the event")
    }

    /// Makes so many calls, one after the other, in a task as the daemon does.
    pub(crate) fn calls(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let (host, caller) = (Arc::clone(&self.host), Arc::clone(&self.caller));
        self.runtime.block_on(self.runtime.spawn(async move {
            let mut calls = Vec::with_capacity(count);
            for _ in 0..count {
                let begun = Instant::now();
                let requests = caller.call(&host).await?;
                calls.push(begun.elapsed());
                ensure!(requests.len() == 1, "the plugin has changed its mind");
            }
            Ok(calls)
        }))?
    }

    /// What a start of the daemon has to wait for: a new host, and all plugins
    /// in it, from the cache; every check and trial instance included.
    pub(crate) fn load_all(&self) -> anyhow::Result<Duration> {
        let (took, loaded) = timed(|| {
            let host = new_host(self.state.path())?;
            self.runtime.block_on(async {
                for (id, one) in &self.shipped {
                    register(&host, id, one).await?;
                }
                anyhow::Ok(host)
            })
        });
        let loaded = loaded?.loaded();
        let from_cache = loaded.iter().filter(|info| info.from_cache).count();
        ensure!(from_cache == self.count(), "{from_cache} plugins came from the cache");
        Ok(took)
    }

    /// A new host, one plugin, and its first answer.
    pub(crate) fn load_one(&self) -> anyhow::Result<Duration> {
        let one = self.shipped.get(CALLED).context("the plugin is gone")?;
        let (took, answer) = timed(|| {
            let host = new_host(self.state.path())?;
            self.runtime.block_on(async {
                register(&host, CALLED, one).await?;
                self.caller.call(&host).await
            })
        });
        answer.map(|_| took)
    }
}

impl Caller {
    async fn call(&self, host: &PluginHost) -> anyhow::Result<Vec<NotifierRequest>> {
        let log = CallLog::default();
        let call = Call { plugin: &self.plugin, scope: &self.scope, log: &log };
        Ok(host.format(call, &self.event, &self.config).await?)
    }
}

fn new_host(state: &Path) -> anyhow::Result<Arc<PluginHost>> {
    let (first, longest) = (Duration::from_secs(1), Duration::from_secs(1));
    Ok(Arc::new(PluginHost::new(HostOptions {
        state_dir: state.to_owned(),
        vault: Arc::new(NoVault),
        audit: Arc::new(NoAudit),
        backoff: Backoff { first, longest },
    })?))
}

async fn register(host: &PluginHost, id: &str, one: &Shipped) -> anyhow::Result<PluginRef> {
    let grant = Grant { generate_secrets: one.manifest.asks.generate_secrets, ..Grant::default() };
    let registration = Registration {
        name: id,
        kind: one.manifest.kind,
        component: Arc::clone(&one.component),
        manifest: &one.manifest_text,
        digest: None,
        grant: &grant,
        config: None,
    };
    let loaded = host.register(registration).await.with_context(|| format!("plugin {id}"))?;
    Ok(loaded.plugin)
}

/// All `<id>.wasm` of a folder, with the `<id>.toml` beside them.
fn read_all(folder: &Path) -> anyhow::Result<BTreeMap<String, Shipped>> {
    let mut shipped = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let manifest_text = fs::read_to_string(path.with_extension("toml"))?;
        let manifest = Manifest::parse(&path.display().to_string(), &manifest_text)?;
        let component = fs::read(&path)?.into();
        shipped.insert(manifest.id.clone(), Shipped { manifest, manifest_text, component });
    }
    Ok(shipped)
}

fn scope() -> Scope {
    Scope {
        application: "shop".into(),
        environment: "production".into(),
        environment_type: "production".into(),
        deployment: "01jd4g9x2c7h8k9m0n1p2q3r4s".into(),
    }
}
