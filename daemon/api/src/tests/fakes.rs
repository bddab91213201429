//! What the engine needs from the outside, at its simplest: everything works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::attestation::Statement;
use deployd_core::config::{EffectLevel, IssuerSpec, PluginSpec, SignedBy};
use deployd_core::drift::ObjectCheck;
use deployd_core::policy::Violation;
use deployd_core::ports::{
    Answer, Applier, ApplyRequest, Attestations, Call, CallLog, CheckOutcome, CheckRequest, Checks,
    Clock, Cluster, Decision, Delivery, DriverAction, DriverPlan, DriverRequest, Drivers, Issuers,
    LogLevel, LogLines, NoGit, NotifierRequest, Notifiers, ObjectRef, ObservedWorkload, Outgoing,
    PluginCatalog, PluginInfo, PluginRef, Policies, Progress, Provisioned, Random, Readiness,
    Receivers, Recipe, References, Registries, RegistryAccess, Rehearsals, Rehearsed, Removal,
    RenderInput, Sender, SensitiveObjects, Snapshot, Staged, Strategies, StrategyContext, Target,
    Templaters, Vault, VaultAdmin, VaultError, Verdict, WorkloadFault,
};
use deployd_core::rehearsal::{Ending, Figures, Report};
use deployd_core::secret::{KeyReport, KeyUse, KeyView, Link, SecretRef, SecretValue};
use deployd_core::{Digest, Fault, Name, Timestamp};
use deployd_engine::Ports;
use deployd_store::MemoryStore;
use serde_json::{Value, json};

/// All ports but the store.
#[derive(Default)]
pub(super) struct Outside {
    secrets: Mutex<BTreeMap<SecretRef, Vec<u8>>>,
    links: Mutex<BTreeMap<SecretRef, Link>>,
    rotations: AtomicU64,
    ticks: AtomicU64,
    sent: Sent,
}

/// Bodies that were sent to others.
pub(super) type Sent = Arc<Mutex<Vec<Vec<u8>>>>;

pub(super) fn ports(store: MemoryStore, sent: Sent) -> Ports {
    let outside = Arc::new(Outside { sent, ..Outside::default() });
    Ports {
        store: Arc::new(store),
        vault: outside.clone(),
        vault_admin: outside.clone(),
        catalog: outside.clone(),
        drivers: outside.clone(),
        templaters: outside.clone(),
        strategies: outside.clone(),
        checks: outside.clone(),
        notifiers: outside.clone(),
        receivers: outside.clone(),
        policies: outside.clone(),
        issuers: outside.clone(),
        attestations: outside.clone(),
        registries: outside.clone(),
        references: outside.clone(),
        repositories: Arc::new(NoGit),
        forges: Arc::new(NoGit),
        cluster: outside.clone(),
        sender: outside.clone(),
        clock: outside.clone(),
        random: outside.clone(),
        rehearsals: outside,
    }
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_230_000_000 + self.ticks.fetch_add(1, Ordering::Relaxed))
    }
}

impl Random for Outside {
    fn fill(&self, buffer: &mut [u8]) {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        let digest = Digest::of(&tick.to_be_bytes());
        for (byte, random) in buffer.iter_mut().zip(digest.as_bytes()) {
            *byte = *random;
        }
    }
}

#[async_trait]
impl Vault for Outside {
    async fn generate(&self, secret: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        self.secrets.lock().unwrap().entry(secret.clone()).or_insert_with(|| b"generated".to_vec());
        Ok(())
    }

    async fn put(&self, secret: &SecretRef, value: SecretValue) -> Result<(), VaultError> {
        self.secrets.lock().unwrap().insert(secret.clone(), value.expose().to_vec());
        Ok(())
    }

    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        let secrets = self.secrets.lock().unwrap();
        let value = secrets.get(secret).ok_or_else(|| VaultError::NotFound(secret.clone()))?;
        Ok(SecretValue::new(value.clone()))
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        Ok(self.secrets.lock().unwrap().contains_key(secret))
    }

    async fn list(&self, owner: &str) -> Result<Vec<String>, VaultError> {
        let secrets = self.secrets.lock().unwrap();
        Ok(secrets.keys().filter(|s| s.owner == owner).map(|s| s.name.clone()).collect())
    }

    async fn remove_owner(&self, owner: &str) -> Result<(), VaultError> {
        self.secrets.lock().unwrap().retain(|secret, _| secret.owner != owner);
        Ok(())
    }
}

/// Links lead to nothing, and variables are not allowed.
#[async_trait]
impl VaultAdmin for Outside {
    async fn link(&self, secret: &SecretRef, link: &Link) -> Result<(), VaultError> {
        if matches!(link, Link::Env { .. }) {
            let fault = Fault::denied("secret-variable-denied", "no variable is allowed");
            let (secret, link) = (secret.clone(), Box::new(link.clone()));
            return Err(VaultError::Unresolved { secret, link, fault: Box::new(fault) });
        }
        self.links.lock().unwrap().insert(secret.clone(), link.clone());
        Ok(())
    }

    async fn links(&self, owner: &str) -> Result<Vec<(String, Option<Link>)>, VaultError> {
        let here = self.list(owner).await?.into_iter().map(|name| (name, None));
        let links = self.links.lock().unwrap();
        let elsewhere = links.iter().map(|(s, link)| (s.name.clone(), Some(link.clone())));
        Ok(here.chain(elsewhere).collect())
    }

    async fn fingerprints(
        &self,
        owner: &str,
        _: Timestamp,
    ) -> Result<BTreeMap<String, Digest>, VaultError> {
        let secrets = self.secrets.lock().unwrap();
        let own = secrets.iter().filter(|(secret, _)| secret.owner == owner);
        Ok(own.map(|(secret, value)| (secret.name.clone(), Digest::of(value))).collect())
    }

    async fn keys(&self) -> Result<KeyReport, VaultError> {
        let rotations = self.rotations.load(Ordering::Relaxed);
        let key = |number: u64, used| KeyView {
            id: format!("{number:016x}"),
            from: format!("file {number}"),
            used,
        };
        let old = (0..rotations).rev().map(|number| key(number, KeyUse::Removable));
        let keys = std::iter::once(key(rotations, KeyUse::Newest)).chain(old).collect();
        Ok(KeyReport { settled: true, keys, unreadable: Vec::new() })
    }

    async fn rotate_key(&self) -> Result<KeyReport, VaultError> {
        self.rotations.fetch_add(1, Ordering::Relaxed);
        self.keys().await
    }
}

fn info(name: &str, kind: deployd_core::config::PluginKind) -> PluginInfo {
    PluginInfo {
        plugin: PluginRef { name: name.to_owned(), digest: Digest::of(name.as_bytes()) },
        version: "1.0.0".to_owned(),
        kind,
        effect: EffectLevel::Idempotent,
    }
}

#[async_trait]
impl PluginCatalog for Outside {
    async fn load(&self, name: &Name, spec: &PluginSpec) -> Result<PluginInfo, Fault> {
        Ok(info(name.as_str(), spec.kind))
    }

    async fn upload(&self, component: Vec<u8>, manifest: String) -> Result<PluginInfo, Fault> {
        if component != b"\0asm" {
            return Err(Fault::invalid("no-component", "These bytes are no component."));
        }
        Ok(info(&manifest, deployd_core::config::PluginKind::Driver))
    }

    async fn manifest(&self, _: Digest) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    fn unload(&self, _: &PluginRef) {}

    fn has(&self, _: &PluginRef) -> bool {
        true
    }
}

#[async_trait]
impl Drivers for Outside {
    async fn plan(&self, _: Call<'_>, _: &DriverRequest) -> Result<DriverPlan, Fault> {
        let summary = vec!["make it".to_owned()];
        Ok(DriverPlan { action: DriverAction::Create, summary, outputs: json!({}) })
    }

    async fn provision(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        _: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        call.log.line(LogLevel::Info, format!("made {}", request.id));
        let outputs = match request.resource_type.as_str() {
            "k8s-cluster" => {
                let secret = SecretRef { owner: request.uid.clone(), name: "kubeconfig".into() };
                self.put(&secret, SecretValue::new(b"kubeconfig".to_vec())).await.unwrap();
                json!({"name": "main", "kubeconfig": secret.to_string()})
            }
            _ => json!({"name": "shop-development", "host": "shop.test"}),
        };
        Ok(Progress::Done(Provisioned { state: json!({}), outputs, manifests: Vec::new() }))
    }

    async fn observe(&self, _: Call<'_>, _: &DriverRequest) -> Result<Option<Value>, Fault> {
        Ok(None)
    }

    async fn destroy(
        &self,
        _: Call<'_>,
        _: &DriverRequest,
        _: Option<&str>,
    ) -> Result<Removal, Fault> {
        Ok(Progress::Done(()))
    }
}

#[async_trait]
impl Templaters for Outside {
    async fn render(&self, _: Call<'_>, input: &RenderInput) -> Result<Vec<Value>, Fault> {
        let object = |workload: &Value| {
            let name = &workload["metadata"]["name"];
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "labels": {"deployd.dev/workload": name}},
                "spec": {"image": workload.pointer("/containers/web/image")},
            })
        };
        Ok(input.workloads.iter().map(object).collect())
    }
}

/// What is waited for so long does not become ready.
const UNREADY_MS: u64 = 1;

#[async_trait]
impl Strategies for Outside {
    async fn start(&self, _: Call<'_>, context: &StrategyContext) -> Result<Decision, Fault> {
        let names: BTreeSet<&str> = context
            .workloads
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|w| w["name"].as_str())
            .collect();
        let apply = json!({"do": "apply", "track": "stable", "workloads": names});
        let wait = json!({
            "do": "await-ready", "track": "stable", "workloads": names,
            "deadline-ms": UNREADY_MS,
        });
        let (action, then) = if context.config.get("endless").is_some() {
            (json!({"do": "sleep", "ms": 3_600_000}), vec![apply])
        } else if context.config.get("pauses").is_some() {
            (json!({"do": "pause", "message": "look at it"}), vec![apply])
        } else if context.config.get("fails").is_some() {
            (apply, vec![wait, json!({"do": "roll-back", "reason": "not ready"})])
        } else {
            (apply, Vec::new())
        };
        let state = json!({ "then": then });
        Ok(Decision { state, action, progress: 50, message: "apply".to_owned() })
    }

    async fn next(
        &self,
        _: Call<'_>,
        _: &StrategyContext,
        state: &Value,
        _: &Value,
    ) -> Result<Decision, Fault> {
        let mut then = state["then"].as_array().unwrap().clone();
        let action = match then.is_empty() {
            true => json!({"do": "complete"}),
            false => then.remove(0),
        };
        let state = json!({ "then": then });
        Ok(Decision { state, action, progress: 100, message: "done".to_owned() })
    }
}

#[async_trait]
impl Policies for Outside {
    async fn evaluate(
        &self,
        _: Call<'_>,
        _: &Value,
        params: &Value,
    ) -> Result<Vec<Violation>, Fault> {
        let found = params.get("finds").cloned().unwrap_or(Value::Array(Vec::new()));
        serde_json::from_value(found).map_err(|error| Fault::invalid("finds", error.to_string()))
    }
}

#[async_trait]
impl Receivers for Outside {
    async fn decode(
        &self,
        _: Call<'_>,
        delivery: &Delivery,
        _: &Value,
    ) -> Result<Vec<Value>, Fault> {
        match serde_json::from_slice(&delivery.body) {
            Ok(Value::Array(told)) => Ok(told),
            _ => Err(Fault::invalid("not-a-list", "expected a list")),
        }
    }
}

#[async_trait]
impl References for Outside {
    async fn fetch(&self, url: &str, _: usize) -> Result<Vec<u8>, Fault> {
        Ok(elsewhere(url))
    }
}

#[async_trait]
impl Registries for Outside {
    async fn digest(&self, _: &str, _: &str, _: &RegistryAccess) -> Result<Digest, Fault> {
        Ok(Digest::of(b"tagged"))
    }
}

impl Attestations for Outside {
    /// `{"signer": .., "about": [..], "type": .., "says": ..}`, as if it were signed.
    fn read(&self, document: &[u8]) -> Result<Statement, String> {
        let document: Value = serde_json::from_slice(document).map_err(|e| e.to_string())?;
        Ok(Statement {
            subjects: serde_json::from_value(document["about"].clone())
                .map_err(|e| e.to_string())?,
            predicate_type: document["type"].as_str().unwrap_or_default().to_owned(),
            predicate: document["says"].clone(),
        })
    }

    fn signer(&self, _: &[u8], _: Digest, _: &SignedBy) -> Result<String, String> {
        Err("nobody signs here".to_owned())
    }
}

#[async_trait]
impl Issuers for Outside {
    /// Whatever follows the first dot, as if it were signed.
    async fn claims(&self, _: &IssuerSpec, token: &str) -> Result<Value, Fault> {
        let claims = token.split('.').nth(1).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        claims
            .and_then(|claims| serde_json::from_slice(&claims).ok())
            .ok_or_else(|| Fault::denied("token-refused", "it is no JSON Web Token"))
    }
}

#[async_trait]
impl Notifiers for Outside {
    async fn format(
        &self,
        _: Call<'_>,
        event: &Value,
        _: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        Ok(vec![NotifierRequest {
            method: "POST".to_owned(),
            url: "https://receiver.test/hook".to_owned(),
            headers: BTreeMap::new(),
            body: event.to_string().into_bytes(),
            thread: None,
        }])
    }
}

#[async_trait]
impl Sender for Outside {
    async fn send(&self, outgoing: Outgoing) -> Result<Answer, Fault> {
        self.sent.lock().unwrap().push(outgoing.body);
        Ok(Answer { status: 204, ..Answer::default() })
    }
}

#[async_trait]
impl Cluster for Outside {
    async fn apply(&self, request: &ApplyRequest, _: &CallLog) -> Result<Vec<ObjectRef>, Fault> {
        Ok(request.objects.expose().iter().filter_map(ObjectRef::of).collect())
    }

    async fn await_ready(
        &self,
        _: &Target,
        objects: &[ObjectRef],
        deadline_ms: u64,
        _: &CallLog,
    ) -> Result<Readiness, Fault> {
        if deadline_ms > UNREADY_MS {
            return Ok(Readiness::Ready);
        }
        let fault = |object: &ObjectRef| WorkloadFault {
            object: object.clone(),
            reason: "crash-loop".to_owned(),
            message: "it crashes".to_owned(),
            containers: Vec::new(),
            events: Vec::new(),
            logs: Vec::new(),
        };
        Ok(Readiness::Failed(objects.iter().map(fault).collect()))
    }

    async fn await_failure(
        &self,
        _: &Target,
        _: &[ObjectRef],
        _: &CallLog,
    ) -> Result<Vec<WorkloadFault>, Fault> {
        std::future::pending().await
    }

    async fn prune(
        &self,
        _: &Target,
        objects: &[ObjectRef],
        _: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault> {
        Ok(objects.to_vec())
    }

    async fn compare(
        &self,
        target: &Target,
        objects: &SensitiveObjects,
        _: Applier,
        _: &CallLog,
    ) -> Result<Vec<ObjectCheck>, Fault> {
        let of = |object: &serde_json::Value| {
            let mut object = ObjectRef::of(object)?;
            object.namespace.get_or_insert_with(|| target.namespace.clone());
            Some(ObjectCheck { object, drift: Ok(Vec::new()) })
        };
        Ok(objects.expose().iter().filter_map(of).collect())
    }

    async fn version(&self, _: &Target) -> Result<String, Fault> {
        Ok("v1.34.0".to_owned())
    }

    async fn logs(&self, _: &Target, _: &ObjectRef, _: usize) -> Result<Vec<LogLines>, Fault> {
        Ok(Vec::new())
    }

    async fn observe(
        &self,
        _: &Target,
        _: &[ObjectRef],
    ) -> Result<Vec<Option<ObservedWorkload>>, Fault> {
        Ok(Vec::new())
    }

    async fn read(
        &self,
        _: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<serde_json::Value>>, Fault> {
        Ok(vec![None; objects.len()])
    }

    async fn snapshot(&self, _: &Target, _: &[ObjectRef]) -> Result<Snapshot, Fault> {
        Ok(Snapshot::default())
    }
}

/// Where a test may write a file: its own place, removed at its end.
pub(super) struct Scratch(pub(super) std::path::PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("deployd-api-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn join(&self, name: &str) -> std::path::PathBuf {
        Path::new(&self.0).join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[async_trait]
impl Checks for Outside {
    async fn run(&self, _: Call<'_>, _: &CheckRequest) -> Result<CheckOutcome, Fault> {
        Ok(CheckOutcome::Passed(Verdict::default()))
    }
}

/// Each takes as long as a request of the new version.
#[async_trait]
impl Rehearsals for Outside {
    async fn rehearse(&self, staged: Staged) -> Result<Rehearsed, Fault> {
        let report = Report {
            ended: Ending::Completed,
            duration_ms: staged.scenario.new.latency_ms,
            requests: Figures::default(),
            of_new: Figures::default(),
            weight_max: 100,
            checks: BTreeMap::new(),
            timeline: Vec::new(),
        };
        Ok(Rehearsed { report, notes: Vec::new() })
    }
}

/// The document that everybody finds at an address: a result whose name is the address.
pub(super) fn elsewhere(url: &str) -> Vec<u8> {
    let at = "2026-11-01T00:00:00Z";
    json!({"kind": "tests", "name": url, "at": at, "passed": true}).to_string().into_bytes()
}
