//! Jobs before and after a rollout: run, undone in the reverse order, never two at
//! the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use deployd_core::DeploymentId;
use deployd_core::deployment::{DeploymentRecord, Outcome};
use deployd_core::ports::ObjectRef;
use deployd_core::views::{RollbackRequest, TeardownRequest};
use serde_json::{Value, json};

use crate::checks::check;
use crate::documents::{self, artifact, image, plugin};
use crate::fakes::cluster::ClusterWorld;
use crate::fakes::life::Life;
use crate::world::{Stage, World, assert_succeeded, caller, deployment_of, development, keyed};

/// A shop whose backend has the Jobs `migrate`, `migrate-back` and `warm`.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.apply(vec![plugin("templater", "templater", json!({"jobs": true}))]).await;
    stage
}

/// What a Job of the backend's version does.
fn doing(job: &str, version: &str) -> String {
    format!("{job} {}", image("backend", version))
}

/// What Jobs have done, and when the backend was exchanged, in order: each once,
/// however often it was applied.
fn done(world: &World) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    for text in &world.cluster().applied {
        if !done.contains(text) {
            done.push(text.clone());
        }
    }
    done
}

fn without_jobs(cluster: &ClusterWorld) -> BTreeMap<ObjectRef, Value> {
    let is_of_run = |object: &ObjectRef| {
        object.kind == "Job" || (object.kind == "Secret" && object.name.len() > "backend-env".len())
    };
    let kept = cluster.objects.iter().filter(|(object, _)| !is_of_run(object));
    kept.map(|(object, value)| (object.clone(), value.clone())).collect()
}

fn jobs(cluster: &ClusterWorld) -> usize {
    cluster.objects.keys().filter(|object| object.kind == "Job").count()
}

impl Stage {
    async fn gone_back(&self, to: Option<u64>) -> DeploymentRecord {
        let to = to.map(|number| format!("shop/development#{number}").parse().unwrap());
        let request = RollbackRequest { to, ..RollbackRequest::default() };
        let record = self.engine.rollback(&caller(), &development(), request).await.unwrap();
        self.end_of(&record.id).await
    }

    /// What was done since the last time.
    fn since(&self) -> Vec<String> {
        let found = done(&self.world);
        self.world.cluster().applied.clear();
        found
    }
}

/// The backend's exchange, among what was done.
fn backend(version: &str) -> String {
    format!("backend {}", image("backend", version))
}

fn frontend(version: &str) -> String {
    format!("frontend {}", image("frontend", version))
}

#[tokio::test(start_paused = true)]
async fn they_run_around_the_rollout_with_the_configuration_of_the_new_version() {
    let stage = stage().await;
    assert_succeeded(&stage.deployed("1").await);
    let expected = [doing("migrate", "1"), backend("1"), frontend("1"), doing("warm", "1")];
    assert_eq!(stage.since(), expected);
    {
        let cluster = stage.world.cluster();
        assert_eq!(jobs(&cluster), 2, "what has run can be looked at");
        let (migrate, job) = cluster
            .objects
            .iter()
            .find(|(object, _)| object.name.starts_with("migrate-"))
            .expect("it has run");
        let secret = job.pointer("/spec/template/spec/containers/0/envFrom/0/secretRef/name");
        let tag = migrate.name.strip_prefix("migrate-").unwrap();
        assert_eq!(secret.unwrap(), &json!(format!("backend-env-{tag}")));
        let secret = cluster.object("Secret", &format!("backend-env-{tag}")).unwrap();
        assert!(secret["stringData"]["DB"].as_str().unwrap().contains("db.test"), "{secret}");
    }
    // The next deployment takes them away, and nothing of them counts as drift.
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(jobs(&stage.world.cluster()), 2);
    let request = TeardownRequest::default();
    let away = stage.engine.teardown(&caller(), &development(), request).await.unwrap();
    stage.end_of(&away.id).await;
    let left = stage.world.cluster().names();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn i7_a_rollout_that_fails_is_undone_with_its_jobs() {
    let stage = stage().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.since();
    let before = without_jobs(&stage.world.cluster());
    stage.world.cluster().broken.insert(image("frontend", "2"));
    let second = stage.deployed("2").await;
    assert_eq!(second.outcome, Some(Outcome::RolledBack));
    let expected = [
        doing("migrate", "2"),
        backend("2"),
        frontend("2"),
        frontend("1"),
        backend("1"),
        doing("migrate-back", "2"),
    ];
    assert_eq!(stage.since(), expected);
    assert_eq!(without_jobs(&stage.world.cluster()), before);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_ends_the_deployment_before_anything_changes() {
    let stage = stage().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.since();
    stage.world.cluster().broken.insert(doing("migrate", "2"));
    let second = stage.deployed("2").await;
    assert_eq!(second.outcome, Some(Outcome::RolledBack));
    let fault = second.fault.unwrap();
    assert!(fault.message.contains("migrate-"), "{fault}");
    let expected = [doing("migrate", "2"), backend("1"), frontend("1"), doing("migrate-back", "2")];
    let found = stage.since();
    for one in &expected {
        assert!(found.contains(one), "{one} in {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");
    // What failed says something about the image.
    assert!(!stage.engine.quarantine(&development()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn going_back_undoes_what_was_run_on_the_way_and_runs_nothing_of_the_old() {
    let stage = stage().await;
    for version in ["1", "2", "3"] {
        assert_succeeded(&stage.deployed(version).await);
    }
    stage.since();
    assert_succeeded(&stage.gone_back(Some(1)).await);
    let expected =
        [frontend("1"), backend("1"), doing("migrate-back", "3"), doing("migrate-back", "2")];
    let mut found = stage.since();
    found[..2].sort_by_key(|text| !text.starts_with("frontend"));
    assert_eq!(found, expected);
    // What was gone back over is not undone twice, and forward is forward.
    stage.release().await;
    assert_succeeded(&stage.deployed("4").await);
    stage.since();
    assert_succeeded(&stage.gone_back(None).await);
    assert_eq!(stage.since().last(), Some(&doing("migrate-back", "4")));
    assert_succeeded(&stage.gone_back(Some(3)).await);
    let found = stage.since();
    assert_eq!(found.first(), Some(&doing("migrate", "3")), "{found:?}");
    assert_eq!(found.last(), Some(&doing("warm", "3")), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn who_cancels_has_the_job_ended_before_it_is_undone() {
    let stage = stage().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.since();
    stage.world.cluster().stuck.insert(doing("migrate", "2"));
    let second = stage.announce("2").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.since(), [doing("migrate", "2")]);
    stage.engine.cancel(&caller(), &second, None).await.unwrap();
    assert_eq!(stage.end_of(&second).await.outcome, Some(Outcome::Cancelled));
    let cluster = stage.world.cluster();
    let left: Vec<&Value> =
        cluster.objects.iter().filter(|(o, _)| o.kind == "Job").map(|(_, job)| job).collect();
    assert!(!left.iter().any(|job| job.to_string().contains(&doing("migrate", "2"))), "{left:#?}");
    let ended = cluster.calls.iter().rposition(|(call, names)| {
        *call == "prune" && names.iter().any(|name| name.starts_with("migrate-"))
    });
    let undone = cluster.calls.iter().rposition(|(call, names)| {
        *call == "apply" && names.iter().any(|name| name.starts_with("migrate-back-"))
    });
    assert!(ended < undone, "{:?}", cluster.calls);
}

/// A second version whose last Job fails, in a process that ends at a point.
async fn failing(point: Option<usize>) -> (Stage, Life) {
    let first = stage().await;
    assert_succeeded(&first.deployed("1").await);
    first.all_told().await;
    first.since();
    first.engine.stop().await;
    let world = first.world;
    world.cluster().broken.insert(doing("warm", "2"));
    let life = point.map_or_else(Life::long, Life::ending_at);
    let stage = Stage { world: world.clone(), engine: world.engine(&life) };
    let whole = async {
        stage.engine.start().await.unwrap();
        let id = stage.asked().await;
        stage.end_of(&id).await;
    };
    tokio::select! {
        biased;
        () = life.died() => {}
        () = whole => return (stage, life),
    }
    stage.engine.abort();
    let stage = Stage { engine: world.engine(&Life::long()), world };
    stage.engine.start().await.unwrap();
    let id = stage.asked().await;
    stage.end_of(&id).await;
    (stage, life)
}

impl Stage {
    /// Asks for the second version, as somebody does who may have no answer.
    async fn asked(&self) -> DeploymentId {
        let artifacts = ["frontend", "backend"].map(|w| artifact(w, "2")).to_vec();
        let announced = self.engine.announce(&keyed("two", "two"), artifacts).await.unwrap();
        deployment_of(&announced)
    }
}

#[tokio::test(start_paused = true)]
async fn i6_i7_a_crash_at_any_point_runs_nothing_twice_and_undoes_all() {
    let (calm, life) = failing(None).await;
    let expected = calm.since();
    assert_eq!(
        expected,
        [
            doing("migrate", "2"),
            backend("2"),
            frontend("2"),
            doing("warm", "2"),
            frontend("1"),
            backend("1"),
            doing("migrate-back", "2"),
        ]
    );
    let documents: Vec<_> =
        documents::platform().into_iter().chain(documents::shop("shop")).collect();
    let points = life.passed();
    assert!(points > 60, "{points}");
    for point in 1..=points {
        let (stage, _) = failing(Some(point)).await;
        assert_eq!(stage.since(), expected, "point {point}");
        let names: Vec<String> = stage.world.cluster().names().into_iter().collect();
        let runs = names.iter().filter(|name| name.starts_with("Job migrate-back-")).count();
        assert_eq!(runs, 1, "one run has one name, whoever goes on with it: {names:?}");
        stage.all_told().await;
        check(&stage.world, &documents).await;
    }
}
