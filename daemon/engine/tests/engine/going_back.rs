//! Going back: how recently that ran, and what can't be undone.

use std::time::Duration;

use deployd_core::config::DocumentKind;
use deployd_core::deployment::{DeploymentRecord, Origin, Outcome};
use deployd_core::views::RollbackRequest;
use serde_json::{Value, json};

use crate::documents::{document, environment_type, image, workload};
use crate::world::{Stage, assert_succeeded, caller, development};

async fn hours(count: u64) {
    tokio::time::sleep(Duration::from_secs(3_600 * count)).await;
}

fn to(number: u64) -> RollbackRequest {
    let to = Some(format!("shop/development#{number}").parse().unwrap());
    RollbackRequest { to, resolve: true, ..RollbackRequest::default() }
}

impl Stage {
    async fn back(&self, request: RollbackRequest) -> DeploymentRecord {
        let record = self.engine.rollback(&caller(), &development(), request).await.unwrap();
        self.end_of(&record.id).await
    }

    /// Has the backend's database ask for this, and can't have it undone.
    async fn schema(&self, version: u64) {
        let definition = document(
            DocumentKind::ResourceDefinition,
            "postgres",
            json!({
                "type": "postgres", "driver": "postgres", "forwardOnly": true,
                "inputs": {
                    "namespace": "${resources.k8s-namespace.name}",
                    "schema": "${resource.params.schema}",
                },
            }),
        );
        let url = "postgres://app:${resources.db.password}@${resources.db.host}/app";
        let resources = json!({"db": {"type": "postgres", "params": {"schema": version}}});
        let backend = workload("shop", "backend", json!({"DB": url}), resources);
        self.apply(vec![definition, backend]).await;
    }
}

fn is_recent(record: &DeploymentRecord) -> bool {
    assert_succeeded(record);
    let Origin::Rollback { recent, .. } = &record.request.origin else { panic!("{record:#?}") };
    *recent
}

#[tokio::test(start_paused = true)]
async fn what_ran_within_the_window_is_gone_back_to_in_fewer_steps() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    stage.deployed("2").await;
    hours(48).await;
    assert!(is_recent(&stage.back(to(1)).await), "without a window, whenever it ran");

    let mut of_type = serde_json::to_value(environment_type("development", json!({}))).unwrap();
    of_type["spec"]["rollbackWindow"] = json!("1d");
    let spec = of_type["spec"].take();
    stage.apply(vec![document(DocumentKind::EnvironmentType, "development", spec)]).await;
    // It ran for long, until just now.
    hours(48).await;
    stage.release().await;
    stage.deployed("3").await;
    assert!(is_recent(&stage.back(to(3)).await));
    assert!(!is_recent(&stage.back(to(2)).await), "that was replaced two days ago");
    hours(23).await;
    assert!(is_recent(&stage.back(to(3)).await));
    hours(25).await;
    stage.release().await;
    stage.deployed("4").await;
    hours(25).await;
    assert!(!is_recent(&stage.back(to(3)).await));
}

#[tokio::test(start_paused = true)]
async fn who_goes_back_is_told_what_stays_changed_and_asked() {
    let stage = Stage::new().await;
    stage.schema(1).await;
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.deployed("2").await);
    stage.schema(2).await;
    assert_succeeded(&stage.deployed("3").await);
    let told: Value = json!(["postgres#backend.db (schema)"]);
    let view = stage.engine.rollback_plan(&development(), &to(2)).await.unwrap();
    assert_eq!(json!(view.not_undone), told);
    let refused = stage.engine.rollback(&caller(), &development(), to(2)).await.unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("postgres#backend.db (schema) can't be undone"), "{refused}");
    assert!(refused.contains("--confirm-forward-only"), "{refused}");
    let confirmed = RollbackRequest { confirm_forward_only: true, ..to(2) };
    assert_succeeded(&stage.back(confirmed).await);
    // What has the same schema asks nobody.
    let view = stage.engine.rollback_plan(&development(), &to(1)).await.unwrap();
    assert!(view.not_undone.is_empty(), "{view:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_rollout_says_what_stays_changed() {
    let stage = Stage::new().await;
    stage.schema(1).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.schema(2).await;
    stage.world.cluster().broken.insert(image("frontend", "2"));
    let record = stage.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::RolledBack));
    let lines = stage.engine.logs(&record.id, 0, 1_000).await.unwrap();
    let told = lines.iter().any(|line| {
        line.message.contains("stays as it was changed") && line.message.contains("backend.db")
    });
    assert!(told, "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_goes_on_when_a_cluster_that_was_away_is_back() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    stage.deployed("2").await;
    stage.world.cluster().away = true;
    let request = RollbackRequest::default();
    let back = stage.engine.rollback(&caller(), &development(), request).await.unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(
        stage.engine.deployment(&back.id).await.unwrap().outcome.is_none(),
        "it is tried again"
    );
    stage.world.cluster().away = false;
    assert_succeeded(&stage.end_of(&back.id).await);
    assert_eq!(stage.state().await.deployed.unwrap().set, first.request.set);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_asked_for_while_resources_are_made_comes_next() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    stage.deployed("2").await;
    stage.world.drivers().script("postgres").pending = 5;
    let third = stage.announce("3").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(stage.engine.deployment(&third).await.unwrap().outcome.is_none());
    let back = stage.engine.rollback(&caller(), &development(), to(1)).await.unwrap();
    // Nobody waits for what is not wanted any more.
    stage.engine.cancel(&caller(), &third, None).await.unwrap();
    assert_eq!(stage.end_of(&third).await.outcome, Some(Outcome::Cancelled));
    assert_succeeded(&stage.end_of(&back.id).await);
    assert_eq!(stage.state().await.deployed.unwrap().set, first.request.set);
}
