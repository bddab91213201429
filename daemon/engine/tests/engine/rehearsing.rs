//! What is rehearsed, and what a plan foresees.

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
async fn what_would_be_deployed_is_rehearsed_and_nothing_is_done() {
    let stage = running(checked(), measured(json!(["passed"]), json!({"count": 3}))).await;
    let before = (stage.state().await, stage.world.cluster().objects.clone());
    let errors = json!({"new": {"errorRate": 0.1}});
    let view = rehearsed(&stage, errors, json!({})).await.unwrap();
    assert_eq!(view.report.ended, Ending::Completed, "{view:#?}");
    assert_eq!(view.strategy.name, "rolling");
    assert!(view.traffic["frontend"].contains("by the number of pods"), "{:?}", view.traffic);
    assert_eq!(view.notes, ["it was quick"]);

    let staged = stage.world.staged.lock().unwrap().remove(0);
    assert_eq!(staged.strategy.plugin, view.strategy);
    assert_eq!(staged.strategy.config["program"], checked());
    assert_eq!(staged.scenario.new.error_rate, 0.1);
    let check = &staged.checks[&"errors".parse().unwrap()];
    assert_eq!(check.timing.count, 3);
    let names: Vec<&str> = staged.workloads.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["backend", "frontend"], "in the order of the plan");
    assert!(staged.workloads[1].after.contains("backend"));
    assert_eq!(staged.new.namespace, "shop-development");
    let current = staged.current.expect("what runs");
    assert_eq!(current.references(), staged.new.references());

    let program = json!([apply("canary"), shift(90), shift(5)]);
    rehearsed(&stage, json!({}), json!({"program": program})).await.unwrap();
    let staged = stage.world.staged.lock().unwrap().remove(0);
    assert_eq!(staged.strategy.config["program"], program, "in the place of the type's own");

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
