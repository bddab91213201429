//! What is wrong with one thing holds up no other.

use deployd_core::config::{Document, DocumentKind};
use deployd_engine::EngineError;
use serde_json::json;

use crate::documents::{self, artifact, document};
use crate::world::{Stage, assert_succeeded, caller, request};

/// An application that wants the shop's images too, and whose flow leads to an
/// environment that was never applied.
fn careless() -> Document {
    let rule = json!({"repository": "registry.test/shop/frontend", "workload": "frontend"});
    let spec = json!({
        "workloads": ["frontend"],
        "artifacts": [rule],
        "flow": [{"environment": "nowhere", "automatic": {"ref": "refs/heads/main"}}],
    });
    document(DocumentKind::Application, "careless", spec)
}

#[tokio::test(start_paused = true)]
async fn i14_a_bad_flow_of_one_application_holds_up_no_other() {
    let stage = Stage::new().await;
    let workload = documents::workload("careless", "frontend", json!({}), json!({}));
    stage.apply(vec![careless(), workload]).await;
    let artifacts = ["frontend", "backend"].map(|name| artifact(name, "1")).to_vec();
    let announced = stage.engine.announce(&caller(), artifacts).await.unwrap();
    let of = |application: &str| {
        let is = |route: &&deployd_core::views::Route| {
            route.environment.application.as_str() == application
        };
        announced.routes.iter().find(is).unwrap().clone()
    };
    assert!(of("careless").problem.unwrap().contains("nowhere"));
    assert_succeeded(&stage.end_of(&of("shop").deployment.unwrap()).await);
    let events = stage.world.events().await;
    let recorded = events.iter().find(|event| event.stream.0 == "artifacts/careless").unwrap();
    assert!(recorded.event.body["routes"][0]["problem"].as_str().unwrap().contains("nowhere"));
}

#[tokio::test(start_paused = true)]
async fn artifacts_that_lead_to_nothing_but_a_bad_flow_are_refused() {
    let stage = Stage::new().await;
    let workload = documents::workload("careless", "frontend", json!({}), json!({}));
    let application = documents::document(
        DocumentKind::Application,
        "shop",
        json!({"workloads": ["frontend", "backend"], "flow": []}),
    );
    stage.apply(vec![careless(), workload, application]).await;
    let refused = stage.engine.announce(&caller(), vec![artifact("frontend", "1")]).await;
    assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_templater_that_fails_leaves_the_rest_of_the_plan_to_be_seen() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let templater = |config| documents::plugin("templater", "templater", config);
    stage.apply(vec![templater(json!({"fails": true}))]).await;
    let view = stage.engine.plan(&request()).await.unwrap();
    assert_eq!(view.preview.problem.unwrap().code, "baseline-invalid");
    assert!(view.preview.changes.is_empty());
    assert!(!view.plan.resources.is_empty());
    stage.apply(vec![templater(json!({}))]).await;
    assert!(stage.engine.plan(&request()).await.unwrap().preview.problem.is_none());
}
