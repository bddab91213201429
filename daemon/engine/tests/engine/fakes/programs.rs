//! A strategy that does what a wild program says: it may trap, return what it
//! returned before, and go on when it should not.

use deployd_core::Fault;
use deployd_core::ports::{Decision, StrategyContext};
use serde_json::{Value, json};

/// The program, if the environment's type has one: `actions`, and what to do
/// `onFailure`: `roll-back`, `go-on`, or `pause`.
pub fn wanted(context: &StrategyContext) -> Option<&Value> {
    context.config.get("wild")
}

fn decide(place: usize, stopped: bool, action: Value) -> Decision {
    let state = json!({"place": place, "stopped": stopped});
    Decision { state, action, progress: 50, message: format!("place {place} of a wild program") }
}

/// What comes at a place.
pub fn at(program: &Value, place: usize) -> Result<Decision, Fault> {
    let action = program["actions"].get(place).cloned().unwrap_or(json!({"do": "complete"}));
    match action["do"].as_str() {
        Some("trap") => Err(Fault::bug("plugin-trapped", "wasm trap: unreachable")),
        // The state of before, and what it led to.
        Some("back") => at(program, place.saturating_sub(action["by"].as_u64().unwrap() as usize)),
        _ => Ok(decide(place, false, action)),
    }
}

/// What comes after what was observed.
pub fn next(program: &Value, state: &Value, observation: &Value) -> Result<Decision, Fault> {
    let place = state["place"].as_u64().unwrap() as usize;
    let outcome = observation["outcome"].as_str().unwrap_or_default();
    if outcome == "retried" {
        return at(program, place);
    }
    if outcome == "done" || outcome == "promoted" {
        return at(program, place + 1);
    }
    let message = observation["message"].as_str().unwrap_or_default();
    let rolls_back = json!({"do": "roll-back", "reason": format!("not well: {message}")});
    match program["onFailure"].as_str() {
        Some("go-on") => at(program, place + 1),
        Some("pause") if state["stopped"] == false => {
            Ok(decide(place, true, json!({"do": "pause", "message": message})))
        }
        _ => Ok(decide(place, true, rolls_back)),
    }
}
