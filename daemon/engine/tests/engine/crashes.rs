//! I5, I6, I7, I10, I11: the process ends before and after everything that can
//! be seen from outside, and a new one goes on.

use std::sync::Arc;

use deployd_core::DeploymentId;
use deployd_core::deployment::Outcome;
use deployd_core::outbox::MessageStatus;
use deployd_engine::Engine;

use crate::checks::{check, index};
use crate::documents::{self, artifact, image};
use crate::fakes::life::Life;
use crate::world::{Stage, World, deployment_of, development, end_of, keyed};

/// Somebody who repeats what was not answered, with the same key.
struct Client {
    world: Arc<World>,
    engine: Engine,
    life: Life,
    /// Where lives have ended.
    ends: Vec<String>,
    /// Where the next lives end.
    crashes: Vec<usize>,
}

impl Client {
    async fn new(world: Arc<World>, mut crashes: Vec<usize>) -> Self {
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
                started = engine.start() => return started.unwrap(),
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

    async fn announce(&mut self, version: &str) -> DeploymentId {
        let artifacts = ["frontend", "backend"].map(|w| artifact(w, version)).to_vec();
        let caller = keyed(version, version);
        let announced = self
            .ask(|engine| {
                let (caller, artifacts) = (caller.clone(), artifacts.clone());
                async move { engine.announce(&caller, artifacts).await.unwrap() }
            })
            .await;
        deployment_of(&announced)
    }

    async fn outcome(&mut self, id: &DeploymentId) -> Outcome {
        let id = id.clone();
        self.ask(|engine| {
            let id = id.clone();
            async move { end_of(&engine, &id).await.outcome.unwrap() }
        })
        .await
    }

    async fn all_told(&mut self) {
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

/// The demo: a version that runs, and one that does not and is rolled back.
/// Returns how many points the last life has passed, and where those before it
/// ended.
async fn demo(crashes: Vec<usize>) -> (usize, Vec<String>) {
    let world = configured().await;
    let mut client = Client::new(world.clone(), crashes).await;
    let good = client.announce("1").await;
    assert_eq!(client.outcome(&good).await, Outcome::Succeeded);
    let bad = client.announce("bad").await;
    assert_eq!(client.outcome(&bad).await, Outcome::RolledBack);
    client.all_told().await;
    client.engine.stop().await;

    let documents: Vec<_> =
        documents::platform().into_iter().chain(documents::shop("shop")).collect();
    let replayed = check(&world, &documents).await;
    assert_eq!(replayed[0].records.len(), 2, "I2: asked twice is once");
    let deployed = replayed[0].state.deployed.as_ref().unwrap();
    assert_eq!(deployed.deployment, good);
    assert_eq!(replayed[0].state.applied, [deployed.manifests]);
    let images = index(&world, "images").await;
    assert_eq!(images.len(), 2);
    assert!(replayed[0].id == development());
    let delivered = world.messages(Some(MessageStatus::Delivered)).await;
    assert_eq!(delivered.len(), 8, "four notices for each deployment");
    let cluster = world.cluster();
    let backend = cluster.object("Deployment", "backend").unwrap();
    assert_eq!(backend["spec"]["images"][0], image("backend", "1"), "what ran runs again");
    // A keyed effect happens once, however often it is asked for.
    let drivers = world.drivers();
    assert_eq!(drivers.done.len(), 10, "five resources in two deployments");
    (client.life.passed(), client.ends.clone())
}

/// Runs a future in a world of its own, whose time is its own.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

#[test]
fn i7_a_crash_at_any_point_is_resumed() {
    let (points, ends) = run(demo(Vec::new()));
    assert_eq!(ends, [""; 0]);
    assert!(points > 200, "{points}");
    let mut places = std::collections::BTreeMap::<String, usize>::new();
    for point in 1..=points {
        let result = std::panic::catch_unwind(|| run(demo(vec![point])));
        let (_, ends) = result.unwrap_or_else(|_| panic!("crashed at point {point} of {points}"));
        assert_eq!(ends.len(), 1, "point {point}");
        *places.entry(ends[0].clone()).or_default() += 1;
    }
    println!("crashed at each of {points} points, of {} kinds: {places:#?}", places.len());
}

#[test]
fn i7_a_crash_while_recovering_from_a_crash_is_resumed() {
    let (points, ..) = run(demo(Vec::new()));
    for first in (5..points).step_by(23) {
        for second in [1, 2, 3, 5, 8, 13, 21] {
            let result = std::panic::catch_unwind(|| run(demo(vec![first, second])));
            assert!(result.is_ok(), "crashed at point {first}, then at {second}");
        }
    }
}

#[test]
fn a_process_that_crashes_again_and_again_gets_there() {
    // A life has to pass more points than a recovery and a step have, or the
    // step is "interrupted too often".
    for points in [45, 60] {
        let (_, ends) = run(demo(vec![points; 60]));
        assert!(ends.len() > 2, "{ends:?}");
    }
}
