//! What a strategy would do, told before it does.

use deployd_core::rehearsal::{Ending, Scenario};
use deployd_core::views::{DeployRequest, RehearsalView, RehearseRequest, RehearsedStrategy};
use deployd_engine::EngineError;
use serde_json::{Value, from_value, json};

use crate::rollouts::{apply, measured, pause, ready, retire, running, shift};
use crate::world::{Stage, caller, development};

fn checked() -> Value {
    let check = json!({"do": "run-checks", "checks": ["errors"], "track": "canary"});
    json!([
        apply("canary"),
        ready("canary"),
        shift(25),
        check,
        pause(),
        shift(50),
        check,
        apply("stable"),
        ready("stable"),
        shift(0),
        retire(),
    ])
}

async fn rehearsed(
    stage: &Stage,
    scenario: Value,
    config: Value,
) -> Result<RehearsalView, EngineError> {
    let scenario: Scenario = from_value(scenario).unwrap();
    let config = from_value(config).unwrap();
    let strategy = Some(RehearsedStrategy { plugin: None, config });
    let request = RehearseRequest { strategy, scenario, deploy: DeployRequest::default() };
    stage.engine.rehearse(&caller(), &development(), request).await
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_rehearsed_and_nothing_is_done() {
    let stage = running(checked(), measured(json!(["passed"]), json!({"count": 3}))).await;
    let before = (stage.state().await, stage.world.cluster().objects.clone());
    let well = rehearsed(&stage, json!({}), json!({})).await.unwrap();
    assert_eq!(well.report.ended, Ending::Completed, "{well:#?}");
    assert_eq!(well.report.requests.failed, 0.0);
    assert_eq!(well.report.weight_max, 100);
    assert_eq!(well.strategy.name, "rolling");
    assert!(well.traffic["frontend"].contains("by the number of pods"), "{:?}", well.traffic);

    let errors = json!({"new": {"errorRate": 0.1}});
    let badly = rehearsed(&stage, errors.clone(), json!({})).await.unwrap();
    let Ending::RolledBack { reason, .. } = &badly.report.ended else { panic!("{badly:#?}") };
    assert!(reason.contains("10.00 % of the requests fail"), "{reason}");
    assert!(badly.report.weight_max <= 25);
    assert!(!badly.report.checks["errors"].passed);
    assert_eq!(badly, rehearsed(&stage, errors, json!({})).await.unwrap(), "the same once more");

    let program = json!([apply("canary"), shift(90), shift(5)]);
    let other = rehearsed(&stage, json!({}), json!({"program": program})).await.unwrap();
    let Ending::Stuck { fault } = &other.report.ended else { panic!("{other:#?}") };
    assert_eq!(fault.code, "rollout-unfinished", "as the engine has it");
    assert!(other.notes.iter().any(|note| note.contains("5 % of workload")), "{:?}", other.notes);

    assert!(stage.world.asked_of_checks.lock().unwrap().is_empty());
    assert_eq!((stage.state().await, stage.world.cluster().objects.clone()), before);
    let wrong = rehearsed(&stage, json!({"new": {"errorRate": 7}}), json!({})).await;
    assert!(wrong.unwrap_err().to_string().contains("new.errorRate: found 7"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_shows_how_it_would_be_rolled_out() {
    let stage = running(checked(), measured(json!(["passed"]), json!({}))).await;
    let request = DeployRequest { environment: Some(development()), ..DeployRequest::default() };
    let shown = stage.engine.plan(&request).await.unwrap().preview.rollout.unwrap();
    assert_eq!(shown.problem, None);
    assert_eq!(shown.steps[2].what, "shift to canary 25 %, stable 75 %");
    assert_eq!(shown.steps[2].weight, 25);
    assert_eq!(shown.steps.last().unwrap().weight, 100);
    assert_eq!(shown.traffic.len(), 2);

    // What can't be is said before, and the rest of the plan is shown.
    let stage = running(json!([shift(10)]), json!({})).await;
    let view = stage.engine.plan(&request).await.unwrap();
    assert_eq!(view.preview.rollout.unwrap().problem.unwrap().code, "track-unknown");
    assert!(!view.preview.manifests.objects.is_empty());
}
