//! What outlives the engine, and how tests speak with it.

use deployd_core::steering::Steering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use deployd_core::deployment::{DeploymentRecord, EnvironmentState, Outcome};
use deployd_core::flow::ReleaseRequest;
use deployd_core::journal::EventRecord;
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{FeedPosition, IdempotencyKey, Staged, Store, StoreError};
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::views::{Announced, DeployRequest};
use deployd_core::{Actor, DeploymentId, Digest, EnvironmentId, Timestamp};
use deployd_engine::{Caller, Engine, EngineError, Idempotency};
use deployd_store::MemoryStore;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::documents::{self, DEVELOPMENT};
use crate::fakes::Instance;
use crate::fakes::cluster::ClusterWorld;
use crate::fakes::drivers::DriverWorld;
use crate::fakes::environment::{Chance, Receivers};
use crate::fakes::life::Life;
use crate::fakes::repositories::GitWorld;
use crate::fakes::strikes::Strikes;
use crate::history::{Seen, Trace};

/// 2026-11-21, more or less: time begins here.
const BEGINNING_MS: u64 = 1_795_230_000_000;

/// What messages are signed with: 24 bytes.
pub const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct World {
    began: Instant,
    pub store: MemoryStore,
    /// What the next writes are answered with; none lets one pass.
    pub store_faults: Mutex<VecDeque<Option<StoreError>>>,
    pub vault: Mutex<BTreeMap<SecretRef, Vec<u8>>>,
    /// Components that are kept.
    pub components: Mutex<BTreeSet<Digest>>,
    pub drivers: Mutex<DriverWorld>,
    pub cluster: Mutex<ClusterWorld>,
    pub git: Mutex<GitWorld>,
    pub receivers: Mutex<Receivers>,
    pub chance: Mutex<Chance>,
    /// What somebody else does right before the next call of a name.
    pub meanwhile: Mutex<Option<(&'static str, BoxFuture<'static, ()>)>>,
    /// Content that can't be read any more.
    pub damaged: Mutex<BTreeSet<Digest>>,
    pub strikes: Mutex<Strikes>,
    /// What checks were asked, in order.
    pub asked_of_checks: Mutex<Vec<Value>>,
    /// What was rehearsed.
    pub staged: Mutex<Vec<Staged>>,
    /// What could be seen from outside, in its order.
    pub trace: Mutex<Trace>,
    /// How far the clock on the wall is off, in milliseconds.
    pub clock_off_ms: AtomicI64,
}

impl World {
    /// A world where everything works.
    pub fn new(seed: u64) -> Arc<Self> {
        let mut drivers = DriverWorld::default();
        let cluster = drivers.script("k8s-cluster");
        cluster.outputs = json!({"name": "main"});
        cluster.secrets = vec!["kubeconfig"];
        drivers.script("k8s-namespace").outputs = json!({"name": "shop-development"});
        let postgres = drivers.script("postgres");
        postgres.outputs = json!({"host": "db.test"});
        postgres.secrets = vec!["password"];
        postgres.manifests = vec![json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        })];
        drivers.script("dns").outputs = json!({"host": "shop.test"});
        drivers.script("service-port").outputs = json!({"name": "backend:8080"});
        let signing = SecretRef { owner: OPERATOR.to_owned(), name: "signing".to_owned() };
        Arc::new(Self {
            began: Instant::now(),
            store: MemoryStore::new(),
            store_faults: Mutex::default(),
            vault: Mutex::new(BTreeMap::from([(signing, SIGNING_SECRET.as_bytes().to_vec())])),
            components: Mutex::default(),
            drivers: Mutex::new(drivers),
            cluster: Mutex::default(),
            git: Mutex::default(),
            receivers: Mutex::default(),
            chance: Mutex::new(Chance::new(seed)),
            meanwhile: Mutex::default(),
            damaged: Mutex::default(),
            strikes: Mutex::default(),
            asked_of_checks: Mutex::default(),
            staged: Mutex::default(),
            trace: Mutex::default(),
            clock_off_ms: AtomicI64::new(0),
        })
    }

    pub fn now(&self) -> Timestamp {
        let right = BEGINNING_MS + self.began.elapsed().as_millis() as u64;
        Timestamp(right.saturating_add_signed(self.clock_off_ms.load(Ordering::Relaxed)))
    }

    /// Has somebody else do something right before the next call of a name.
    pub fn before(&self, name: &'static str, what: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((name, Box::pin(what)));
    }

    /// A call is about to be done: what somebody else does before it.
    pub async fn meanwhile(&self, name: &str) {
        let of_it = self.meanwhile.lock().unwrap().take_if(|(before, _)| *before == name);
        if let Some((_, what)) = of_it {
            what.await;
        }
    }

    /// Notes what can be seen from outside.
    pub fn saw(&self, seen: Seen) {
        self.trace.lock().unwrap().entries.push(seen);
    }

    /// Notes what was committed since the last time.
    pub async fn committed(&self, messages: Vec<MessageId>) {
        let after = self.trace.lock().unwrap().position;
        let items = self.store.feed(after, usize::MAX).await.unwrap();
        let mut trace = self.trace.lock().unwrap();
        if let Some(last) = items.last() {
            trace.position = last.position;
        }
        let records = items.into_iter().map(|item| item.record).collect();
        trace.entries.push(Seen::Committed { records, messages });
    }

    pub fn drivers(&self) -> MutexGuard<'_, DriverWorld> {
        self.drivers.lock().unwrap()
    }

    pub fn cluster(&self) -> MutexGuard<'_, ClusterWorld> {
        self.cluster.lock().unwrap()
    }

    pub fn git(&self) -> MutexGuard<'_, GitWorld> {
        self.git.lock().unwrap()
    }

    pub fn receivers(&self) -> MutexGuard<'_, Receivers> {
        self.receivers.lock().unwrap()
    }

    /// A process of the engine that has not begun.
    pub fn engine(self: &Arc<Self>, life: &Life) -> Engine {
        let instance = Instance { world: self.clone(), life: life.clone(), loaded: Arc::default() };
        Engine::new(instance.ports())
    }

    /// All events of all streams.
    pub async fn events(&self) -> Vec<EventRecord> {
        let feed = self.store.feed(FeedPosition(0), usize::MAX).await.unwrap();
        feed.into_iter().map(|item| item.record).collect()
    }

    /// Content that something names.
    pub async fn object(&self, digest: Digest) -> Vec<u8> {
        self.store.object(digest).await.unwrap().expect("content that is named is there")
    }

    pub async fn messages(&self, status: Option<MessageStatus>) -> Vec<Message> {
        self.store.outbox_list(status, None, usize::MAX).await.unwrap()
    }
}

/// A world with a running engine and the shop in it.
pub struct Stage {
    pub world: Arc<World>,
    pub engine: Engine,
}

pub fn caller() -> Caller {
    Caller::new(Actor("ada".to_owned()))
}

/// A caller whose request can be repeated.
pub fn keyed(key: &str, body: &str) -> Caller {
    let idempotency =
        Idempotency { key: IdempotencyKey(key.to_owned()), digest: Digest::of(body.as_bytes()) };
    Caller { idempotency: Some(idempotency), ..caller() }
}

pub fn development() -> EnvironmentId {
    DEVELOPMENT.parse().unwrap()
}

impl Stage {
    pub async fn new() -> Self {
        Self::of(World::new(1)).await
    }

    pub async fn of(world: Arc<World>) -> Self {
        let engine = world.engine(&Life::long());
        engine.start().await.unwrap();
        let stage = Self { world, engine };
        stage.apply(documents::platform()).await;
        stage.apply(documents::shop("shop")).await;
        stage
    }

    pub async fn apply(&self, documents: Vec<deployd_core::config::Document>) {
        self.engine.apply(&caller(), documents, false).await.unwrap();
    }

    /// Announces a version of both workloads; returns the deployment.
    pub async fn announce(&self, version: &str) -> DeploymentId {
        let artifacts = ["frontend", "backend"].map(|w| documents::artifact(w, version));
        let announced = self.engine.announce(&caller(), artifacts.to_vec()).await.unwrap();
        deployment_of(&announced)
    }

    /// Has a rollout that is paused go on.
    pub async fn resume(&self, id: &DeploymentId) -> Result<DeploymentRecord, EngineError> {
        self.engine.steer(&caller(), id, Steering::Resume, None).await
    }

    /// Has what comes by itself go on where somebody went back.
    pub async fn release(&self) {
        let request = ReleaseRequest::default();
        self.engine.release(&caller(), &development(), request).await.unwrap();
    }

    /// Deploys a version and waits for its end.
    pub async fn deployed(&self, version: &str) -> DeploymentRecord {
        let id = self.announce(version).await;
        self.end_of(&id).await
    }

    /// Asks for a deployment of what is configured.
    pub async fn deploy(&self) -> DeploymentId {
        self.engine.deploy(&caller(), request()).await.unwrap().id
    }

    pub async fn end_of(&self, id: &DeploymentId) -> DeploymentRecord {
        end_of(&self.engine, id).await
    }

    pub async fn state(&self) -> EnvironmentState {
        self.engine.environment(&development()).await.unwrap().state
    }

    /// Waits until no message is pending.
    pub async fn all_told(&self) {
        for _ in 0..10_000 {
            if self.world.messages(Some(MessageStatus::Pending)).await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        panic!("messages stay pending");
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        for _ in 0..100_000 {
            if holds(&self.world) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }
}

/// A deployment of what is configured to the shop's development.
pub fn request() -> DeployRequest {
    DeployRequest { environment: Some(development()), ..DeployRequest::default() }
}

pub fn deployment_of(announced: &Announced) -> DeploymentId {
    announced.routes[0].deployment.clone().expect("held")
}

/// Waits for the end of a deployment, for a day at most.
pub async fn end_of(engine: &Engine, id: &DeploymentId) -> DeploymentRecord {
    let day = Duration::from_secs(24 * 3_600);
    let ended = async {
        let mut pause = Duration::from_millis(100);
        loop {
            let record = engine.deployment(id).await.unwrap();
            if record.outcome.is_some() {
                return record;
            }
            tokio::time::sleep(pause).await;
            // Time costs nothing, looking does.
            pause = (pause * 5 / 4).min(Duration::from_secs(60));
        }
    };
    match tokio::time::timeout(day, ended).await {
        Ok(record) => record,
        Err(_) => panic!("it does not end: {:#?}", engine.deployment(id).await.unwrap()),
    }
}

pub fn assert_succeeded(record: &DeploymentRecord) {
    assert_eq!(record.outcome, Some(Outcome::Succeeded), "{:#?}", record.fault);
}
