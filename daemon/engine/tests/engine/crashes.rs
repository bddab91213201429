//! The canonical deployments, with something going wrong in each of their calls:
//! the process ends before or after it, it fails, or nobody knows what came of
//! it. Once, and twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::config::{Document, WhenUnused};
use deployd_core::deployment::Outcome;
use deployd_core::outbox::MessageStatus;
use deployd_core::views::TeardownRequest;
use deployd_core::{DeploymentId, Fault};
use deployd_engine::{Caller, Engine, EngineError};
use serde_json::json;

use crate::checks::{check, index};
use crate::documents::{self, artifact, definition, image};
use crate::fakes::life::Life;
use crate::fakes::strikes::Strike;
use crate::history::Seen;
use crate::world::{Stage, World, assert_succeeded, deployment_of, development, keyed};

/// Somebody who repeats what was not answered, with the same key.
pub struct Client {
    world: Arc<World>,
    pub engine: Engine,
    pub life: Life,
    /// Where lives have ended.
    ends: Vec<String>,
    /// Where the next lives end.
    crashes: Vec<usize>,
}

impl Client {
    pub async fn new(world: Arc<World>, mut crashes: Vec<usize>) -> Self {
        crashes.reverse();
        let (engine, life) = (world.engine(&Life::long()), Life::long());
        life.kill();
        let mut client = Self { world, engine, life, ends: Vec::new(), crashes };
        client.restart().await;
        client.ends.remove(0);
        client
    }

    /// A new process, after the one before has ended with all it did.
    async fn restart(&mut self) {
        loop {
            self.ends.push(self.life.last());
            self.engine.abort();
            self.life = self.crashes.pop().map_or_else(Life::long, Life::ending_at);
            self.engine = self.world.engine(&self.life);
            let (engine, life) = (self.engine.clone(), self.life.clone());
            tokio::select! {
                biased;
                started = engine.start() => {
                    if started.is_ok() {
                        return;
                    }
                }
                () = life.died() => {}
            }
        }
    }

    /// Asks until there is an answer.
    async fn ask<T, F: Future<Output = T>>(&mut self, ask: impl Fn(Engine) -> F) -> T {
        loop {
            let life = self.life.clone();
            tokio::select! {
                biased;
                answer = ask(self.engine.clone()) => return answer,
                () = life.died() => self.restart().await,
            }
        }
    }

    /// Asks until it is done; a repeat carries the same key.
    pub async fn done<T, F: Future<Output = Result<T, EngineError>>>(
        &mut self,
        key: &str,
        ask: impl Fn(Engine, Caller) -> F,
    ) -> T {
        for _ in 0..100 {
            let caller = keyed(key, key);
            match self.ask(|engine| ask(engine, caller.clone())).await {
                Ok(answer) => return answer,
                Err(EngineError::KeyReuse) => panic!("I2: a key is reused"),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        panic!("{key}: it can't be asked for");
    }

    pub async fn announce(&mut self, version: &str) -> DeploymentId {
        let artifacts = ["frontend", "backend"].map(|w| artifact(w, version)).to_vec();
        let announced = self
            .done(version, |engine, caller| {
                let artifacts = artifacts.clone();
                async move { engine.announce(&caller, artifacts).await }
            })
            .await;
        let deployment = deployment_of(&announced);
        self.world.saw(Seen::Acknowledged { deployments: vec![deployment.0.clone()] });
        deployment
    }

    async fn take_away(&mut self) -> DeploymentId {
        let record = self
            .done("away", |engine, caller| async move {
                Box::pin(engine.teardown(&caller, &development(), TeardownRequest::default())).await
            })
            .await;
        self.world.saw(Seen::Acknowledged { deployments: vec![record.id.0.clone()] });
        record.id
    }

    pub async fn outcome(&mut self, id: &DeploymentId) -> Outcome {
        let id = id.clone();
        self.ask(|engine| {
            let id = id.clone();
            async move { outcome_of(&engine, &id).await }
        })
        .await
    }

    pub async fn all_told(&mut self) {
        let world = self.world.clone();
        self.ask(|engine| {
            let stage = Stage { world: world.clone(), engine };
            async move { stage.all_told().await }
        })
        .await;
    }
}

/// A world in which the shop is configured, and whose process has ended.
async fn configured() -> Arc<World> {
    let stage = Stage::new().await;
    stage.engine.stop().await;
    {
        let mut drivers = stage.world.drivers();
        drivers.script("postgres").pending = 1;
        drivers.script("dns").transient = 1;
    }
    stage.world.cluster().broken.insert(image("frontend", "bad"));
    stage.world
}

/// Waits for the end of a deployment, however often it can't be read.
async fn outcome_of(engine: &Engine, id: &DeploymentId) -> Outcome {
    let mut pause = Duration::from_millis(100);
    for _ in 0..1_000 {
        if let Ok(record) = engine.deployment(id).await
            && let Some(outcome) = record.outcome
        {
            return outcome;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(Duration::from_secs(60));
    }
    panic!("I7: {id} does not end");
}

/// What a run of the canonical deployments came to.
struct Ran {
    world: Arc<World>,
    /// How each of the three has ended.
    outcomes: [Outcome; 3],
    /// Why.
    faults: Vec<Fault>,
    /// Points that the last life has passed.
    points: usize,
    /// Where those before it ended.
    ends: Vec<String>,
}

impl Ran {
    /// Whether everything came as it does when nothing goes wrong.
    fn is_as_it_should_be(&self) -> bool {
        self.outcomes == [Outcome::Succeeded, Outcome::RolledBack, Outcome::Succeeded]
    }

    /// All that holds then.
    async fn check_all(&self) {
        assert!(self.is_as_it_should_be(), "{:?}", self.outcomes);
        let world = &self.world;
        assert_eq!(index(world, "images").await.len(), 2);
        let delivered = world.messages(Some(MessageStatus::Delivered)).await;
        assert_eq!(delivered.len(), 12, "four notices for each deployment");
        let cluster = world.cluster();
        let backend = cluster.object("Deployment", "backend").unwrap();
        assert_eq!(backend["spec"]["images"][0], image("backend", "3"), "what was asked for runs");
        assert!(cluster.object("StatefulSet", "db").is_none(), "and nothing that nobody wants");
        // A keyed effect happens once, however often it is asked for.
        let drivers = world.drivers();
        assert_eq!(drivers.done.len(), 14, "five resources, twice, and four");
        assert_eq!(drivers.there.len(), 4);
    }
}

/// The canonical deployments: a version that runs; one that does not and is
/// rolled back; one without the database, which is taken away.
async fn demo(crashes: Vec<usize>, strikes: &[(usize, Strike)]) -> Ran {
    let world = configured().await;
    {
        let mut planned = world.strikes.lock().unwrap();
        planned.calls.clear();
        planned.at = strikes.iter().copied().collect();
    }
    let mut client = Client::new(world.clone(), crashes).await;
    let good = client.announce("1").await;
    let first = client.outcome(&good).await;
    let bad = client.announce("bad").await;
    let second = client.outcome(&bad).await;
    let without = without_database();
    client
        .done("without", |engine, caller| {
            let without = without.clone();
            async move { engine.apply(&caller, without, false).await }
        })
        .await;
    let last = client.announce("3").await;
    let third = client.outcome(&last).await;
    client.all_told().await;
    client.engine.stop().await;
    world.strikes.lock().unwrap().at.clear();

    let documents: Vec<_> =
        documents::platform().into_iter().chain(documents::shop("shop")).collect();
    let replayed = check(&world, &documents).await;
    assert_eq!(replayed[0].records.len(), 3, "I2: asked twice is once");
    assert!(replayed[0].id == development());
    Ran {
        world,
        outcomes: [first, second, third],
        faults: replayed[0].records.values().filter_map(|record| record.fault.clone()).collect(),
        points: client.life.passed(),
        ends: client.ends.clone(),
    }
}

/// The canonical deletion: of an environment in which two versions ran, the
/// second without the database, which is still there.
async fn deletion(crashes: Vec<usize>, strikes: &[(usize, Strike)]) -> Deleted {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![documents::workload("shop", "backend", json!({}), json!({}))]).await;
    assert_succeeded(&stage.deployed("2").await);
    stage.all_told().await;
    stage.engine.stop().await;
    let world = stage.world;
    {
        let mut planned = world.strikes.lock().unwrap();
        planned.calls.clear();
        planned.at = strikes.iter().copied().collect();
    }
    let mut client = Client::new(world.clone(), crashes).await;
    let id = Box::pin(client.take_away()).await;
    let outcome = client.outcome(&id).await;
    client.all_told().await;
    client.engine.stop().await;
    world.strikes.lock().unwrap().at.clear();
    let documents: Vec<_> =
        documents::platform().into_iter().chain(documents::shop("shop")).collect();
    let replayed = check(&world, &documents).await;
    assert_eq!(replayed[0].records.len(), 3, "I2: asked twice is once, and nothing is lost");
    let fault = replayed[0].records[&id].fault.clone();
    Deleted { world, outcome, fault, points: client.life.passed(), ends: client.ends.clone() }
}

/// What a run of the canonical deletion came to.
struct Deleted {
    world: Arc<World>,
    outcome: Outcome,
    fault: Option<Fault>,
    points: usize,
    ends: Vec<String>,
}

impl Deleted {
    /// The environment is gone, and nothing that it had is left anywhere; or it
    /// is still there, and knows of everything that is.
    async fn check_whole(&self) {
        let world = &self.world;
        let there: Vec<String> = world.drivers().there.keys().cloned().collect();
        let known = index(world, "resources").await;
        for uid in &there {
            let is_known = known.keys().any(|key| key.ends_with(uid.as_bytes()));
            assert!(is_known, "I8: an orphan: {uid}");
        }
        let document = b"Environment\0shop\0development".to_vec();
        let is_there = index(world, "documents").await.contains_key(&document);
        let succeeded = self.outcome == Outcome::Succeeded;
        assert_eq!(is_there, !succeeded, "I8: it is gone when all of it is: {:?}", self.fault);
    }

    /// All that holds when nothing goes wrong for good.
    async fn check_all(&self) {
        assert_eq!(self.outcome, Outcome::Succeeded, "{:?}", self.fault);
        self.check_whole().await;
        let world = &self.world;
        assert!(world.drivers().there.is_empty(), "I8: {:?}", world.drivers().there);
        assert!(world.cluster().objects.is_empty(), "I8: {:?}", world.cluster().names());
        assert_eq!(world.vault.lock().unwrap().len(), 1, "I8: only the operator's own secret");
        assert_eq!(index(world, "resources").await.len(), 0);
    }
}

/// The backend needs no database any more, and what nobody needs is destroyed.
fn without_database() -> Vec<Document> {
    let inputs = json!({"namespace": "${resources.k8s-namespace.name}"});
    let mut definition = definition("postgres", "postgres", "postgres", inputs);
    if let Document::ResourceDefinition(document) = &mut definition {
        document.spec.when_unused = WhenUnused::Destroy;
    }
    vec![definition, documents::workload("shop", "backend", json!({}), json!({}))]
}

/// What could be seen of them when nothing goes wrong.
pub fn canonical() -> Vec<Seen> {
    run(async { demo(Vec::new(), &[]).await.world.trace.lock().unwrap().entries.clone() })
}

/// Runs a future in a world of its own, whose time is its own.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Runs the canonical deployments with something going wrong; a failure says
/// what it was.
fn with(crashes: Vec<usize>, strikes: &[(usize, Strike)]) -> Ran {
    let what = format!("crashes at {crashes:?}, {strikes:?}");
    let ran = std::panic::catch_unwind(|| run(demo(crashes, strikes)));
    ran.unwrap_or_else(|_| panic!("{what}"))
}

/// Names of the calls of the canonical deployments.
fn calls() -> Vec<String> {
    let ran = with(Vec::new(), &[]);
    ran.world.strikes.lock().unwrap().calls.clone()
}

/// Whether there is time for everything: `DEPLOYD_LONG=1`.
fn long() -> bool {
    std::env::var_os("DEPLOYD_LONG").is_some()
}

#[test]
fn i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise() {
    run(with(Vec::new(), &[]).check_all());
}

#[test]
fn i5_i6_i11_a_crash_before_and_after_each_kind_of_call_is_resumed() {
    let kinds: BTreeMap<String, usize> = calls().into_iter().zip(1..).collect();
    for place in kinds.into_values() {
        for strike in [Strike::CrashBefore, Strike::CrashAfter] {
            run(with(Vec::new(), &[(place, strike)]).check_all());
        }
    }
}

#[test]
fn i7_a_crash_at_any_point_is_resumed() {
    let ran = with(Vec::new(), &[]);
    let points = ran.points;
    assert_eq!(ran.ends, [""; 0]);
    assert!(points > 300, "{points}");
    let mut places = BTreeMap::<String, usize>::new();
    for point in 1..=points {
        let ran = with(vec![point], &[]);
        assert_eq!(ran.ends.len(), 1, "point {point}");
        run(ran.check_all());
        *places.entry(ran.ends[0].clone()).or_default() += 1;
    }
    println!("crashed at each of {points} points, of {} kinds: {places:#?}", places.len());
}

/// Runs the canonical deletion with something going wrong.
fn deleted(crashes: Vec<usize>, strikes: &[(usize, Strike)]) -> Deleted {
    let what = format!("crashes at {crashes:?}, {strikes:?}");
    let ran = std::panic::catch_unwind(|| run(deletion(crashes, strikes)));
    ran.unwrap_or_else(|_| panic!("{what}"))
}

#[test]
fn i7_i8_a_crash_at_any_point_of_a_deletion_leaves_no_orphans() {
    let points = deleted(Vec::new(), &[]).points;
    assert!(points > 50, "{points}");
    for point in 1..=points {
        let ran = deleted(vec![point], &[]);
        assert_eq!(ran.ends.len(), 1, "point {point}");
        run(ran.check_all());
    }
    let mut twice = 0;
    for first in (5..points).step_by(if long() { 1 } else { 17 }) {
        for second in [1, 3, 8, 21] {
            run(deleted(vec![first, second], &[]).check_all());
            twice += 1;
        }
    }
    println!("crashed at each of {points} points of a deletion, and {twice} times twice");
}

#[test]
fn i7_i8_a_failure_of_any_call_of_a_deletion_leaves_no_orphans() {
    let ran = deleted(Vec::new(), &[]);
    let calls = ran.world.strikes.lock().unwrap().calls.clone();
    let mut ends = BTreeMap::<String, usize>::new();
    for (place, name) in (1..).zip(&calls) {
        // Each call in one way, and in all of them in the long run.
        let all = &Strike::ALL;
        let of_this = if long() { &all[..] } else { &all[place % 5..=place % 5] };
        for strike in of_this.iter().copied() {
            let ran = deleted(Vec::new(), &[(place, strike)]);
            run(ran.check_whole());
            if strike != Strike::FailsForGood {
                assert_eq!(ran.outcome, Outcome::Succeeded, "{name}, {strike:?}: {:?}", ran.fault);
                run(ran.check_all());
            }
            *ends.entry(format!("{strike:?} {:?}", ran.outcome)).or_default() += 1;
        }
    }
    println!("{} calls of a deletion failed: {ends:#?}", calls.len());
}

#[test]
fn i7_a_crash_while_recovering_from_a_crash_is_resumed() {
    let points = with(Vec::new(), &[]).points;
    for first in (5..points).step_by(if long() { 5 } else { 61 }) {
        for second in [1, 2, 3, 5, 8, 13, 21] {
            run(with(vec![first, second], &[]).check_all());
        }
    }
}

#[test]
fn a_process_that_crashes_again_and_again_gets_there() {
    // A life has to pass more points than a recovery and a step have, or the
    // step is "interrupted too often".
    for points in [45, 60] {
        let ran = with(vec![points; 60], &[]);
        assert!(ran.ends.len() > 2, "{:?}", ran.ends);
    }
}

#[test]
fn i7_a_failure_of_any_call_is_survived() {
    let calls = calls();
    let mut ends = BTreeMap::<String, usize>::new();
    let ways = [Strike::Fails, Strike::Unknown, Strike::FailsForGood];
    for (place, name) in calls.iter().enumerate() {
        // Each call in one way, and in all of them in the long run.
        let of_this = if long() { &ways[..] } else { &ways[place % 3..place % 3 + 1] };
        for strike in of_this.iter().copied() {
            let ran = with(Vec::new(), &[(place + 1, strike)]);
            if strike != Strike::FailsForGood {
                assert!(ran.is_as_it_should_be(), "{name}, {strike:?}: {:#?}", ran.faults);
            }
            *ends.entry(format!("{strike:?} {:?}", ran.outcomes)).or_default() += 1;
        }
    }
    println!("{} calls failed: {ends:#?}", calls.len());
}

#[test]
fn i7_two_strikes_in_a_row_are_survived() {
    let calls = calls().len();
    let mut runs = 0;
    for place in (1..calls).step_by(if long() { 7 } else { 79 }) {
        for (n, first) in Strike::ALL.into_iter().enumerate() {
            for (m, second) in Strike::ALL.into_iter().enumerate() {
                // Another distance for each pair, so that all are met.
                let apart = 1 + (place + 5 * n + m) % 9;
                with(Vec::new(), &[(place, first), (place + apart, second)]);
                runs += 1;
            }
        }
    }
    println!("{runs} pairs");
}
