//! The daemon's own host, with everything on that it always has on: a store per
//! call, limits, the epoch's deadline, the timeout, the check of what comes back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::host::{Shipped, new_host, read_all, register, scope};
use bench::timed;
use deployd_core::ports::{Call, CallLog, NotifierRequest, Notifiers, PluginRef, Scope};
use deployd_host::PluginHost;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The plugin that is called.
const CALLED: &str = "webhook";

pub(crate) struct Ours<'a> {
    runtime: &'a Runtime,
    state: TempDir,
    shipped: BTreeMap<String, Shipped>,
    host: Arc<PluginHost>,
    caller: Arc<Caller>,
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
