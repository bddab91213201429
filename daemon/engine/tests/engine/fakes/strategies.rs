//! A rolling strategy, as `wit/strategy.wit` has it: workload by workload, and
//! back when one does not become ready.

use async_trait::async_trait;
use deployd_core::ports::{Call, Decision, Strategies, StrategyContext};
use deployd_core::{Digest, Fault};
use serde_json::{Value, json};

use super::{Instance, programs};

/// What comes at a place: for each workload apply and wait, then the end.
fn decision(call: Call<'_>, context: &StrategyContext, place: usize) -> Decision {
    let names: Vec<&str> =
        context.workloads.as_array().unwrap().iter().map(|w| w["name"].as_str().unwrap()).collect();
    if let Some(program) = context.config["program"].as_array() {
        let action = program.get(place).cloned().unwrap_or(json!({"do": "complete"}));
        let message = format!("place {place} of a program");
        return Decision { state: json!({"place": place}), action, progress: 50, message };
    }
    let deadline = context.config.get("deadline-ms").and_then(Value::as_u64).unwrap_or(60_000);
    let action = match names.get(place / 2) {
        Some(name) if place.is_multiple_of(2) => {
            json!({"do": "apply", "track": "stable", "workloads": [name]})
        }
        Some(name) => json!({
            "do": "await-ready", "track": "stable", "workloads": [name], "deadline-ms": deadline,
        }),
        None if place == 2 * names.len() && context.config.get("pause").is_some() => {
            json!({"do": "pause", "message": "look at it"})
        }
        None => json!({"do": "complete"}),
    };
    let progress = (100 * place / (2 * names.len()).max(1)).min(100) as u8;
    let hasty = call.plugin.digest == Digest::of(b"rolling hasty");
    let message = format!("{} {place}", if hasty { "hastily" } else { "place" });
    Decision { state: json!({"place": place}), action, progress, message }
}

#[async_trait]
impl Strategies for Instance {
    async fn start(&self, call: Call<'_>, context: &StrategyContext) -> Result<Decision, Fault> {
        self.look("strategy start", async {
            self.called(call)?;
            match programs::wanted(context) {
                Some(program) => programs::at(program, 0),
                None => Ok(decision(call, context, 0)),
            }
        })
        .await
    }

    async fn next(
        &self,
        call: Call<'_>,
        context: &StrategyContext,
        state: &Value,
        observation: &Value,
    ) -> Result<Decision, Fault> {
        self.look("strategy next", async { self.called(call) }).await?;
        if let Some(program) = programs::wanted(context) {
            return programs::next(program, state, observation);
        }
        let place = state["place"].as_u64().unwrap() as usize;
        if observation["outcome"] == "done" || observation["outcome"] == "promoted" {
            return Ok(decision(call, context, place + 1));
        }
        let message = observation["message"].as_str().unwrap_or_default();
        Ok(Decision {
            state: state.clone(),
            action: json!({"do": "roll-back", "reason": format!("not ready: {message}")}),
            progress: 0,
            message: "rolling back".to_owned(),
        })
    }
}
