//! Rollouts by seed: random programs of strategies over random shops, random
//! faults, people and kills. At every moment the law holds (`law.rs`), and at the
//! end there is the new version or the old one, and nothing between.
//!
//! As in `simulation.rs`, `DEPLOYD_SEED=n` runs one seed again, and
//! `DEPLOYD_SEEDS=n` so many from there on.

mod law;
mod programs;
pub mod shops;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Outcome, Skip, StepKind, StepStatus};
use deployd_core::plan::Manifests;
use deployd_core::ports::ObjectRef;
use deployd_core::steering::Steering;
use deployd_core::{DeploymentId, Fault, FaultClass};
use deployd_engine::{Engine, EngineError};
use serde_json::{Value, json};

use self::law::Law;
use self::programs::Program;
use self::shops::Shop;
use crate::checks::check;
use crate::documents::{self, document, plugin};
use crate::fakes::environment::Chance;
use crate::fakes::life::Life;
use crate::fakes::pods::Pods;
use crate::fakes::strikes::Strike;
use crate::world::{Stage, World, assert_succeeded, caller, deployment_of, development, keyed};

/// Seeds of a run in CI.
const SEEDS: u64 = 200;

/// Of so many seeds, one has all that must hold of the journal checked, too.
const CHECKED: u64 = 5;

/// Attempts of a step are few, and each end of the process takes one.
const KILLS_MAX: usize = 4;

/// How good the world is to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Nothing fails but what the program does.
    Fair,
    /// Pods of the new version, checks; calls that are to be tried again; kills.
    Rough,
    /// Anything, for good, and also of what ran before.
    Hostile,
}

/// What came of a seed.
#[derive(Debug, Default)]
struct Tally {
    outcomes: BTreeMap<String, usize>,
    codes: BTreeMap<String, usize>,
    kills: usize,
    rounds: u32,
}

struct Model {
    seed: u64,
    world: Arc<World>,
    engine: Engine,
    life: Life,
    chance: Chance,
    weather: Weather,
    old: Shop,
    new: Shop,
    program: Program,
    law: Arc<Mutex<Law>>,
    kills: usize,
}

fn of_type(strategy: Value, checks: &Value) -> Document {
    let spec = json!({
        "templater": {"plugin": "templater", "baseline": "the platform's"},
        "strategy": {"plugin": "rolling", "config": strategy},
        "checks": checks,
    });
    document(DocumentKind::EnvironmentType, "development", spec)
}

impl Model {
    fn new(seed: u64) -> Self {
        // Other numbers than those of the world, which is made of the same seed.
        let mut chance = Chance::new(seed.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995);
        let (old, new) = shops::random(&mut chance);
        let program = programs::random(&mut chance, &new);
        let weather = match chance.below(10) {
            0..=2 => Weather::Fair,
            3..=7 => Weather::Rough,
            _ => Weather::Hostile,
        };
        let world = World::new(seed);
        let life = Life::long();
        let law = Law::new(&old, &new, weather != Weather::Hostile);
        Self {
            seed,
            engine: world.engine(&life),
            world,
            life,
            chance,
            weather,
            old,
            new,
            program,
            law: Arc::new(Mutex::new(law)),
            kills: 0,
        }
    }

    /// The first version runs, and all is ready for the second.
    async fn begin(&self) -> Vec<Document> {
        let ready_after = Duration::from_millis([0, 500, 5_000, 30_000][self.seed as usize % 4]);
        self.world.cluster().pods = Some(Pods::new(ready_after, Box::new(|_| ())));
        self.engine.start().await.unwrap();
        let mut first = documents::platform();
        first.extend(self.old.documents());
        first.push(plugin("check", "check", json!({})));
        self.engine.apply(&caller(), first.clone(), false).await.unwrap();
        let artifacts = self.old.workloads.iter().map(|it| it.artifact()).collect();
        let announced = self.engine.announce(&caller(), artifacts).await.unwrap();
        let id = deployment_of(&announced);
        assert_succeeded(&crate::world::end_of(&self.engine, &id).await);
        first
    }

    fn second(&mut self) -> Vec<Document> {
        let mut documents = self.new.documents();
        let answers: Vec<&str> = (0..4)
            .map(|_| match self.chance.below(20) {
                0 if self.weather != Weather::Fair => "failed",
                1 if self.weather != Weather::Fair => "no data",
                2 if self.weather != Weather::Fair => "away",
                _ => "passed",
            })
            .collect();
        let check = json!({
            "plugin": "check", "config": {"answers": answers}, "intervalMs": 1_000,
            "count": 1 + self.chance.below(4), "errorLimit": self.chance.below(3),
        });
        let program =
            json!({"actions": self.program.actions, "onFailure": self.program.on_failure});
        documents.push(of_type(json!({"wild": program}), &json!({"errors": check})));
        documents
    }

    /// Somebody looks on from now on.
    fn watch(&self) {
        let (law, world) = (self.law.clone(), Arc::downgrade(&self.world));
        law.lock().unwrap().read = self.world.trace.lock().unwrap().entries.len();
        let onlooker = move |sight: &crate::fakes::pods::Sight<'_>| {
            let (Some(world), mut law) = (world.upgrade(), law.lock().unwrap()) else { return };
            law.read(&world.trace.lock().unwrap().entries);
            law.look(sight);
        };
        self.world.cluster().pods.as_mut().unwrap().look_on(Box::new(onlooker));
    }

    /// The world gets worse.
    fn trouble(&mut self) {
        let Self { chance, weather, new, old, world, .. } = self;
        if *weather == Weather::Fair {
            return;
        }
        let hostile = *weather == Weather::Hostile;
        let mut cluster = world.cluster.lock().unwrap();
        let shops = [(&*new, true), (&*old, hostile)];
        for workload in shops.iter().filter(|it| it.1).flat_map(|(shop, _)| &shop.workloads) {
            let ran = old.workload(workload.name).is_some_and(|it| it.image == workload.image);
            let image = workload.artifact().image();
            if ran && !hostile {
                continue;
            }
            if chance.percent(12) {
                cluster.broken.insert(image.clone());
            }
            if chance.percent(8) {
                cluster.stuck.insert(image);
            }
        }
        for _ in 0..chance.below(3) {
            let name = new.names()[chance.below(new.names().len() as u64) as usize];
            let suffix = ["", "-canary", "-files", "-route"][chance.below(4) as usize];
            let fault = match hostile && chance.percent(50) {
                true => Fault::invalid("invalid", "the cluster refuses it"),
                false => Fault::transient("unreachable", "refused"),
            };
            cluster.apply_faults.entry(format!("{name}{suffix}")).or_default().push(fault);
        }
        if chance.percent(20) {
            let fault = match hostile {
                true => Fault::denied("forbidden", "no"),
                false => Fault::transient("unreachable", "refused"),
            };
            cluster.prune_faults.push(fault);
        }
        let mut strikes = world.strikes.lock().unwrap();
        let calls = strikes.calls.len();
        for _ in 0..chance.below(3) {
            let place = calls + 1 + chance.below(800) as usize;
            let kinds = if hostile { 5 } else { 4 };
            let kind = [
                Strike::CrashBefore,
                Strike::CrashAfter,
                Strike::Fails,
                Strike::Unknown,
                Strike::FailsForGood,
            ][chance.below(kinds) as usize];
            strikes.at.insert(place, kind);
        }
    }

    fn calm(&self) {
        let mut cluster = self.world.cluster();
        cluster.broken.clear();
        cluster.stuck.clear();
        cluster.apply_faults.clear();
        cluster.prune_faults.clear();
        self.world.strikes.lock().unwrap().at.clear();
    }

    fn life(&mut self) -> Life {
        let ends =
            self.weather != Weather::Fair && self.kills < KILLS_MAX && self.chance.percent(60);
        match ends {
            true => Life::ending_at(1 + self.chance.below(500) as usize),
            false => Life::long(),
        }
    }

    /// The process ends, and another one begins.
    async fn restart(&mut self) {
        loop {
            self.kills += 1;
            self.engine.abort();
            self.life = self.life();
            self.engine = self.world.engine(&self.life);
            let (engine, life) = (self.engine.clone(), self.life.clone());
            let started = tokio::select! {
                biased;
                started = engine.start() => started.is_ok(),
                () = life.died() => false,
            };
            if started {
                return;
            }
        }
    }

    /// Asks the engine, and the next one when it dies.
    async fn asked<T, F>(&mut self, ask: impl Fn(Engine) -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, EngineError>>,
    {
        loop {
            let (engine, life) = (self.engine.clone(), self.life.clone());
            let answer = tokio::select! {
                biased;
                answer = ask(engine) => answer,
                () = life.died() => {
                    self.restart().await;
                    continue;
                }
            };
            match answer {
                Err(EngineError::Store(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
                other => return other,
            }
        }
    }

    async fn roll_out(&mut self) -> DeploymentRecord {
        let changed =
            self.new.workloads.iter().filter(|it| {
                self.old.workload(it.name).is_none_or(|before| before.image != it.image)
            });
        let artifacts: Vec<_> = changed.map(|it| it.artifact()).collect();
        let announced = self
            .asked(|engine| {
                let artifacts = artifacts.clone();
                async move { engine.announce(&keyed("second", ""), artifacts).await }
            })
            .await
            .unwrap();
        let id = deployment_of(&announced);
        let interferes = self.weather != Weather::Fair && self.chance.percent(40);
        for round in 0..20_000u64 {
            let record = self.record(&id).await;
            if record.outcome.is_some() {
                return record;
            }
            let pause = [0, 1, 20, 300, 1_000, 7_000, 61_000][self.chance.below(7) as usize];
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if self.life.is_dead() {
                self.restart().await;
            }
            let waits =
                record.work.as_ref().is_some_and(|it| it.paused().is_some() || it.held.is_some());
            self.person(&id, interferes, waits && round % 4 == 3).await;
        }
        panic!("it does not end: {:#?}", self.record(&id).await);
    }

    async fn record(&mut self, id: &DeploymentId) -> DeploymentRecord {
        self.asked(|engine| async move { engine.deployment(id).await }).await.unwrap()
    }

    /// What somebody asks for at any time; in the end that it goes on.
    async fn person(&mut self, id: &DeploymentId, interferes: bool, goes_on: bool) {
        let how = match self.chance.below(60) {
            0 if interferes => Some(Steering::Pause),
            1 if interferes => Some(Steering::Promote(Skip::Step)),
            2 if interferes => Some(Steering::Promote(Skip::All)),
            3 if interferes => {
                let _refused = self
                    .asked(|engine| async move { engine.cancel(&caller(), id, None).await })
                    .await;
                None
            }
            4..=20 if goes_on => Some(Steering::Retry),
            _ if goes_on => Some(Steering::Resume),
            _ => None,
        };
        if let Some(how) = how {
            let _refused = self
                .asked(|engine| async move { engine.steer(&caller(), id, how, None).await })
                .await;
        }
    }

    async fn run(mut self) -> Tally {
        let documents = self.begin().await;
        let before = self.world.cluster().objects.clone();
        let second = self.second();
        self.engine.apply(&caller(), second, false).await.unwrap();
        self.watch();
        self.trouble();
        self.engine.stop().await;
        self.life = self.life();
        self.engine = self.world.engine(&self.life);
        let (engine, life) = (self.engine.clone(), self.life.clone());
        let started = tokio::select! {
            biased;
            started = engine.start() => started.is_ok(),
            () = life.died() => false,
        };
        if !started {
            self.restart().await;
        }
        let record = Box::pin(self.roll_out()).await;
        let broken = self.law.lock().unwrap().broken.clone();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        self.ended(&record, &before).await;
        self.quarantined(&record).await;
        self.calm();
        self.kills = KILLS_MAX;
        if self.life.is_dead() || !self.life.is_long() {
            self.restart().await;
        }
        let tally = self.tally(&record);
        if record.outcome == Some(Outcome::NeedsOperator) {
            Box::pin(self.mended()).await;
        }
        if self.seed.is_multiple_of(CHECKED) {
            let stage = Stage { world: self.world.clone(), engine: self.engine.clone() };
            stage.all_told().await;
            self.engine.stop().await;
            check(&self.world, &documents).await;
        }
        self.engine.abort();
        tally
    }

    /// What there is, is the new version or the old one.
    async fn ended(&self, record: &DeploymentRecord, before: &BTreeMap<ObjectRef, Value>) {
        let work = record.work.as_ref();
        let outcome = record.outcome.unwrap();
        let committed = work.is_some_and(|work| work.is_committed());
        if outcome == Outcome::NeedsOperator {
            let stuck = work.unwrap().steps.iter().find(|step| {
                matches!(step.kind, StepKind::Restore | StepKind::Prune)
                    && step.status == StepStatus::Failed
            });
            assert!(stuck.is_some(), "an operator is needed, and all is undone: {record:#?}");
            let hostile = self.weather == Weather::Hostile;
            assert!(hostile, "an operator is needed without a reason: {:#?}", stuck.unwrap());
            return;
        }
        let objects = self.world.cluster().objects.clone();
        assert_eq!(committed, outcome == Outcome::Succeeded, "{record:#?}");
        match committed {
            true => assert_same(&objects, &self.rendered(record).await, "the new version"),
            false => assert_same(&objects, before, "what ran before"),
        }
        if self.weather == Weather::Fair && self.program.legal && self.program.on_failure != "x" {
            // A good program may want what a way can't do; nothing else stops it.
            let refused = record.fault.as_ref().is_some_and(|it| it.class != FaultClass::Permanent);
            assert!(committed || refused, "stopped without a reason: {:#?}", record.fault);
        }
    }

    async fn rendered(&self, record: &DeploymentRecord) -> BTreeMap<ObjectRef, Value> {
        let digest = record.work.as_ref().unwrap().result("render").unwrap();
        let manifests: Manifests =
            serde_json::from_slice(&self.world.object(digest).await).unwrap();
        let of = |object: &Value| (manifests.reference(object).unwrap(), object.clone());
        manifests.objects.iter().map(|manifest| of(&manifest.object)).collect()
    }

    /// In quarantine is what came with a deployment that has failed because of it.
    async fn quarantined(&mut self, record: &DeploymentRecord) {
        let place = development();
        let place = &place;
        let kept =
            self.asked(|engine| async move { engine.quarantine(place).await }).await.unwrap();
        let kept: BTreeSet<String> = kept.into_iter().map(|one| one.image).collect();
        let changed = self.new.workloads.iter().filter(|it| it.image == "2");
        let brought: BTreeSet<String> = changed.map(|it| it.artifact().image()).collect();
        let code = record.fault.as_ref().map_or("", |fault| fault.code.as_str());
        // `gone` is what a strategy meets that waits before it has applied.
        let blamed = ["crash-loop", "progress-deadline", "checks-failed", "gone"].contains(&code)
            && matches!(record.outcome, Some(Outcome::RolledBack | Outcome::Failed));
        match self.weather {
            // A restore that fails has a fault of its own.
            Weather::Hostile => assert!(kept.is_empty() || kept == brought, "{kept:?}"),
            _ if blamed => assert_eq!(kept, brought, "{code}"),
            _ => assert!(kept.is_empty(), "{code}: {kept:?}"),
        }
    }

    /// What an operator does after the end: once all is well, the same again.
    async fn mended(&self) {
        let strategy = of_type(json!({}), &json!({}));
        self.engine.apply(&caller(), vec![strategy], false).await.unwrap();
        let id = self.engine.deploy(&caller(), crate::world::request()).await.unwrap().id;
        let record = crate::world::end_of(&self.engine, &id).await;
        assert_succeeded(&record);
        let objects = self.world.cluster().objects.clone();
        assert_same(&objects, &self.rendered(&record).await, "what an operator has deployed");
    }

    fn tally(&self, record: &DeploymentRecord) -> Tally {
        let outcome = format!("{:?}", record.outcome.unwrap());
        let code = record.fault.as_ref().map_or("none", |fault| fault.code.as_str()).to_owned();
        let work = record.work.as_ref();
        let rounds = work.and_then(|it| it.rollout.as_ref()).map_or(0, |it| it.round);
        Tally {
            outcomes: [(outcome, 1)].into(),
            codes: [(code, 1)].into(),
            kills: self.kills,
            rounds,
        }
    }
}

fn assert_same(
    found: &BTreeMap<ObjectRef, Value>,
    wanted: &BTreeMap<ObjectRef, Value>,
    what: &str,
) {
    let names = |objects: &BTreeMap<ObjectRef, Value>| -> BTreeSet<String> {
        objects.keys().map(|it| format!("{} {}", it.kind, it.name)).collect()
    };
    assert_eq!(names(found), names(wanted), "there is {what}, and nothing else");
    for (reference, object) in wanted {
        assert_eq!(&found[reference], object, "{reference} is as {what} has it");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async { Box::pin(Model::new(seed).run()).await })
}

#[test]
fn whatever_a_strategy_wants_it_ends_in_one_version_and_serves_meanwhile() {
    let seeds = match (number("DEPLOYD_SEED"), number("DEPLOYD_SEEDS")) {
        (Some(seed), count) => seed..seed + count.unwrap_or(1),
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    let mut all = Tally::default();
    for seed in seeds.clone() {
        let Ok(one) = std::panic::catch_unwind(|| run(seed)) else {
            let model = Model::new(seed);
            println!("{:?}\n{:#?}\n{:#?}", model.weather, model.new, model.old);
            println!("on failure {}", model.program.on_failure);
            model.program.actions.iter().for_each(|action| println!("  {action}"));
            panic!("seed {seed} fails; again: cargo xtask sim --rollouts --seed {seed}");
        };
        all.kills += one.kills;
        all.rounds += one.rounds;
        one.outcomes.into_keys().for_each(|it| *all.outcomes.entry(it).or_default() += 1);
        one.codes.into_keys().for_each(|it| *all.codes.entry(it).or_default() += 1);
    }
    println!("{} seeds: {all:#?}", seeds.count());
}
