//! Drives the state machine of `deployd-core`: appends what is decided, performs
//! what should happen, appends what came of it. Nothing is decided here.
//!
//! ```text
//!   requests ──► journal ──► store            (events, projections, outbox: one transaction)
//!                   │
//!                   ▼
//!   worker per environment: next(state, now) ──► effects ──► plugins, clusters
//!                   ▲                               │
//!                   └────────── events ◄────────────┘
//!
//!   outbox ──► notifiers ──► receivers of webhooks
//! ```

mod access;
mod affected;
mod aftercare;
mod answers;
mod approvals;
mod attestations;
mod audit;
mod calendar;
mod clocks;
mod cloning;
mod compare;
mod configuration;
mod debug;
mod details;
mod dora;
mod drafts;
mod drift;
mod effects;
mod ended;
mod environments;
mod error;
mod exact;
mod expiry;
mod export;
mod flow;
mod found;
mod hooks;
mod import;
mod imported;
mod intake;
mod inventory;
mod journal;
mod keyed;
mod lending;
mod logs;
mod outbox;
mod pinned;
mod planner;
mod pods;
mod policies;
mod quarantine;
mod recorded;
mod records;
mod references;
mod rehearsing;
mod replay;
mod report;
mod requests;
mod resources;
mod rights;
mod rollback;
mod rollout;
mod sboms;
mod secrets;
mod sessions;
mod sets;
mod signature;
mod slots;
mod steering;
mod subjects;
mod tasks;
mod teardown;
mod unused;
mod watch;
mod worker;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deployd_core::journal::{EventRecord, Head, Source, StreamHead, StreamId, Version};
use deployd_core::ports::{
    Attestations, Checks, Clock, Cluster, Drivers, FeedItem, FeedPosition, Forges, Issuers,
    Notifiers, PluginCatalog, Policies, Random, Receivers, References, Registries, Rehearsals,
    Repositories, Sender, Store, Strategies, Templaters, Vault, VaultAdmin, VerifyReport, WorkerId,
};
use deployd_core::{Actor, Digest, ports::IdempotencyKey};

pub use debug::DEBUG_LINES_MAX;
pub use dora::DoraFilter;
pub use error::{EngineError, Problem};
pub use export::Exported;
pub use hooks::Arriving;
pub use rights::{Bearer, Rights};
pub use slots::SlotFilter;
pub use subjects::Resolved;

/// What the engine works with.
#[derive(Clone)]
pub struct Ports {
    /// Keeps everything.
    pub store: Arc<dyn Store>,
    /// Keeps secrets.
    pub vault: Arc<dyn Vault>,
    /// Links secrets, and changes the keys that encrypt them.
    pub vault_admin: Arc<dyn VaultAdmin>,
    /// Loads plugins.
    pub catalog: Arc<dyn PluginCatalog>,
    /// Calls drivers.
    pub drivers: Arc<dyn Drivers>,
    /// Calls templaters.
    pub templaters: Arc<dyn Templaters>,
    /// Calls strategies.
    pub strategies: Arc<dyn Strategies>,
    /// Calls checks.
    pub checks: Arc<dyn Checks>,
    /// Calls notifiers.
    pub notifiers: Arc<dyn Notifiers>,
    /// Calls receivers.
    pub receivers: Arc<dyn Receivers>,
    /// Calls policies.
    pub policies: Arc<dyn Policies>,
    /// Verifies what issuers of identities have signed.
    pub issuers: Arc<dyn Issuers>,
    /// Reads and verifies what others attest of images.
    pub attestations: Arc<dyn Attestations>,
    /// Asks registries what tags mean.
    pub registries: Arc<dyn Registries>,
    /// Fetches what is attached by reference.
    pub references: Arc<dyn References>,
    /// Reads and writes repositories that environments are pulled from.
    pub repositories: Arc<dyn Repositories>,
    /// Opens pull requests.
    pub forges: Arc<dyn Forges>,
    /// Applies to clusters.
    pub cluster: Arc<dyn Cluster>,
    /// Sends to receivers.
    pub sender: Arc<dyn Sender>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub random: Arc<dyn Random>,
    /// Rehearses rollouts.
    pub rehearsals: Arc<dyn Rehearsals>,
}

/// Who asks, and how a repeat of the request is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// The groups that its issuer says it is in, each with the issuer's name before it;
    /// see [`Engine::groups_of`] for all of them.
    pub groups: BTreeSet<String>,
    /// From where; none for what deployd does by itself.
    pub source: Option<Source>,
    /// How a repeat is recognised; without it, a repeat is another request.
    pub idempotency: Option<Idempotency>,
}

impl Caller {
    /// A caller whose requests are each a request of its own.
    pub fn new(actor: Actor) -> Self {
        Self { actor, groups: BTreeSet::new(), source: None, idempotency: None }
    }
}

/// A key that a caller chose, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key. Keys of different callers never meet: their actor is part of it.
    pub key: IdempotencyKey,
    /// Of the request: the same key with another digest is refused.
    pub digest: Digest,
}

/// What has happened since the start, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Deployments accepted.
    pub accepted: u64,
    /// Deployments that ended well.
    pub succeeded: u64,
    /// Deployments that ended otherwise.
    pub not_succeeded: u64,
    /// Steps performed, repeats included.
    pub steps: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Attempts to deliver that failed.
    pub delivery_failures: u64,
    /// Environments that are being worked on.
    pub busy_environments: u64,
    /// Environments whose state is in memory: those that are being worked on, and
    /// for a moment those in which something has just happened.
    pub remembered_environments: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    pub(crate) not_succeeded: AtomicU64,
    pub(crate) steps: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) delivery_failures: AtomicU64,
}

impl Counts {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The handle: cheap to clone, and all there is to call.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) ports: Ports,
    pub(crate) worker: WorkerId,
    pub(crate) counts: Counts,
    pub(crate) logs: logs::Sequences,
    /// Deployments that have ended since the start: now and then, details of old
    /// ones are dropped.
    pub(crate) packed: AtomicU64,
    /// From when their age is counted back.
    pub(crate) horizon: std::sync::Mutex<details::Horizon>,
    pub(crate) visitors: std::sync::Mutex<pinned::Visitors>,
    pub(crate) workers: worker::Workers,
    /// Rung when there is something to deliver.
    pub(crate) outbox: tasks::Bell,
    pub(crate) drift: drift::Turns,
    pub(crate) tasks: tasks::Tasks,
    pub(crate) changes: watch::Changes,
    pub(crate) counts_of_pods: pods::Latest,
    pub(crate) environments: environments::Remembered,
    pub(crate) configured: configuration::Configured,
    /// Rung when documents have changed, and at the end.
    pub(crate) expiry: tasks::Bell,
    pub(crate) aftercare: tasks::Bell,
    /// Rung when a deployment has ended, when documents have changed, and at the end.
    pub(crate) flow: tasks::Bell,
    pub(crate) arrivals: hooks::Arrivals,
    /// Rung when a delivery has arrived.
    pub(crate) reading: tasks::Bell,
    /// What URLs begin with by which others reach this daemon.
    pub(crate) reached_at: std::sync::OnceLock<String>,
    pub(crate) turns: outbox::Turns,
}

impl Engine {
    /// An engine that does nothing yet: see [`Engine::start`].
    pub fn new(ports: Ports) -> Self {
        // One process has the embedded store, so its claims are always its own:
        // a start after a crash need not wait for the claims of the one before.
        let worker = WorkerId("embedded".to_owned());
        Self {
            inner: Arc::new(Inner {
                ports,
                worker,
                counts: Counts::default(),
                logs: logs::Sequences::default(),
                packed: AtomicU64::default(),
                horizon: std::sync::Mutex::default(),
                visitors: std::sync::Mutex::default(),
                workers: worker::Workers::default(),
                outbox: tasks::Bell::default(),
                drift: drift::Turns::default(),
                tasks: tasks::Tasks::default(),
                changes: watch::Changes::default(),
                counts_of_pods: pods::Latest::default(),
                environments: environments::Remembered::default(),
                configured: configuration::Configured::default(),
                expiry: tasks::Bell::default(),
                aftercare: tasks::Bell::default(),
                flow: tasks::Bell::default(),
                arrivals: hooks::Arrivals::default(),
                reading: tasks::Bell::default(),
                reached_at: std::sync::OnceLock::new(),
                turns: outbox::Turns::default(),
            }),
        }
    }

    /// Loads plugins, and goes on with what the last process left. Plugins that
    /// can't be loaded do not keep the engine from starting: what needs them
    /// fails, and says why.
    pub async fn start(&self) -> Result<(), EngineError> {
        self.inner.load_plugins().await?;
        worker::start(&self.inner).await?;
        outbox::start(&self.inner);
        expiry::start(&self.inner);
        drift::start(&self.inner);
        aftercare::start(&self.inner);
        flow::start(&self.inner);
        hooks::start(&self.inner);
        Ok(())
    }

    /// Stops: nothing new begins, and what runs ends within a bound or is
    /// resumed by the next start. Nothing of the engine runs afterwards.
    pub async fn stop(&self) {
        worker::stop(&self.inner).await;
    }

    /// Ends everything at once, wherever it is, as the end of the process would.
    /// The next start resumes it.
    pub fn abort(&self) {
        drop(self.inner.tasks.take());
    }

    /// What is not as it should be for serving requests; empty when all is well.
    pub async fn not_ready(&self) -> Vec<String> {
        let stream = StreamId::configuration();
        match self.inner.ports.store.head(&stream).await {
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("store: {error}")],
        }
    }

    /// What has happened since the start.
    pub fn counters(&self) -> Counters {
        let counts = &self.inner.counts;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            accepted: get(&counts.accepted),
            succeeded: get(&counts.succeeded),
            not_succeeded: get(&counts.not_succeeded),
            steps: get(&counts.steps),
            delivered: get(&counts.delivered),
            delivery_failures: get(&counts.delivery_failures),
            busy_environments: self.inner.workers.busy(),
            remembered_environments: self.inner.environments.count(),
        }
    }

    /// What time it is, by the clock that the records are written by.
    pub fn now(&self) -> deployd_core::Timestamp {
        self.inner.ports.clock.now()
    }

    /// At most `max` events of the journal after a position.
    pub async fn events(
        &self,
        after: FeedPosition,
        max: usize,
    ) -> Result<Vec<FeedItem>, EngineError> {
        Ok(self.inner.ports.store.feed(after, max).await?)
    }

    /// At most `max` events of one stream, from a version on and up to another.
    pub async fn stream(
        &self,
        stream: &StreamId,
        (from, to): (Version, Option<Version>),
        max: usize,
    ) -> Result<Vec<EventRecord>, EngineError> {
        self.stream_head(stream).await?;
        // Versions count from 1.
        let from = from.max(Version(1));
        let mut events = self.inner.ports.store.read(stream, from, max).await?;
        if let Some(to) = to {
            events.retain(|event| event.version <= to);
        }
        Ok(events)
    }

    /// Where a stream stands that has events.
    pub async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, EngineError> {
        let none = || EngineError::not_found(format!("stream {stream} in the journal"));
        if !stream.is_possible() {
            return Err(none());
        }
        let Head { version, hash } = self.inner.ports.store.head(stream).await?;
        if version == Version(0) {
            return Err(none());
        }
        Ok(StreamHead { stream: stream.clone(), version, hash })
    }

    /// Reads the whole journal and says what is wrong with it.
    pub async fn verify(&self, caller: &Caller) -> Result<VerifyReport, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let report = self.inner.ports.store.verify().await?;
        // What was found is told also where there is no room to keep it:
        // looking again does no harm.
        if let Err(error) = self.inner.keep_answer(caller, &report).await {
            tracing::warn!(%error, "the answer of a verification could not be kept for a repeat");
        }
        Ok(report)
    }

    /// Writes a copy of everything to a new file, while everything goes on.
    pub async fn backup(&self, caller: &Caller, to: &Path) -> Result<(), EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        self.inner.ports.store.backup(to).await?;
        self.inner.keep_answer(caller, &()).await
    }
}
