//! A host with a good plugin and all hostile ones.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bench::surroundings::{NoAudit, NoVault};
use deployd_core::config::{Grant, PluginKind};
use deployd_core::ports::{
    Call, CallLog, Notifiers as _, PluginRef, RenderInput, Scope, Templaters as _,
};
use deployd_host::{Backoff, HostOptions, Manifest, PluginHost, Registration};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The good one.
const GOOD: &str = "webhook";
const EVENT: &str = include_str!("../plugin-call/event.json");

pub(crate) struct Stage {
    host: Arc<PluginHost>,
    good: PluginRef,
    hostile: Arc<Vec<PluginRef>>,
    event: Value,
    config: Value,
    scope: Scope,
    _state: TempDir,
}

/// Calls hostile plugins.
pub(crate) struct Caller {
    host: Arc<PluginHost>,
    hostile: Arc<Vec<PluginRef>>,
}

impl Stage {
    /// Loads everything that can be loaded; `quarantine` is how long one lasts,
    /// if not as long as in a daemon.
    pub(crate) async fn set(shipped: &Path, quarantine: Option<Duration>) -> anyhow::Result<Self> {
        let state = TempDir::new()?;
        let backoff = quarantine
            .map_or_else(Backoff::default, |lasts| Backoff { first: lasts, longest: lasts });
        let host = Arc::new(PluginHost::new(HostOptions {
            state_dir: state.path().to_owned(),
            vault: Arc::new(NoVault),
            audit: Arc::new(NoAudit),
            egress: None,
            backoff,
            compiler: None,
        })?);
        let manifest = std::fs::read_to_string(shipped.join(format!("{GOOD}.toml")))?;
        let component = std::fs::read(shipped.join(format!("{GOOD}.wasm")))?;
        let kind = Manifest::parse(GOOD, &manifest)?.kind;
        let good = register(&host, GOOD, kind, component, &manifest).await?;
        let mut hostile = Vec::new();
        for name in fixtures::names()? {
            // Drivers, and guests that are good: not here.
            if name.starts_with("driver-") || GOOD_GUESTS.contains(&name.as_str()) {
                continue;
            }
            let manifest = format!(
                "id = \"{name}\"\nversion = \"0.1.0\"\nkind = \"templater\"\ndescription = \"Bad\"\n"
            );
            let kind = PluginKind::Templater;
            // Those that can't be loaded are refused, and do no harm.
            let component = fixtures::component(&name)?;
            if let Ok(plugin) = register(&host, &name, kind, component, &manifest).await {
                hostile.push(plugin);
            }
        }
        ensure!(hostile.len() >= 40, "only {} hostile plugins", hostile.len());
        Ok(Self {
            host,
            good,
            hostile: Arc::new(hostile),
            event: serde_json::from_str(EVENT)?,
            config: json!({"url": "https://hooks.example.com/deployments"}),
            scope: Scope::default(),
            _state: state,
        })
    }

    /// Calls the good one so often.
    pub(crate) async fn calls(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut calls = Vec::with_capacity(count);
        for _ in 0..count {
            let log = CallLog::default();
            let call = Call { plugin: &self.good, scope: &self.scope, log: &log };
            let begun = Instant::now();
            let requests = self.host.format(call, &self.event, &self.config).await?;
            calls.push(begun.elapsed());
            ensure!(requests.len() == 1, "no request");
        }
        Ok(calls)
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller { host: Arc::clone(&self.host), hostile: Arc::clone(&self.hostile) }
    }

    pub(crate) fn hostile(&self) -> &[PluginRef] {
        &self.hostile
    }

    /// How often hostile plugins were called, and how often they broke their contract.
    pub(crate) fn hostile_calls(&self) -> Option<(u64, u64)> {
        let status = self.host.status();
        let hostile = status.iter().filter(|status| status.plugin != self.good);
        hostile
            .map(|status| (status.counts.calls, status.counts.broken))
            .reduce(|all, one| (all.0 + one.0, all.1 + one.1))
    }
}

/// Guests that do no harm.
const GOOD_GUESTS: &[&str] =
    &["empty", "good", "invalid", "residue", "unavailable", "wasi", "wasi-files"];

impl Caller {
    /// Calls one; whatever comes of it is as it should be.
    pub(crate) async fn call(&self, number: usize) {
        let Some(plugin) = self.hostile.get(number % self.hostile.len().max(1)) else { return };
        let (scope, log) = (Scope::default(), CallLog::default());
        let call = Call { plugin, scope: &scope, log: &log };
        let input = RenderInput {
            workloads: vec![json!({"metadata": {"name": "web"}})],
            values: json!({}),
            baseline: String::new(),
            config: json!({}),
            target: json!({"namespace": "shop"}),
        };
        let _ = self.host.render(call, &input).await;
    }
}

async fn register(
    host: &PluginHost,
    name: &str,
    kind: PluginKind,
    component: Vec<u8>,
    manifest: &str,
) -> anyhow::Result<PluginRef> {
    let grant = Grant::default();
    let registration = Registration {
        name,
        kind,
        component: component.into(),
        manifest,
        digest: None,
        grant: &grant,
        config: None,
    };
    Ok(host.register(registration).await?.plugin)
}
