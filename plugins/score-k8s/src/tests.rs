#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads better without a & before it")]

use super::*;
use deployd_plugin_sdk::testing::{self, FakeHost};
use serde_json::json;

mod adopted;
mod baselines;
mod workloads;

fn render_with(
    workloads: &[Value],
    values: &Value,
    config: &Value,
    baseline: &str,
) -> Result<Vec<Value>, Fault> {
    let input = testing::input::<ScoreK8s>(workloads, values, config, baseline)?;
    ScoreK8s::render(&input, &FakeHost::new())
}

fn render(workloads: &[Value]) -> Result<Vec<Value>, Fault> {
    render_with(workloads, &json!({}), &json!({}), "")
}

/// A workload of these containers.
fn workload(containers: Value) -> Value {
    json!({
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": "web"},
        "containers": containers,
    })
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind} in {objects:#?}"))
}

fn pod(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")["spec"]["template"]["spec"]
}
