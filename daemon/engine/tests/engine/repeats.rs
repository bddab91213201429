//! I12: a deployment is executed with what it was planned with, and the same
//! again gives the same bytes.

use deployd_core::deployment::DeploymentRecord;
use deployd_core::views::DeployRequest;
use deployd_core::{DeploymentId, Digest};
use serde_json::json;

use crate::documents::plugin;
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller};

fn manifests(record: &DeploymentRecord) -> Digest {
    record.work.as_ref().unwrap().result("render").unwrap()
}

async fn again(stage: &Stage, of: &DeploymentId) -> DeploymentRecord {
    let request = DeployRequest { redeploy: Some(of.clone()), ..DeployRequest::default() };
    let id = stage.engine.deploy(&caller(), request).await.unwrap().id;
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    record
}

#[tokio::test(start_paused = true)]
async fn i12_the_same_again_gives_the_same_bytes() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let before = stage.world.cluster().objects.clone();
    let second = stage.deployed("2").await;
    assert_ne!(manifests(&first), manifests(&second));
    let third = again(&stage, &first.id).await;
    assert_eq!(manifests(&first), manifests(&third));
    assert_eq!(first.request.set, third.request.set);
    assert_eq!(stage.world.cluster().objects, before);
    let texts = [&first, &third].map(|record| record.id.clone());
    let [one, other] = [
        stage.engine.manifests(&texts[0]).await.unwrap(),
        stage.engine.manifests(&texts[1]).await.unwrap(),
    ];
    assert_eq!(serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&other).unwrap());
}

#[tokio::test(start_paused = true)]
async fn i12_a_deployment_keeps_its_plugins_over_a_swap_and_a_crash() {
    let mut stage = Stage::new().await;
    stage.world.drivers().script("postgres").pending = 3;
    let id = stage.announce("1").await;
    let begun =
        |world: &crate::world::World| !world.drivers().calls_of("provision", "postgres").is_empty();
    stage.until("the database is being made", begun).await;
    stage.apply(vec![plugin("postgres", "driver", json!({"version": "2"}))]).await;
    stage.engine.abort();
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    let old = Digest::of(b"postgres 1");
    let calls = stage.world.drivers().calls_of("provision", "postgres");
    assert!(calls.len() > 2);
    assert!(calls.iter().all(|call| call.plugin == old), "{calls:#?}");

    assert_succeeded(&stage.deployed("2").await);
    let last = stage.world.drivers().calls_of("provision", "postgres").pop().unwrap();
    assert_eq!(last.plugin, Digest::of(b"postgres 2"), "and the next one has the new");
}
