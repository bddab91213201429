//! What the tests share: a vault in memory, an audit that remembers, fixtures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::config::{Grant, PluginKind};
use deployd_core::ports::{
    Call, CallLog, DriverRequest, Drivers as _, Egress, LogLine, PluginRef, Progress, Provisioned,
    Recipe, RenderInput, Scope, Templaters, Vault, VaultError,
};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_egress::{Broker, Network};
use deployd_host::compiler::Supervisor;
use deployd_host::{
    Audit, Backoff, HostOptions, LoadError, LoadedInfo, PluginHost, Registration, Reveal,
};
use serde_json::{Value, json};

use crate::net::Loopback;

/// Keeps secrets in memory; when told to, it panics (the first flag), as only a
/// mistake of ours would, or hangs (the second).
#[derive(Default)]
pub struct MemoryVault(pub Mutex<BTreeMap<SecretRef, SecretValue>>, pub AtomicBool, pub AtomicBool);

impl MemoryVault {
    pub fn set(&self, owner: &str, name: &str, value: &str) {
        let secret = SecretRef { owner: owner.into(), name: name.into() };
        self.0.lock().unwrap().insert(secret, SecretValue::new(value.into()));
    }

    pub fn value(&self, owner: &str, name: &str) -> Option<String> {
        let secret = SecretRef { owner: owner.into(), name: name.into() };
        let secrets = self.0.lock().unwrap();
        secrets.get(&secret).map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
    }

    /// Everything that is secret now.
    pub fn values(&self) -> Vec<String> {
        let secrets = self.0.lock().unwrap();
        let text = |value: &SecretValue| String::from_utf8(value.expose().to_vec()).unwrap();
        secrets.values().map(text).collect()
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn generate(&self, secret: &SecretRef, recipe: &Recipe) -> Result<(), VaultError> {
        let value = recipe.alphabet.chars().cycle().take(recipe.length).collect::<String>();
        let mut secrets = self.0.lock().unwrap();
        secrets.entry(secret.clone()).or_insert_with(|| SecretValue::new(value.into()));
        Ok(())
    }

    async fn put(&self, secret: &SecretRef, value: SecretValue) -> Result<(), VaultError> {
        self.0.lock().unwrap().insert(secret.clone(), value);
        Ok(())
    }

    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        let secrets = self.0.lock().unwrap();
        secrets.get(secret).cloned().ok_or_else(|| VaultError::NotFound(secret.clone()))
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        assert!(!self.1.load(Ordering::Relaxed), "the vault fell over");
        if self.2.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(self.0.lock().unwrap().contains_key(secret))
    }

    async fn list(&self, owner: &str) -> Result<Vec<String>, VaultError> {
        let secrets = self.0.lock().unwrap();
        Ok(secrets.keys().filter(|key| key.owner == owner).map(|key| key.name.clone()).collect())
    }

    async fn remove_owner(&self, owner: &str) -> Result<(), VaultError> {
        self.0.lock().unwrap().retain(|key, _| key.owner != owner);
        Ok(())
    }
}

/// Remembers reveals; refuses them when told to.
#[derive(Default)]
pub struct MemoryAudit {
    pub reveals: Mutex<Vec<Reveal>>,
    pub refuse: Mutex<bool>,
}

#[async_trait]
impl Audit for MemoryAudit {
    async fn revealed(&self, reveal: &Reveal) -> Result<(), String> {
        if *self.refuse.lock().unwrap() {
            return Err("the journal is full".into());
        }
        self.reveals.lock().unwrap().push(reveal.clone());
        Ok(())
    }
}

/// A host with its surroundings.
pub struct Stage {
    pub host: PluginHost,
    pub vault: Arc<MemoryVault>,
    pub audit: Arc<MemoryAudit>,
    pub egress: Arc<Loopback>,
    pub state: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        Self::with_quarantine(Duration::from_secs(60))
    }

    pub fn with_quarantine(first: Duration) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), first)
    }

    pub fn in_folder(state: tempfile::TempDir, first: Duration) -> Self {
        Self::with_compiler(state, first, None)
    }

    /// A host whose plugins are compiled elsewhere.
    pub fn with_compiler(
        state: tempfile::TempDir,
        first: Duration,
        compiler: Option<Arc<Supervisor>>,
    ) -> Self {
        let loopback = Arc::new(Loopback::default());
        let out = |_: &Arc<MemoryVault>| -> Arc<dyn Egress> { loopback.clone() };
        let mut stage = Self::with_egress(state, first, compiler, out);
        stage.egress = loopback;
        stage
    }

    /// A host with the real broker, over this network.
    pub fn over(network: Arc<dyn Network>) -> Self {
        let out = |vault: &Arc<MemoryVault>| -> Arc<dyn Egress> {
            Arc::new(Broker::new(network, vault.clone()))
        };
        Self::with_egress(tempfile::tempdir().unwrap(), Duration::from_secs(60), None, out)
    }

    /// A host with another way out; `egress` of the stage is of no use then.
    pub fn with_egress(
        state: tempfile::TempDir,
        first: Duration,
        compiler: Option<Arc<Supervisor>>,
        out: impl FnOnce(&Arc<MemoryVault>) -> Arc<dyn Egress>,
    ) -> Self {
        let (vault, audit) = (Arc::new(MemoryVault::default()), Arc::new(MemoryAudit::default()));
        let host = PluginHost::new(HostOptions {
            state_dir: state.path().to_owned(),
            vault: vault.clone(),
            audit: audit.clone(),
            egress: Some(out(&vault)),
            backoff: Backoff { first, longest: first * 4 },
            compiler,
        })
        .unwrap();
        Self { host, vault, audit, egress: Arc::default(), state }
    }

    /// Registers a fixture that is a templater.
    pub async fn templater(&self, fixture: &str) -> Result<PluginRef, LoadError> {
        self.granted(fixture, &Grant::default()).await.map(|info| info.plugin)
    }

    /// The same, with what the operator grants.
    pub async fn granted(&self, fixture: &str, grant: &Grant) -> Result<LoadedInfo, LoadError> {
        self.register(fixture, &component(fixture), PluginKind::Templater, "", grant).await
    }

    pub async fn register(
        &self,
        name: &str,
        bytes: &[u8],
        kind: PluginKind,
        asks: &str,
        grant: &Grant,
    ) -> Result<LoadedInfo, LoadError> {
        self.host
            .register(Registration {
                name,
                kind,
                component: bytes.into(),
                manifest: &manifest(name, kind, asks),
                digest: None,
                grant,
                config: None,
            })
            .await
    }

    pub async fn render(&self, plugin: &PluginRef) -> Rendered {
        self.render_input(plugin, &input(&json!([{"kind": "ConfigMap"}]))).await
    }

    pub async fn render_input(&self, plugin: &PluginRef, input: &RenderInput) -> Rendered {
        let (scope, log) = (scope(), CallLog::default());
        let call = Call { plugin, scope: &scope, log: &log };
        let result = self.host.render(call, input).await;
        Rendered { result, log: log.take() }
    }
}

/// How often a test asks a driver again before it gives up, and between two.
const ASKS: usize = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// Provisions as the daemon does: until it is done.
pub async fn provision(
    stage: &Stage,
    call: Call<'_>,
    request: &DriverRequest,
) -> Result<Provisioned, Fault> {
    let mut token = None;
    for _ in 0..ASKS {
        match stage.host.provision(call, request, token.as_deref()).await? {
            Progress::Done(provisioned) => return Ok(provisioned),
            Progress::Pending { token: next, .. } => {
                token = Some(next);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    panic!("it is never there");
}

/// Takes away, until it is gone.
pub async fn destroy(stage: &Stage, call: Call<'_>, request: &DriverRequest) {
    let mut token = None;
    for _ in 0..ASKS {
        match stage.host.destroy(call, request, token.as_deref()).await.unwrap() {
            Progress::Done(()) => return,
            Progress::Pending { token: next, .. } => {
                token = Some(next);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    panic!("it is never gone");
}

pub struct Rendered {
    pub result: Result<Vec<Value>, Fault>,
    pub log: Vec<LogLine>,
}

impl Rendered {
    /// The code of its fault.
    pub fn code(&self) -> &str {
        match &self.result {
            Ok(_) => "done",
            Err(fault) => &fault.code,
        }
    }
}

pub fn manifest(name: &str, kind: PluginKind, rest: &str) -> String {
    let effects =
        if kind == PluginKind::Driver { "[effects]\nrepeat = \"idempotent\"\n" } else { "" };
    format!(
        "id = \"{name}\"\nversion = \"0.1.0\"\nkind = \"{kind}\"\ndescription = \"A fixture\"\n\
         {effects}{rest}"
    )
}

pub fn scope() -> Scope {
    Scope {
        application: "shop".into(),
        environment: "staging".into(),
        environment_type: "test".into(),
        deployment: "01aryz6s41tsv4rrffq69g5fav".into(),
    }
}

pub fn input(workloads: &Value) -> RenderInput {
    RenderInput {
        workloads: workloads.as_array().unwrap().clone(),
        values: json!({}),
        baseline: String::new(),
        config: json!({}),
        target: json!({"namespace": "shop"}),
    }
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The bytes of a fixture.
pub fn component(fixture: &str) -> Vec<u8> {
    fixtures::component(fixture).unwrap_or_else(|error| panic!("{error:#}"))
}
