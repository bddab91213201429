//! Reads deliveries: those of one hook one after the other, in the order in which they
//! arrived, so that what is announced last is what arrived last. One that can't be
//! read now waits, and holds up no other; when it is read at last, its artifacts are
//! late only if the receiver gives them a place (`sequence`).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::artifact::Artifact;
use deployd_core::commit::Commit;
use deployd_core::config::{HookSpec, PluginKind, RegistryChoice};
use deployd_core::delivery::{
    DELIVERIES, DELIVERIES_DUE, DELIVERY_BODIES, DeliveryStatus, HookDelivery, KEPT_MAX, due,
};
use deployd_core::ports::{
    Batch, Call, CallLog, Delivery, IdempotencyKey, KeyRange, LogLevel, Order, PluginInfo, Put,
    RegistryAccess, Scope,
};
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::views::{Announced, PassedBy};
use deployd_core::{Digest, Fault, Name, Timestamp};
use futures::FutureExt;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{actor, due_until, kept};
use crate::records::{PLUGINS, decode, everything, get};
use crate::{Caller, Engine, EngineError, Idempotency, Inner};

/// Deliveries that are looked at in one round. More than a burst of one hook needs to
/// be busy, and few enough that the first one of another hook does not wait long.
const AT_ONCE: usize = 256;

/// Hooks whose deliveries are read at the same time.
const HOOKS_AT_ONCE: usize = 8;

/// Notes that are kept of a delivery: lines of the receiver's log among them.
const NOTES_MAX: usize = 50;

/// The longest sleep without looking again.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The wait after the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Begins to read.
pub(crate) fn start(engine: &Arc<Inner>) {
    let inner = engine.clone();
    engine.tasks.spawn(async move {
        while !inner.workers.is_stopping() {
            let sleep = match inner.read_due().await {
                Ok(sleep) => sleep,
                Err(error) => {
                    tracing::error!(%error, "reading deliveries pauses");
                    PAUSE
                }
            };
            tokio::select! {
                () = inner.reading.rung() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    });
}

impl Inner {
    /// Reads all that is due; how long until there is more.
    async fn read_due(self: &Arc<Self>) -> Result<Duration, EngineError> {
        let store = &self.ports.store;
        loop {
            let now = self.ports.clock.now();
            let page =
                store.scan(DELIVERIES_DUE, due_until(now), Order::Ascending, AT_ONCE).await?;
            if page.entries.is_empty() || self.workers.is_stopping() {
                let next = store.scan(DELIVERIES_DUE, everything(), Order::Ascending, 1).await?;
                let next = next.entries.first().and_then(|(key, _)| Some(due(key)?.0));
                let sleep = next.map_or(SLEEP_MAX, |at| Duration::from_millis(at.ms_since(now)));
                return Ok(sleep.min(SLEEP_MAX));
            }
            let mut hooks: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
            for (key, _) in page.entries {
                let Some((_, of)) = due(&key) else { continue };
                let hook = of.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
                hooks.entry(hook).or_default().push(key);
            }
            let hooks: Vec<Vec<Vec<u8>>> = hooks.into_values().collect();
            for some in hooks.chunks(HOOKS_AT_ONCE) {
                let all = some.iter().map(|keys| self.read_in_order(keys));
                for ended in join_all(all).await {
                    ended?;
                }
            }
        }
    }

    async fn read_in_order(self: &Arc<Self>, due_keys: &[Vec<u8>]) -> Result<(), EngineError> {
        for key in due_keys {
            if self.workers.is_stopping() {
                return Ok(());
            }
            self.read_one(key).await?;
        }
        match due_keys.first().and_then(|key| Some(due(key)?.1)) {
            Some(of) => self.drop_oldest(of).await,
            None => Ok(()),
        }
    }

    /// Drops the oldest deliveries of a hook beyond those that are kept, but for those
    /// that are still to be read. `of` is the key of any of its deliveries.
    async fn drop_oldest(&self, of: &[u8]) -> Result<(), EngineError> {
        let hook = of.split(|byte| *byte == 0).next().unwrap_or_default();
        let range = KeyRange::prefix(&[hook, &[0]].concat());
        let store = &self.ports.store;
        let all = store.scan(DELIVERIES, range, Order::Ascending, KEPT_MAX + AT_ONCE).await?;
        let mut puts = Vec::new();
        for (key, bytes) in all.entries.iter().take(all.entries.len().saturating_sub(KEPT_MAX)) {
            let delivery = decode::<HookDelivery>(DELIVERIES.0, bytes);
            if !delivery.is_ok_and(|delivery| delivery.status == DeliveryStatus::Pending) {
                let gone = |index| Put { index, key: key.clone(), value: None };
                puts.extend([DELIVERIES, DELIVERY_BODIES].map(gone));
            }
        }
        if !puts.is_empty() {
            store.append(Batch { puts, ..Batch::default() }).await?;
        }
        Ok(())
    }

    async fn read_one(self: &Arc<Self>, due_key: &[u8]) -> Result<(), EngineError> {
        let Some((_, key)) = due(due_key) else { return Ok(()) };
        let found = self.ports.store.get(DELIVERIES, key).await?;
        let known = found.and_then(|bytes| match decode::<HookDelivery>(DELIVERIES.0, &bytes) {
            Ok(delivery) => Some(delivery),
            Err(error) => {
                // One record that can't be read must not keep all others waiting.
                tracing::error!(%error, "a delivery is passed over");
                None
            }
        });
        let Some(before) = known.filter(|one| one.due_key().as_deref() == Some(due_key)) else {
            // Somebody had it read meanwhile, or it is gone.
            let put = Put { index: DELIVERIES_DUE, key: due_key.to_vec(), value: None };
            self.ports.store.append(Batch { puts: vec![put], ..Batch::default() }).await?;
            return Ok(());
        };
        // A delivery that makes us panic must not end the reading of all others.
        let reading = AssertUnwindSafe(self.read(before.clone())).catch_unwind();
        let after = match Box::pin(reading).await {
            Ok(after) => after,
            Err(_) => {
                tracing::error!(delivery = %before.id, "reading a delivery has panicked; please report it");
                let fault = Fault::bug("delivery-panicked", "deployd itself failed");
                before.clone().failed(fault, self.ports.clock.now())
            }
        };
        let puts = kept(Some(&before), &after)?;
        self.ports.store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }

    /// What comes of reading a delivery.
    async fn read(self: &Arc<Self>, mut delivery: HookDelivery) -> HookDelivery {
        let log = CallLog::default();
        let mut notes = Vec::new();
        let read = self.announce_all(&delivery, &log, &mut notes).await;
        let lines = log.take().into_iter().filter(|line| line.level != LogLevel::Debug);
        notes.extend(lines.map(|line| line.message));
        notes.truncate(NOTES_MAX);
        delivery.notes = notes;
        match read {
            Ok(announced) => {
                let passed = |one: &PassedBy| format!("{}: {}", one.environment, one.because);
                delivery.notes.extend(announced.passed.iter().map(passed));
                delivery.notes.truncate(NOTES_MAX);
                delivery.status = DeliveryStatus::Read;
                delivery.due = None;
                delivery.fault = None;
                delivery.attempts = delivery.attempts.saturating_add(1);
                delivery.artifacts = announced.artifacts;
                delivery.routes = announced.routes;
                delivery
            }
            Err(error) => {
                let fault = error.into_fault();
                tracing::warn!(hook = %delivery.hook, delivery = %delivery.id, %fault, "a delivery could not be read");
                delivery.failed(fault, self.ports.clock.now())
            }
        }
    }

    async fn announce_all(
        self: &Arc<Self>,
        delivery: &HookDelivery,
        log: &CallLog,
        notes: &mut Vec<String>,
    ) -> Result<Announced, EngineError> {
        let configuration = self.configuration().await?;
        let spec = configuration.hooks.get(&delivery.hook).ok_or_else(|| {
            let message = format!("there is no hook {} any more", delivery.hook);
            Fault::permanent("no-such-hook", message)
        })?;
        let told = self.decode_delivery(delivery, spec, log).await?;
        let mut artifacts = Vec::new();
        let mut commits = Vec::new();
        for (place, document) in told.into_iter().enumerate() {
            let told = match document.get("kind").and_then(Value::as_str) {
                Some("artifact") => Told::read(place, document)?,
                Some("commit") => {
                    commits.push(commit(place, document)?);
                    continue;
                }
                kind => {
                    let kind = kind.unwrap_or("nothing");
                    notes.push(format!("a document of kind {kind} is passed over"));
                    continue;
                }
            };
            if spec.takes(&told.repository) {
                artifacts.push(self.artifact(place, told, spec).await?);
            } else {
                let repository = &told.repository;
                notes.push(format!("{repository} is none of the repositories of this hook"));
            }
        }
        // Before images of theirs, which may be in the same delivery.
        self.keep_commits(&delivery.hook, commits, notes).await?;
        if artifacts.is_empty() {
            return Ok(Announced { artifacts, routes: Vec::new(), passed: Vec::new() });
        }
        // The same attempt again, after a crash, announces nothing a second time.
        let key = format!("delivery/{}/{}", delivery.id, delivery.replays);
        let digest = Digest::of(key.as_bytes());
        let caller = Caller {
            source: delivery.source.clone(),
            idempotency: Some(Idempotency { key: IdempotencyKey(key), digest }),
            ..Caller::new(actor(&delivery.hook))
        };
        let engine = Engine { inner: self.clone() };
        Box::pin(engine.announce(&caller, artifacts)).await
    }

    /// What the receiver makes of a delivery.
    async fn decode_delivery(
        &self,
        delivery: &HookDelivery,
        spec: &HookSpec,
        log: &CallLog,
    ) -> Result<Vec<Value>, EngineError> {
        let body = self.ports.store.get(DELIVERY_BODIES, &delivery.key()).await?;
        let body = body.ok_or_else(|| EngineError::bug("a delivery without its body"))?;
        let info = self.receiver(&spec.receiver.plugin).await?;
        self.need(&info.plugin).await?;
        let scope = Scope::default();
        let call = Call { plugin: &info.plugin, scope: &scope, log };
        let arrived = Delivery { headers: delivery.headers.clone(), body };
        let config = json!(spec.receiver.config);
        Ok(self.ports.receivers.decode(call, &arrived, &config).await?)
    }

    async fn receiver(&self, name: &Name) -> Result<PluginInfo, EngineError> {
        let key = name.as_str().as_bytes();
        let info: Option<PluginInfo> = get(&*self.ports.store, PLUGINS, key).await?;
        info.filter(|info| info.kind == PluginKind::Receiver).ok_or_else(|| {
            let message = format!("there is no receiver {name}");
            EngineError::from(Fault::transient("no-such-receiver", message))
        })
    }
}

/// An artifact as receivers write it: see `wit/README.md`. Fields of later versions
/// are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    repository: String,
    digest: Option<String>,
    tag: Option<String>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    commit: Option<String>,
    author: Option<String>,
    committed_at: Option<Timestamp>,
    build_url: Option<String>,
    sequence: Option<u64>,
}

impl Told {
    fn read(place: usize, document: Value) -> Result<Self, Fault> {
        serde_json::from_value(document).map_err(|error| invalid(place, &error.to_string()))
    }
}

/// A commit as receivers write it.
fn commit(place: usize, document: Value) -> Result<Commit, Fault> {
    let commit: Commit =
        serde_json::from_value(document).map_err(|error| invalid(place, &error.to_string()))?;
    match commit.fault() {
        None => Ok(commit),
        Some(message) => Err(invalid(place, &message)),
    }
}

/// A receiver that tells what nobody can read.
fn invalid(place: usize, message: &str) -> Fault {
    Fault::invalid("receiver-document-invalid", format!("document {place}: {message}"))
}

impl Inner {
    /// The artifact that was told of. What its tag means is asked now and never again:
    /// tags move.
    async fn artifact(
        &self,
        place: usize,
        told: Told,
        spec: &HookSpec,
    ) -> Result<Artifact, EngineError> {
        let digest = match (&told.digest, &told.tag) {
            (Some(digest), _) => {
                let expected = || format!("digest: found {digest:?}, expected sha256:...");
                digest.parse().map_err(|_| invalid(place, &expected()))?
            }
            (None, Some(tag)) => self.meaning(&told.repository, tag, &spec.registry).await?,
            (None, None) => return Err(invalid(place, "it has neither digest nor tag").into()),
        };
        let artifact = Artifact {
            digest,
            repository: told.repository,
            tag: told.tag,
            git_ref: told.git_ref,
            commit: told.commit,
            author: told.author,
            committed_at: told.committed_at,
            build_url: told.build_url,
            sequence: told.sequence,
            paths: Vec::new(),
        };
        match artifact.fault() {
            None => Ok(artifact),
            Some(message) => Err(invalid(place, &message).into()),
        }
    }

    /// What a tag means at its registry.
    async fn meaning(
        &self,
        repository: &str,
        tag: &str,
        choice: &RegistryChoice,
    ) -> Result<Digest, EngineError> {
        let mut access = RegistryAccess {
            credentials: None,
            private_address: choice.private_address,
            plain_http: choice.plain_http,
        };
        if let Some(name) = &choice.secret {
            let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_string() };
            access.credentials = Some(self.ports.vault.get(&secret).await?);
        }
        Ok(self.ports.registries.digest(repository, tag, &access).await?)
    }
}
