//! Deployments with thousands of resources.

use deployd_core::config::Document;
use deployd_core::ports::Store;
use serde_json::{Map, json};

use crate::checks::check;
use crate::documents;
use crate::world::{Stage, assert_succeeded, development};

/// Twice what one value of a store could hold when all was in one.
const RESOURCES: usize = 2_000;

fn backend(resources: usize) -> Document {
    let resources: Map<_, _> = (0..resources)
        .map(|n| (format!("r{n}"), json!({"type": "dns", "id": format!("shared-{n}")})))
        .collect();
    documents::workload("shop", "backend", json!({}), resources.into())
}

#[tokio::test(start_paused = true)]
async fn i10_a_deployment_with_two_thousand_resources_works() {
    let stage = Stage::new().await;
    stage.apply(vec![backend(RESOURCES)]).await;
    let record = stage.deployed("1").await;
    assert_succeeded(&record);
    assert!(record.work.unwrap().steps.len() > RESOURCES);
    let resources = stage.engine.resources(&development()).await.unwrap();
    assert!(resources.len() > RESOURCES);
    stage.all_told().await;
    stage.engine.stop().await;
    let documents: Vec<_> =
        documents::platform().into_iter().chain(documents::shop("shop")).collect();
    check(&stage.world, &documents).await;
    // The head of the environment is as small as any.
    let index = deployd_core::ports::Index("environments");
    let head = stage.world.store.get(index, b"shop/development").await.unwrap().unwrap();
    assert!(head.len() < 2_000, "{}", head.len());
}
