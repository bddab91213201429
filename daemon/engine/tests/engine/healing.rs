//! Drift is healed by itself where that does nothing else, and otherwise says why.

use std::sync::atomic::Ordering;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Origin};
use deployd_core::views::DeployRequest;
use serde_json::json;

use crate::documents::{self, checked_environment_type, document, workload};
use crate::drift::{asked, events, heals, meddle, minutes, stage};
use crate::world::{Stage, assert_succeeded, caller, development};

const YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;

fn is_heal(record: &DeploymentRecord) -> bool {
    matches!(record.request.origin, Origin::Drift { .. })
}

/// Why what the last check has found is not healed.
async fn not_healed(stage: &Stage) -> Option<String> {
    stage.engine.drift(&development()).await.unwrap().not_healed
}

#[tokio::test(start_paused = true)]
async fn drift_is_healed_where_the_type_says_so() {
    let stage = stage(json!({"every": "10m", "heal": "automatic"})).await;
    minutes(5).await;
    let object = meddle(&stage);
    minutes(15).await;
    assert_eq!(heals(&stage).await, 1);
    assert_ne!(stage.world.cluster().objects[&object]["spec"], json!({"by": "hand"}));
    // By the plan that was looked at, and by no other.
    let page = stage.engine.history(Some(&development()), None, 100).await.unwrap();
    let healed = page.deployments.iter().find(|one| is_heal(one)).unwrap();
    assert_succeeded(healed);
    let plan = healed.work.as_ref().unwrap().plan;
    assert!(plan.is_some());
    assert_eq!(healed.request.expected_plan, plan);
    minutes(15).await;
    assert_eq!(stage.state().await.drift.unwrap().findings, 0);
    minutes(600).await;
    assert_eq!(heals(&stage).await, 1, "what is well is left alone");
}

#[tokio::test(start_paused = true)]
async fn i15_a_fight_ends_and_somebody_is_told() {
    for jump in [0, -YEARS_MS] {
        let stage = stage(json!({"every": "10m", "heal": "automatic"})).await;
        let object = meddle(&stage);
        let theirs = stage.world.cluster().objects[&object].clone();
        stage.world.cluster().undone.insert(object.name.clone(), theirs);
        minutes(15).await;
        stage.world.clock_off_ms.fetch_add(jump, Ordering::Relaxed);
        minutes(24 * 60).await;
        assert_eq!(heals(&stage).await, 4);
        assert_eq!(events(&stage, "healing-given-up").await.len(), 1);
        assert!(stage.state().await.drift.unwrap().gave_up);
        let why = not_healed(&stage).await.unwrap();
        assert!(why.contains("it was healed 4 times"), "{why}");
        // Somebody deploys: it is another matter.
        stage.world.cluster().undone.clear();
        assert_succeeded(&stage.deployed("2").await);
        minutes(15).await;
        let drift = stage.state().await.drift.unwrap();
        assert!(!drift.gave_up && drift.findings == 0, "{drift:?}");
        meddle(&stage);
        minutes(15).await;
        assert_eq!(heals(&stage).await, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_gone_is_for_people() {
    let stage = stage(json!({"every": "1m", "heal": "automatic"})).await;
    minutes(3).await;
    stage.world.drivers().script("postgres").observed = Some(Ok(None));
    meddle(&stage);
    minutes(120).await;
    assert_eq!(heals(&stage).await, 0, "an empty database in its place would hide it");
    assert_eq!(stage.state().await.drift.unwrap().findings, 2);
    let why = not_healed(&stage).await.unwrap();
    assert!(why.contains("postgres#backend.db is gone, and what was in it"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn healing_brings_nothing_that_was_not_deployed() {
    let stage = stage(json!({"every": "1m", "heal": "automatic"})).await;
    minutes(3).await;
    let drift = json!({"every": "1m", "heal": "automatic"});
    let mut changed = checked_environment_type("development", drift);
    if let deployd_core::config::Document::EnvironmentType(envelope) = &mut changed {
        envelope.spec.values.insert("colour".to_owned(), json!("red"));
    }
    stage.apply(vec![changed]).await;
    meddle(&stage);
    minutes(60).await;
    assert_eq!(heals(&stage).await, 0, "a person has to see the new value first");
    assert_eq!(stage.state().await.drift.unwrap().findings, 1);
    let why = "documents or plugins have changed since it was deployed";
    assert_eq!(not_healed(&stage).await.as_deref(), Some(why));
    // Whoever asks for another check in between is told so, too.
    assert_eq!(asked(&stage).await.not_healed.as_deref(), Some(why));
    let healed = stage.engine.heal_drift(&caller(), &development()).await.unwrap();
    assert_succeeded(&stage.end_of(&healed.id).await);
    minutes(3).await;
    assert_eq!(not_healed(&stage).await, None, "it is past");
}

#[tokio::test(start_paused = true)]
async fn healing_destroys_nothing() {
    let postgres = |when_unused: &str| -> Document {
        let spec = json!({
            "type": "postgres", "driver": "postgres", "whenUnused": when_unused,
            "inputs": {"namespace": "${resources.k8s-namespace.name}"},
        });
        document(DocumentKind::ResourceDefinition, "postgres", spec)
    };
    let stage = stage(json!({"every": "1m", "heal": "automatic"})).await;
    stage.apply(vec![workload("shop", "backend", json!({}), json!({}))]).await;
    assert_succeeded(&stage.deployed("2").await);
    minutes(3).await;
    // What nothing asks for any more is to go with the next deployment.
    stage.apply(vec![postgres("destroy")]).await;
    meddle(&stage);
    minutes(60).await;
    assert_eq!(heals(&stage).await, 0);
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    let why = not_healed(&stage).await.unwrap();
    assert!(why.contains("would be destroyed"), "{why}");
    // Where it is kept there is nothing to lose.
    stage.apply(vec![postgres("keep")]).await;
    minutes(3).await;
    assert_eq!(heals(&stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn healing_brings_nothing_else_of_a_lender() {
    let stage = Stage::new().await;
    let drift = json!({"every": "1m", "heal": "automatic"});
    let definition = |name: &str, spec| document(DocumentKind::ResourceDefinition, name, spec);
    let own = json!({
        "type": "queue", "driver": "template", "criteria": [{"application": "platform"}],
    });
    let lent = json!({"type": "queue", "lender": "platform/shared"});
    let resources = json!({"queue": {"type": "queue", "id": "shared"}});
    let spec = json!({"workloads": [], "resources": resources.clone()});
    stage.world.drivers().script("queue").outputs = json!({"host": "queue.test"});
    stage
        .apply(vec![
            checked_environment_type("development", drift),
            document(DocumentKind::Application, "platform", spec),
            documents::environment("platform", "shared", "development"),
            definition("queue", own),
            definition("queue-for-all", lent),
            workload("shop", "backend", json!({"AT": "${resources.queue.host}"}), resources),
        ])
        .await;
    let shared = || async {
        let environment = Some("platform/shared".parse().unwrap());
        let request = DeployRequest { environment, ..DeployRequest::default() };
        let id = stage.engine.deploy(&caller(), request).await.unwrap().id;
        assert_succeeded(&stage.end_of(&id).await);
    };
    shared().await;
    assert_succeeded(&stage.deployed("1").await);
    minutes(3).await;
    stage.world.drivers().script("queue").outputs = json!({"host": "elsewhere.test"});
    shared().await;
    meddle(&stage);
    minutes(60).await;
    let why = not_healed(&stage).await;
    assert!(why.as_ref().is_some_and(|why| why.contains("lends has changed")), "{why:?}");
    assert_eq!(heals(&stage).await, 0, "another address is not what was deployed");
}
