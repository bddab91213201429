//! Random requests, random faults, and crashes, by seed; then calm, and
//! everything that must hold does.
//!
//! `cargo xtask sim --seeds N` runs many. Here, `DEPLOYD_SEED=n` runs one seed
//! again, `DEPLOYD_SEEDS=n` so many from there on, and `DEPLOYD_ROUNDS=n` only
//! its first rounds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deployd_core::approval::{ApprovalDecision, ApprovalRequest, BreakGlassRequest};
use deployd_core::artifact::Artifact;
use deployd_core::config::Document;
use deployd_core::flow::ReleaseRequest;
use deployd_core::ports::StoreError;
use deployd_core::views::{DeployRequest, RollbackRequest, TeardownRequest};
use deployd_core::{Actor, EnvironmentId, Fault};
use deployd_engine::{Caller, Engine, EngineError};
use serde_json::json;

use crate::checks::check;
use crate::documents::{self, artifact_of, definition, environment_type, plugin};
use crate::fakes::environment::{Chance, Receiver};
use crate::fakes::life::Life;
use crate::fakes::strikes::Strike;
use crate::history::Seen;
use crate::secrets::{everything, holds};
use crate::world::{Stage, World, caller, deployment_of, keyed};

const APPLICATIONS: [&str; 2] = ["shop", "blog"];

/// Seeds of a run in CI.
const SEEDS: u64 = 400;

/// How far clocks jump: seconds, hours, ten years.
const JUMPS_MS: [i64; 6] =
    [-5_000, 61_000, -3_600_000, 3_600_000, -315_360_000_000, 315_360_000_000];

/// Kinds of requests.
const KINDS: u64 = 18;

/// Those of a seed in which all is about one environment: announcing, cancelling, taking
/// it away, agreeing, going back, and whether people have to agree at all.
const AMONG_PEOPLE: [u64; 9] = [0, 1, 8, 10, 11, 12, 13, 14, 15];

struct Simulation {
    seed: u64,
    world: Arc<World>,
    engine: Engine,
    life: Life,
    chance: Chance,
    requests: usize,
    crashes: usize,
    /// Rounds that are left out, to find the shortest history that fails.
    rounds_max: u64,
}

fn all() -> Vec<Document> {
    let shops = APPLICATIONS.iter().flat_map(|name| documents::shop(name));
    // People agree to what comes by itself to one, and by hand to the other.
    let gated = [("shop", "production"), ("blog", "development")];
    let gated = gated.map(|(of, name)| documents::environment(of, name, "gated"));
    let all = documents::platform().into_iter().chain(shops).chain([gated_type(false)]);
    let others = all.filter(|one| gated.iter().all(|other| other.key() != one.key()));
    others.chain(gated.iter().cloned()).collect()
}

/// The type of environments in which people have to agree, as long as they have to.
fn gated_type(is_gated: bool) -> Document {
    let mut of_type = environment_type("gated", json!({}));
    if let Document::EnvironmentType(gated) = &mut of_type
        && is_gated
    {
        let rule = json!([{"name": "release", "expires": "20m"}]);
        gated.spec.approvals = serde_json::from_value(rule).unwrap();
    }
    of_type
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let life = Life::long();
        let engine = world.engine(&life);
        engine.start().await.unwrap();
        engine.apply(&caller(), all(), false).await.unwrap();
        Self {
            seed,
            world,
            engine,
            life,
            chance: Chance::new(seed),
            requests: 0,
            crashes: 0,
            rounds_max: number("DEPLOYD_ROUNDS").unwrap_or(u64::MAX),
        }
    }

    /// The process ends, and another one begins, which may end soon itself.
    async fn restart(&mut self, calm: bool) {
        loop {
            self.crashes += 1;
            self.engine.abort();
            let ends = !calm && self.chance.percent(60);
            self.life = if ends {
                Life::ending_at(1 + self.chance.below(400) as usize)
            } else {
                Life::long()
            };
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

    /// The world gets worse.
    fn trouble(&mut self) {
        let chance = &mut self.chance;
        let mut drivers = self.world.drivers.lock().unwrap();
        for (_, script) in drivers.scripts.iter_mut() {
            script.takes_ms = chance.below(3) * 400;
            // Those which are as they are for whole operations stay as they are.
            script.transient = if chance.percent(20) { chance.below(4) as u32 } else { 0 };
            script.permanent = chance.percent(5).then(|| Fault::permanent("quota", "no more"));
            script.panics = chance.percent(2);
            if chance.percent(5) {
                script.plan_faults.push(Fault::transient("busy", "later"));
            }
        }
        let mut cluster = self.world.cluster.lock().unwrap();
        cluster.ready_after_ms = chance.below(4) * 1_000;
        for application in APPLICATIONS {
            for version in 0..6 {
                let image = artifact_of(application, "backend", &version.to_string()).image();
                if chance.percent(10) {
                    cluster.broken.insert(image.clone());
                }
                if chance.percent(5) {
                    cluster.stuck.insert(image);
                }
            }
        }
        if chance.percent(20) {
            let fault = match chance.below(2) {
                0 => Fault::transient("unreachable", "refused"),
                _ => Fault::conflict("field-conflict", "somebody else's"),
            };
            cluster.apply_faults.insert("frontend".to_owned(), vec![fault]);
        }
        cluster.away = chance.percent(5);
        if chance.percent(20) {
            let jump = JUMPS_MS[chance.below(JUMPS_MS.len() as u64) as usize];
            // Never before the beginning of time, nor past what a timestamp tells.
            let off = self.world.clock_off_ms.load(Ordering::Relaxed);
            let jump = if (off + jump).abs() > JUMPS_MS[5] { -off } else { jump };
            self.world.clock_off_ms.fetch_add(jump, Ordering::Relaxed);
        }
        {
            let mut strikes = self.world.strikes.lock().unwrap();
            let calls = strikes.calls.len();
            for _ in 0..chance.below(4) {
                let place = calls + 1 + chance.below(300) as usize;
                let strike = Strike::ALL[chance.below(Strike::ALL.len() as u64) as usize];
                strikes.at.insert(place, strike);
            }
        }
        if chance.percent(5) {
            cluster.prune_faults.push(Fault::denied("forbidden", "no"));
        }
        let mut receivers = self.world.receivers.lock().unwrap();
        for _ in 0..chance.below(6) {
            receivers.script.push_back(match chance.below(6) {
                0 => Receiver::Answers(503),
                1 => Receiver::AnswersLater(429, 60_000),
                2 => Receiver::Answers(410),
                3 => Receiver::Hangs,
                4 => Receiver::Fails(Fault::transient("connect", "refused")),
                _ => Receiver::Answers(200),
            });
        }
        let mut store = self.world.store_faults.lock().unwrap();
        for _ in 0..chance.below(30) {
            store.push_back(chance.percent(15).then_some(StoreError::Busy));
        }
    }

    /// All is well again.
    fn calm(&mut self) {
        let mut drivers = self.world.drivers.lock().unwrap();
        for (_, script) in drivers.scripts.iter_mut() {
            script.takes_ms = 0;
            script.transient = 0;
            script.permanent = None;
            script.panics = false;
            script.plan_faults.clear();
        }
        let mut cluster = self.world.cluster.lock().unwrap();
        cluster.broken.clear();
        cluster.stuck.clear();
        cluster.apply_faults.clear();
        cluster.prune_faults.clear();
        cluster.away = false;
        self.world.strikes.lock().unwrap().at.clear();
        self.world.receivers.lock().unwrap().script.clear();
        self.world.store_faults.lock().unwrap().clear();
    }

    /// Asks for something, again and again until there is an answer that is
    /// not "busy"; a repeat carries the same key.
    async fn request(&mut self) {
        self.requests += 1;
        let caller = keyed(&format!("request-{}", self.requests), "");
        let application = APPLICATIONS[self.chance.below(2) as usize];
        let version = self.chance.below(6).to_string();
        let (kind, word) = (self.chance.below(KINDS), self.chance.next());
        let (application, kind) = match self.is_among_people() {
            true => ("blog", AMONG_PEOPLE[(kind % AMONG_PEOPLE.len() as u64) as usize]),
            false => (application, kind),
        };
        // Most builds say their place, and some come late.
        let place = (word % 5 > 0).then(|| self.requests as u64 + word % 4);
        loop {
            let (engine, life) = (self.engine.clone(), self.life.clone());
            let asked = ask(&engine, &caller, kind, word, application, &version, place);
            let answered = tokio::select! {
                biased;
                answer = asked => answer,
                () = life.died() => {
                    self.restart(false).await;
                    continue;
                }
            };
            match answered {
                Err(EngineError::Store(StoreError::Busy | StoreError::Full(_))) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(EngineError::KeyReuse) => panic!("I2: a key is reused"),
                Err(_) => return,
                Ok(deployments) => return self.world.saw(Seen::Acknowledged { deployments }),
            }
        }
    }

    /// Whether all of it happens in one environment, in which two versions ran.
    fn is_among_people(&self) -> bool {
        self.seed % 4 == 3
    }

    /// Two versions run, one after the other, before people are asked.
    async fn ran(&self) {
        for version in ["0", "1"] {
            let both = ["frontend", "backend"].map(|of| artifact_of("blog", of, version));
            let id = deployment_of(&self.engine.announce(&caller(), both.to_vec()).await.unwrap());
            crate::world::end_of(&self.engine, &id).await;
        }
        self.engine.apply(&caller(), vec![gated_type(true)], false).await.unwrap();
    }

    async fn run(mut self) -> (usize, usize, usize) {
        if self.is_among_people() {
            self.ran().await;
        }
        for _ in 0..(6 + self.chance.below(8)).min(self.rounds_max) {
            if self.chance.percent(50) {
                self.trouble();
            }
            if self.chance.percent(20) || self.life.is_dead() {
                self.restart(false).await;
            }
            Box::pin(self.request()).await;
            let pause = [0, 1, 50, 500, 5_000, 100_000][self.chance.below(6) as usize];
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.calm();
        self.restart(true).await;
        let stage = Stage { world: self.world.clone(), engine: self.engine.clone() };
        Box::pin(self.idle()).await;
        stage.all_told().await;
        self.engine.stop().await;
        let replayed = check(&self.world, &all()).await;
        for uid in self.world.drivers().there.keys() {
            let known = replayed.iter().any(|one| {
                one.state
                    .resources
                    .keys()
                    .chain(one.state.begun.keys())
                    .any(|known| known.0 == *uid)
            });
            assert!(known, "I8: an orphan: {uid}");
        }
        // A copy of the store is written to the disk for it, so not every time.
        if self.seed.is_multiple_of(10) {
            assert!(!holds(&everything(&self.world).await, "canary"), "I16");
        }
        (replayed.iter().map(|one| one.records.len()).sum(), self.crashes, self.life.passed())
    }

    /// Has automation go on wherever somebody went back; whether it was held anywhere.
    async fn release(&self) -> bool {
        let mut held = false;
        for one in self.engine.environments().await.unwrap() {
            if one.state.hold.is_some() {
                held = true;
                let request = ReleaseRequest::default();
                self.engine.release(&caller(), &one.id, request).await.unwrap();
            }
        }
        held
    }

    async fn idle(&self) {
        let ana = Caller::new(Actor("ana".to_owned()));
        for _ in 0..20_000 {
            let released = self.release().await;
            let busy = self.engine.counters().busy_environments;
            if busy == 0 && !released {
                return;
            }
            // By a clock that was set back, nothing expires for years.
            for one in self.engine.approvals(None).await.unwrap() {
                let (plan, decision) = (one.plan, ApprovalDecision::Approve);
                let request = ApprovalRequest { plan, decision, reason: None };
                // Between the two it may be planned again.
                let _ = self.engine.decide(&ana, &one.deployment, request).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("I7: it does not come to rest: {:#?}", self.engine.environments().await);
    }
}

async fn ask(
    engine: &Engine,
    caller: &Caller,
    kind: u64,
    word: u64,
    application: &str,
    version: &str,
    place: Option<u64>,
) -> Result<Vec<String>, EngineError> {
    let mut accepted = Vec::new();
    let development: EnvironmentId = format!("{application}/development").parse().unwrap();
    match kind {
        0..=3 => {
            let both = ["frontend", "backend"]
                .map(|w| Artifact { sequence: place, ..artifact_of(application, w, version) });
            let count = 1 + (word % 4).min(1) as usize;
            let announced = engine.announce(caller, both[..count].to_vec()).await?;
            let routes = announced.routes.into_iter();
            accepted.extend(routes.filter_map(|route| Some(route.deployment?.0)));
        }
        4..=6 => {
            // To production goes what development has, or had.
            let environment: EnvironmentId = match word % 2 {
                0 => development.clone(),
                _ => format!("{application}/production").parse().unwrap(),
            };
            let history = engine.history(Some(&development), None, 5).await?.deployments;
            let set_digest = history.get((word / 2 % 5) as usize).map(|record| record.request.set);
            let request = DeployRequest {
                environment: Some(environment),
                set_digest,
                ..DeployRequest::default()
            };
            accepted.push(engine.deploy(caller, request).await?.id.0);
        }
        7 | 8 => {
            let history = engine.history(None, None, 4).await?.deployments;
            if let Some(record) = history.get((word % 4) as usize) {
                engine.cancel(caller, &record.id, None).await?;
            }
        }
        9 => {
            // A plugin is swapped while others work with it.
            let name = ["postgres", "dns", "cluster"][(word % 3) as usize];
            let version = (word / 3 % 3).to_string();
            let swapped = plugin(name, "driver", json!({"version": version}));
            engine.apply(caller, vec![swapped], false).await?;
        }
        10 => {
            // It goes, and comes again with what it had not, or with what was kept.
            let keep = match word % 3 {
                0 => vec!["postgres".to_owned()],
                _ => Vec::new(),
            };
            let id = match word % 5 {
                0 => format!("{application}/production").parse().unwrap(),
                _ => development.clone(),
            };
            if engine.environment(&id).await.is_err() {
                let again =
                    documents::environment(application, id.environment.as_str(), "development");
                engine.apply(caller, vec![again], false).await?;
                return Ok(accepted);
            }
            let request = TeardownRequest { keep, ..TeardownRequest::default() };
            accepted.push(engine.teardown(caller, &id, request).await?.id.0);
        }
        11 | 12 => {
            // Somebody agrees, or goes on without.
            let waiting = engine.approvals(None).await?;
            let Some(one) = waiting.get(word as usize % waiting.len().max(1)) else {
                return Ok(accepted);
            };
            let (id, plan) = (&one.deployment, one.plan);
            let caller = Caller { actor: Actor("ana".to_owned()), ..caller.clone() };
            let reason = Some("seen".to_owned());
            let decision = match word % 4 {
                0 => {
                    let request = BreakGlassRequest { plan, reason: "it burns".to_owned() };
                    engine.break_glass(&caller, id, request).await?;
                    return Ok(accepted);
                }
                1 => ApprovalDecision::Refuse,
                _ => ApprovalDecision::Approve,
            };
            let request = ApprovalRequest { plan, decision, reason };
            engine.decide(&caller, id, request).await?;
        }
        13 | 14 => {
            // Before what waits for people, most often.
            let waiting = engine.approvals(None).await?;
            let waiting = waiting.first().filter(|_| !word.is_multiple_of(4));
            let id = waiting.map_or(development, |one| one.environment.clone());
            if word % 8 == 5 {
                engine.release(caller, &id, ReleaseRequest::default()).await?;
                return Ok(accepted);
            }
            let request = RollbackRequest::default();
            accepted.push(engine.rollback(caller, &id, request).await?.id.0);
        }
        15 | 16 => engine
            .apply(caller, vec![gated_type(!word.is_multiple_of(4))], false)
            .await
            .map(|_| ())?,
        _ => {
            let when_unused = if word.is_multiple_of(2) { "keep" } else { "destroy" };
            let zone = json!({"zone": format!("{}.test", word % 3)});
            let mut dns = definition("dns", "dns", "dns", zone);
            if let Document::ResourceDefinition(d) = &mut dns {
                d.spec.when_unused = serde_json::from_value(json!(when_unused)).unwrap();
            }
            let backend = match word % 3 {
                0 => documents::backend(application),
                _ => documents::workload(application, "backend", json!({}), json!({})),
            };
            engine.apply(caller, vec![dns, backend], false).await?;
        }
    }
    Ok(accepted)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64) -> (usize, usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async { Box::pin(Simulation::new(seed).await.run()).await })
}

#[test]
fn whatever_happens_what_must_hold_holds() {
    let seeds = match (number("DEPLOYD_SEED"), number("DEPLOYD_SEEDS")) {
        (Some(seed), count) => seed..seed + count.unwrap_or(1),
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    let (mut deployments, mut crashes) = (0, 0);
    for seed in seeds.clone() {
        let Ok(ran) = std::panic::catch_unwind(|| run(seed)) else {
            panic!("seed {seed} fails; again: cargo xtask sim --seed {seed}");
        };
        deployments += ran.0;
        crashes += ran.1;
    }
    println!("{} seeds: {deployments} deployments, {crashes} restarts", seeds.end - seeds.start);
}
