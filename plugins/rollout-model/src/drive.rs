//! From the first decision to the last.

use crate::{Came, Cluster};
use deployd_plugin_sdk::strategy::{Action, Context, Decision, Strategy};
use deployd_plugin_sdk::testing::{self, FakeHost};
use deployd_plugin_sdk::{Fault, fit};
use serde_json::Value;

/// The most decisions of a rollout.
const ROUNDS_MAX: usize = 500;

/// The largest state, in bytes of JSON.
const STATE_MAX: usize = 2_000;

/// What a strategy promises with its configuration.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Workloads come after those that they need.
    pub ordered: bool,
    /// Each track has the replicas that its part of the traffic needs.
    pub proportional: bool,
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With the new version.
    Completed,
    /// With the old one, for this reason.
    RolledBack(String),
}

/// A rollout.
#[derive(Debug)]
pub struct Run {
    /// What was done, and what came of it.
    pub actions: Vec<(Action, Came)>,
    /// How it ended; none for one that was refused to begin with.
    pub end: Option<End>,
    /// Why it was refused.
    pub refused: Option<Fault>,
}

/// Drives a strategy to its end. The error is what must not happen.
pub fn drive<S: Strategy>(
    config: &Value,
    workloads: &[Value],
    chances: &[u8],
    rules: Rules,
) -> Result<Run, String> {
    let workloads = Value::from(workloads.to_vec());
    let context: Context<S::Config> =
        testing::context(config, &workloads).map_err(|fault| format!("{config}: {fault}"))?;
    let host = FakeHost::new();
    let mut cluster = Cluster::new(&context.workloads, rules);
    let mut run = Run { actions: Vec::new(), end: None, refused: None };
    let mut chances = chances.iter();
    let mut decision = match S::start(&context, &host) {
        Ok(decision) => decision,
        Err(fault) => return Ok(Run { refused: Some(fault), ..run }),
    };
    // What is done to go back may fail, and what holds afterwards is the engine's.
    let mut helpless = false;
    for _ in 0..ROUNDS_MAX {
        let Decision { state, action, progress, message } = decision;
        let at = |why: String| {
            let before: Vec<String> = run
                .actions
                .iter()
                .map(|(action, came)| format!("{action:?} -> {came:?}"))
                .collect();
            format!("{message} ({action:?}): {why}\nafter {}", before.join("\n"))
        };
        if progress > 100 || message.is_empty() {
            return Err(at(format!("progress {progress}, message {message:?}")));
        }
        let came = Came::draw(chances.next().copied().unwrap_or(0), &action);
        let is_back = message.starts_with("going back");
        helpless |= is_back && matches!(came, Came::Failed | Came::Aborted | Came::Unknown);
        // Readiness is not there either when a person speaks up at the wrong time.
        helpless |= is_back && came != Came::Done;
        let acted = cluster.act(&action, came);
        let ended = match &action {
            Action::Complete => Some((cluster.completed(), End::Completed)),
            Action::RollBack { reason } => {
                Some((cluster.rolled_back(), End::RolledBack(reason.clone())))
            }
            _ => None,
        };
        if let Some((sound, end)) = ended {
            sound.or_else(|why| if helpless { Ok(()) } else { Err(at(why)) })?;
            run.actions.push((action, Came::Done));
            return Ok(Run { end: Some(end), ..run });
        }
        acted.or_else(|why| if helpless { Ok(()) } else { Err(at(why)) })?;
        let state = reread::<S>(&state).map_err(at)?;
        let observation =
            fit("observation", came.observation(&action)).map_err(|f| f.to_string())?;
        run.actions.push((action, came));
        decision = S::next(&context, state, &observation, &host)
            .map_err(|fault| format!("next: {fault}\nafter {:#?}", run.actions))?;
    }
    Err(format!("no end after {ROUNDS_MAX} decisions: {:#?}", run.actions))
}

/// A state after the host has kept it.
fn reread<S: Strategy>(state: &S::State) -> Result<S::State, String> {
    let text = serde_json::to_string(state).map_err(|error| error.to_string())?;
    if text.len() > STATE_MAX {
        return Err(format!("a state of {} bytes", text.len()));
    }
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
