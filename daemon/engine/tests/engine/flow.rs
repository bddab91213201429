//! Versions that move through the environments of an application.

use std::time::Duration;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Origin, Outcome};
use deployd_core::flow::{ReleaseRequest, StageStanding};
use deployd_core::views::{DeployRequest, RollbackRequest};
use deployd_core::{Actor, DeploymentId, EnvironmentId, Fault, Name};
use deployd_engine::{Caller, EngineError};
use serde_json::json;

use crate::documents::{document, environment, image};
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller, development};

fn production() -> EnvironmentId {
    "shop/production".parse().unwrap()
}

fn shop() -> Name {
    "shop".parse().unwrap()
}

/// The shop, whose production takes what has run for ten minutes in development.
fn flow(promotion: &str) -> Document {
    let mut spec =
        serde_json::to_value(crate::documents::application("shop")).unwrap()["spec"].take();
    spec["flow"][1] = json!({
        "environment": "production", "promotion": promotion,
        "after": [{"environment": "development", "for": "10m"}],
    });
    document(DocumentKind::Application, "shop", spec)
}

async fn stage(promotion: &str) -> Stage {
    let stage = Stage::new().await;
    let production = environment("shop", "production", "development");
    stage.apply(vec![production, flow(promotion)]).await;
    stage
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(60 * count)).await;
}

impl Stage {
    async fn in_production(&self) -> Vec<DeploymentRecord> {
        self.engine.history(Some(&production()), None, 10).await.unwrap().deployments
    }

    async fn promote(&self, unverified: Option<&str>) -> Result<DeploymentRecord, EngineError> {
        let request = DeployRequest {
            environment: Some(production()),
            promote: Some("development".parse().unwrap()),
            unverified: unverified.map(str::to_owned),
            ..DeployRequest::default()
        };
        let record = self.engine.deploy(&caller(), request).await?;
        Ok(self.end_of(&record.id).await)
    }

    /// Why something has not begun.
    async fn deferred(&self, id: &DeploymentId) -> String {
        loop {
            let record = self.engine.deployment(id).await.unwrap();
            if let Some(deferral) = record.deferral() {
                return deferral.to_string();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn held(&self) -> Vec<String> {
        let flow = self.engine.flow(&shop()).await.unwrap();
        flow.stages[1].held.iter().map(|held| held.reason.clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_run_long_enough_goes_on_by_itself_once() {
    let stage = stage("automatic").await;
    let first = stage.deployed("1").await;
    minutes(9).await;
    assert!(stage.in_production().await.is_empty());
    assert_eq!(stage.held().await, ["soaking"]);
    let why = stage.engine.why(&production(), &image("backend", "1")).await.unwrap();
    assert!(why.because.iter().any(|line| line.contains("has to run")), "{why:#?}");
    // Over a restart, too.
    stage.engine.stop().await;
    let engine = stage.world.engine(&Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world: stage.world, engine };
    minutes(2).await;
    let found = stage.in_production().await;
    assert_eq!(found.len(), 1);
    assert_succeeded(&found[0]);
    let origin = Origin::Promotion { from: development(), deployment: first.id };
    assert_eq!((&found[0].request.origin, found[0].request.set), (&origin, first.request.set));
    minutes(60).await;
    assert_eq!(stage.in_production().await.len(), 1, "it is there");
    let flow = stage.engine.flow(&shop()).await.unwrap();
    assert_eq!(flow.stages[1].standing, StageStanding::UpToDate);
    let why = stage.engine.why(&production(), &image("backend", "1")).await.unwrap();
    assert!(why.there, "{why:#?}");
    let refused = stage.engine.why(&production(), "abc").await.unwrap_err();
    assert!(refused.to_string().contains("expected 4 to 512"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn the_newest_wins_and_what_failed_is_not_tried_again() {
    let stage = stage("automatic").await;
    stage.deployed("1").await;
    minutes(20).await;
    assert_eq!(stage.in_production().await.len(), 1);
    for version in ["2", "3"] {
        stage.deployed(version).await;
        minutes(5).await;
    }
    assert_eq!(stage.in_production().await.len(), 1, "neither has run for ten minutes");
    // What runs well in development does not in production.
    let fault = Fault::permanent("zone-full", "no name is left");
    stage.world.drivers().script("dns").plan_faults.push(fault);
    minutes(60).await;
    let found = stage.in_production().await;
    assert_eq!(found.len(), 2, "one attempt, of the newest: {found:#?}");
    assert_eq!(found[0].outcome, Some(Outcome::Failed));
    assert_eq!(stage.held().await, ["failed"]);
    assert_succeeded(&stage.promote(None).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn somebody_who_went_back_is_not_overruled() {
    let stage = stage("automatic").await;
    for version in ["1", "2"] {
        stage.deployed(version).await;
        minutes(20).await;
    }
    assert_eq!(stage.in_production().await.len(), 2);
    let request = RollbackRequest::default();
    let back = stage.engine.rollback(&caller(), &production(), request).await.unwrap();
    assert_succeeded(&stage.end_of(&back.id).await);
    minutes(60).await;
    assert_eq!(stage.in_production().await.len(), 3, "it stays as it is");
    assert_eq!(stage.held().await, ["went-back"]);
    stage.deployed("3").await;
    minutes(60).await;
    assert_eq!(stage.in_production().await.len(), 3, "also when something newer comes");
    assert_succeeded(&stage.promote(None).await.unwrap());
    stage.deployed("4").await;
    minutes(20).await;
    assert_eq!(stage.in_production().await.len(), 5, "a person has ended it");
    // Going back before is no reason to go back behind it.
    let request = RollbackRequest::default();
    let back = stage.engine.rollback(&caller(), &development(), request).await.unwrap();
    assert_succeeded(&stage.end_of(&back.id).await);
    minutes(60).await;
    assert_eq!(stage.in_production().await.len(), 5);
    assert_eq!(stage.held().await, ["went-back-before"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_by_itself_waits_where_a_person_went_back_until_somebody_has_it_go_on() {
    let stage = stage("automatic").await;
    for version in ["1", "2"] {
        stage.deployed(version).await;
        minutes(20).await;
    }
    let ana = Caller::new(Actor("ana".to_owned()));
    for id in [development(), production()] {
        let back = stage.engine.rollback(&ana, &id, RollbackRequest::default()).await.unwrap();
        assert_succeeded(&stage.end_of(&back.id).await);
    }
    let [third, fourth] = [stage.announce("3").await, stage.announce("4").await];
    let waits = stage.deferred(&fourth).await;
    assert!(waits.contains("ana went back"), "{waits}");
    let superseded = stage.engine.deployment(&third).await.unwrap();
    assert_eq!(superseded.outcome, Some(Outcome::Superseded), "the newest wins");
    let flow = stage.engine.flow(&shop()).await.unwrap();
    assert_eq!(flow.stages[0].hold.as_ref().unwrap().by, ana.actor);
    // Over a restart, too.
    stage.engine.stop().await;
    let stage = Stage { engine: stage.world.engine(&Life::long()), world: stage.world };
    stage.engine.start().await.unwrap();
    minutes(60).await;
    let waits = stage.deferred(&fourth).await;
    assert!(waits.contains("deployd flow release"), "{waits}");

    let request = ReleaseRequest { reason: Some("mended".to_owned()) };
    stage.engine.release(&ana, &development(), request.clone()).await.unwrap();
    assert_succeeded(&stage.end_of(&fourth).await);
    let before = stage.in_production().await.len();
    minutes(20).await;
    assert_eq!(stage.in_production().await.len(), before, "that is held as well");
    assert_eq!(stage.held().await, ["went-back"]);
    stage.engine.release(&ana, &production(), request.clone()).await.unwrap();
    minutes(1).await;
    assert_eq!(stage.in_production().await.len(), before + 1);
    let again = stage.engine.release(&ana, &production(), request).await.unwrap_err();
    assert!(again.to_string().contains("nothing is held in shop/production"), "{again}");
}

#[tokio::test(start_paused = true)]
async fn each_version_has_its_turn_where_that_is_wanted() {
    let stage = Stage::new().await;
    let mut spec =
        serde_json::to_value(crate::documents::application("shop")).unwrap()["spec"].take();
    spec["flow"][0]["batching"] = json!("each");
    stage.apply(vec![document(DocumentKind::Application, "shop", spec)]).await;
    let mut ids = Vec::new();
    for version in ["1", "2", "3"] {
        ids.push(stage.announce(version).await);
    }
    for id in ids {
        assert_succeeded(&stage.end_of(&id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_deploys_what_is_not_verified_without_saying_why() {
    let stage = stage("manual").await;
    let first = stage.deployed("1").await;
    let refused = stage.promote(None).await.unwrap_err();
    let EngineError::Conflict { message } = &refused else { panic!("{refused}") };
    assert!(message.contains("it has to run in shop/development until"), "{message}");
    assert!(stage.promote(Some(" ")).await.is_err(), "that is no reason");
    let record = stage.promote(Some("the shop is down")).await.unwrap();
    assert_succeeded(&record);
    assert_eq!(record.request.comment.as_deref(), Some("not verified: the shop is down"));
    minutes(20).await;
    stage.deployed("2").await;
    minutes(20).await;
    assert_eq!(stage.in_production().await.len(), 1, "a person promotes");
    let flow = stage.engine.flow(&shop()).await.unwrap();
    assert_eq!(flow.stages[1].standing, StageStanding::Ready);
    assert_succeeded(&stage.promote(None).await.unwrap());
    // What ran here was verified then.
    let request = RollbackRequest::default();
    let back = stage.engine.rollback(&caller(), &production(), request).await.unwrap();
    assert_succeeded(&stage.end_of(&back.id).await);
    // And what runs nowhere before is not.
    let other = DeployRequest {
        environment: Some(production()),
        set_digest: Some(first.request.set),
        ..DeployRequest::default()
    };
    assert!(stage.engine.deploy(&caller(), other).await.is_err());
}
