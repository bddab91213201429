//! Rollouts that fail, and what is there afterwards.

use deployd_core::Fault;
use deployd_core::deployment::Outcome;
use serde_json::json;

use crate::documents::{document, environment_type, image, workload};
use crate::world::{Stage, assert_succeeded};

#[tokio::test(start_paused = true)]
async fn i7_a_failed_rollout_brings_back_what_ran_and_prunes_what_was_new() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let before = stage.world.cluster().objects.clone();
    // A third workload comes with the version that does not run.
    let mut spec =
        serde_json::to_value(crate::documents::application("shop")).unwrap()["spec"].take();
    spec["workloads"] = json!(["backend", "frontend", "aside"]);
    let aside = workload("shop", "aside", json!({}), json!({}));
    let mut aside = serde_json::to_value(aside).unwrap();
    aside["workload"]["containers"]["main"]["image"] = json!("registry.test/aside@1");
    let aside = deployd_core::config::Document::Workload(serde_json::from_value(aside).unwrap());
    let application = document(deployd_core::config::DocumentKind::Application, "shop", spec);
    stage.apply(vec![aside, application]).await;
    stage.world.cluster().broken.insert(image("frontend", "2"));

    let second = stage.deployed("2").await;
    assert_eq!(second.outcome, Some(Outcome::RolledBack));
    let fault = second.fault.unwrap();
    assert_eq!(fault.code, "crash-loop");
    assert!(fault.message.contains("frontend does not become ready"), "{fault}");
    assert_eq!(stage.world.cluster().objects, before, "byte for byte what ran before");
    assert_eq!(stage.state().await.deployed.unwrap().deployment, first.id);

    stage.world.cluster().broken.clear();
    let third = stage.deployed("3").await;
    assert_succeeded(&third);
    assert!(stage.world.cluster().object("Deployment", "aside").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_fails_leaves_what_it_brought_to_the_next() {
    let stage = Stage::new().await;
    stage.world.cluster().broken.insert(image("backend", "1"));
    let first = stage.deployed("1").await;
    assert_eq!(first.outcome, Some(Outcome::Failed));
    assert!(stage.state().await.deployed.is_none());
    // The next one names the backend otherwise: what the first left is pruned.
    let mut spec =
        serde_json::to_value(crate::documents::application("shop")).unwrap()["spec"].take();
    spec["workloads"] = json!(["frontend"]);
    let application = document(deployd_core::config::DocumentKind::Application, "shop", spec);
    let frontend = workload("shop", "frontend", json!({}), json!({}));
    stage.apply(vec![application, frontend]).await;
    assert_succeeded(&stage.deployed("2").await);
    let names: Vec<String> = stage.world.cluster().names().into_iter().collect();
    // The database is kept: nobody said that it may go.
    assert_eq!(names, ["ConfigMap platform", "Deployment frontend", "StatefulSet db"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_needs_an_operator_and_the_next_version_can_mend_it() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    {
        let mut cluster = stage.world.cluster();
        cluster.broken.insert(image("frontend", "2"));
        cluster.broken.insert(image("frontend", "1"));
    }
    let second = stage.deployed("2").await;
    assert_eq!(second.outcome, Some(Outcome::NeedsOperator));
    assert_succeeded(&stage.deployed("3").await);
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_what_was_rolled_out_also_when_pruning_fails() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let mut spec =
        serde_json::to_value(crate::documents::application("shop")).unwrap()["spec"].take();
    spec["workloads"] = json!(["backend"]);
    stage
        .apply(vec![document(deployd_core::config::DocumentKind::Application, "shop", spec)])
        .await;
    stage.world.cluster().prune_faults.push(Fault::denied("forbidden", "no delete for you"));
    let second = stage.deployed("2").await;
    assert_eq!(second.outcome, Some(Outcome::NeedsOperator));
    let view = stage.engine.environment(&crate::world::development()).await.unwrap();
    assert_eq!(view.images, [("backend/main".to_owned(), image("backend", "2"))]);
    // A failure after it goes back to what runs, not to what ran before that.
    stage.world.cluster().broken.insert(image("backend", "3"));
    assert_eq!(stage.deployed("3").await.outcome, Some(Outcome::RolledBack));
    let cluster = stage.world.cluster();
    let backend = cluster.object("Deployment", "backend").unwrap();
    assert_eq!(backend["spec"]["images"][0], image("backend", "2"));
    assert!(cluster.object("Deployment", "frontend").is_none(), "it is pruned now");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_wait() {
    let stage = Stage::new().await;
    stage.apply(vec![environment_type("development", json!({"deadline-ms": 5_000}))]).await;
    stage.world.cluster().stuck.insert(image("backend", "1"));
    let record = stage.deployed("1").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert_eq!(record.fault.unwrap().code, "progress-deadline");
}

#[tokio::test(start_paused = true)]
async fn faults_of_a_cluster_that_pass_are_tried_again() {
    let stage = Stage::new().await;
    let fault = Fault::transient("unreachable", "connection refused");
    let faults = vec![fault.clone(), fault];
    stage.world.cluster().apply_faults.insert("backend".to_owned(), faults);
    let record = stage.deployed("1").await;
    assert_succeeded(&record);
    let work = record.work.unwrap();
    let step = work.step(&deployd_core::deployment::StepId("rollout:1".into())).unwrap();
    assert_eq!(step.attempts, 3);

    let conflict = Fault::conflict("field-conflict", "somebody else owns .spec.replicas");
    stage.world.cluster().apply_faults.insert("frontend".to_owned(), vec![conflict]);
    let record = stage.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::RolledBack));
    assert_eq!(record.fault.unwrap().code, "field-conflict");
}

#[tokio::test(start_paused = true)]
async fn a_paused_rollout_waits_for_a_person_over_restarts() {
    let stage = Stage::new().await;
    stage.apply(vec![environment_type("development", json!({"pause": true}))]).await;
    let id = stage.announce("1").await;
    let hours = std::time::Duration::from_secs(10 * 3_600);
    tokio::time::sleep(hours).await;
    let events = stage.world.events().await.len();
    stage.engine.stop().await;
    let engine = stage.world.engine(&crate::fakes::life::Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world: stage.world, engine };
    tokio::time::sleep(hours).await;
    assert_eq!(stage.world.events().await.len(), events, "waiting costs nothing");
    assert!(stage.engine.deployment(&id).await.unwrap().work.unwrap().paused().is_some());
    stage.resume(&id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    assert!(stage.resume(&id).await.is_err());

    let second = stage.announce("2").await;
    tokio::time::sleep(hours).await;
    stage.engine.cancel(&crate::world::caller(), &second, None).await.unwrap();
    assert_eq!(stage.end_of(&second).await.outcome, Some(Outcome::Cancelled));
    let cluster = stage.world.cluster();
    let backend = cluster.object("Deployment", "backend").unwrap();
    assert_eq!(backend["spec"]["images"][0], image("backend", "1"));
}
