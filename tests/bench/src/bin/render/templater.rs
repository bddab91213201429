//! The daemon's templater: a call of the plugin `score-k8s` in its sandbox.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::host::{new_host, read_all, register, scope};
use deployd_core::ports::{Call, CallLog, PluginRef, RenderInput, Scope, Templaters};
use deployd_host::PluginHost;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PLUGIN: &str = "score-k8s";

pub(crate) struct Templater<'a> {
    runtime: &'a Runtime,
    host: Arc<PluginHost>,
    call: Arc<Input>,
    _state: TempDir,
}

struct Input {
    plugin: PluginRef,
    scope: Scope,
    input: RenderInput,
}

impl<'a> Templater<'a> {
    pub(crate) fn start(
        runtime: &'a Runtime,
        plugins: &Path,
        application: &Value,
    ) -> anyhow::Result<Self> {
        let state = TempDir::new()?;
        let shipped = read_all(plugins)?;
        let one = shipped.get(PLUGIN).with_context(|| format!("no plugin {PLUGIN}"))?;
        let host = new_host(state.path())?;
        let plugin = runtime.block_on(register(&host, PLUGIN, one))?;
        let workloads = application.get("workloads").and_then(Value::as_array);
        let input = RenderInput {
            workloads: workloads.context("no workloads")?.clone(),
            values: application.get("values").cloned().unwrap_or_default(),
            baseline: String::new(),
            config: json!({}),
            target: json!({"namespace": "shop-production"}),
        };
        let call = Arc::new(Input { plugin, scope: scope(), input });
        Ok(Self { runtime, host, call, _state: state })
    }

    /// What it renders.
    pub(crate) fn objects(&self) -> anyhow::Result<Vec<Value>> {
        self.runtime.block_on(self.call.render(&self.host))
    }

    /// Renders so many times, one after the other, in a task as the daemon does.
    pub(crate) fn renders(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let (host, call) = (Arc::clone(&self.host), Arc::clone(&self.call));
        self.runtime.block_on(self.runtime.spawn(async move {
            let mut times = Vec::with_capacity(count);
            for _ in 0..count {
                let begun = Instant::now();
                let objects = call.render(&host).await?;
                times.push(begun.elapsed());
                ensure!(!objects.is_empty(), "the templater has changed its mind");
            }
            Ok(times)
        }))?
    }
}

impl Input {
    async fn render(&self, host: &PluginHost) -> anyhow::Result<Vec<Value>> {
        let log = CallLog::default();
        let call = Call { plugin: &self.plugin, scope: &self.scope, log: &log };
        Ok(host.render(call, &self.input).await?)
    }
}
