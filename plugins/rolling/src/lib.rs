//! Strategy `rolling`: the workloads in batches, each applied and awaited before
//! the next.
//!
//! ```yaml
//! strategy:
//!   plugin: rolling
//!   config:
//!     deadline_ms: 300000   # for each batch; 10 minutes if absent
//!     batch: ordered        # or all: everything at once
//!     on_failure: roll-back # or stop: a person decides
//! ```
//!
//! A batch of `ordered` is every workload whose predecessors are ready. Pods are
//! exchanged by the cluster itself, as the Deployment's `strategy` says.

mod batches;

use deployd_plugin_sdk::strategy::{
    Action, Context, Decision, Observation, STABLE, Strategy, Version,
};
use deployd_plugin_sdk::{Fault, Log, export_strategy};
use serde::{Deserialize, Serialize};

struct Rolling;

export_strategy!(Rolling);

/// How to roll.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    deadline_ms: u64,
    batch: Batch,
    on_failure: OnFailure,
}

impl Default for Config {
    fn default() -> Self {
        Self { deadline_ms: 600_000, batch: Batch::Ordered, on_failure: OnFailure::RollBack }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Batch {
    All,
    Ordered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OnFailure {
    RollBack,
    Stop,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Which batch is under way.
    batch: usize,
    doing: Doing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Doing {
    Applying,
    Awaiting,
    /// A failure was left for a person.
    Stopped,
    /// `complete` or `roll-back` was said: nothing may follow.
    Ended,
}

impl Strategy for Rolling {
    type Config = Config;
    type State = State;

    fn start(context: &Context<Config>, _: &impl Log) -> Result<Decision<State>, Fault> {
        begin(context, 0)
    }

    fn next(
        context: &Context<Config>,
        state: State,
        observation: &Observation,
        log: &impl Log,
    ) -> Result<Decision<State>, Fault> {
        match (observation, state.doing) {
            (_, Doing::Ended) => Err(Fault::conflict("this rollout has ended")),
            (Observation::Aborted { message }, _) => {
                let why = if message.is_empty() { "a person wanted it" } else { message };
                Ok(roll_back(context, &state, format!("aborted: {why}")))
            }
            // Whoever resumes a rollout that has stopped wants the batch tried again.
            (Observation::Done { .. } | Observation::Promoted { .. }, Doing::Stopped) => {
                begin(context, state.batch)
            }
            (Observation::Done { .. } | Observation::Promoted { .. }, Doing::Applying) => {
                await_ready(context, &state)
            }
            (Observation::Done { .. } | Observation::Promoted { .. }, Doing::Awaiting) => {
                begin(context, state.batch.saturating_add(1))
            }
            (Observation::Retried, Doing::Stopped) => begin(context, state.batch),
            (Observation::Failed { message, .. }, _) => Ok(failed(context, &state, message)),
            (Observation::Retried | Observation::Other, _) => {
                log.warn("an outcome that this strategy does not know: taken for a failure");
                Ok(failed(context, &state, "unknown outcome"))
            }
        }
    }
}

/// Applies a batch, or completes when there is none left.
fn begin(context: &Context<Config>, batch: usize) -> Result<Decision<State>, Fault> {
    let batches = batches::of(context)?;
    let Some(workloads) = batches.get(batch) else {
        return Ok(Decision {
            state: State { batch, doing: Doing::Ended },
            action: Action::Complete,
            progress: 100,
            message: "every workload is ready".to_owned(),
        });
    };
    Ok(Decision {
        state: State { batch, doing: Doing::Applying },
        action: Action::Apply {
            track: STABLE.to_owned(),
            workloads: workloads.clone(),
            version: Version::New,
            percent: 100,
        },
        progress: percent(2 * batch, 2 * batches.len()),
        message: format!("applying {}", workloads.join(", ")),
    })
}

fn await_ready(context: &Context<Config>, state: &State) -> Result<Decision<State>, Fault> {
    let batches = batches::of(context)?;
    let workloads = batches.get(state.batch).cloned().unwrap_or_default();
    Ok(Decision {
        state: State { batch: state.batch, doing: Doing::Awaiting },
        progress: percent(2 * state.batch + 1, 2 * batches.len()),
        message: format!("waiting for {}", workloads.join(", ")),
        action: Action::AwaitReady {
            track: STABLE.to_owned(),
            workloads,
            deadline_ms: context.config.deadline_ms,
        },
    })
}

fn failed(context: &Context<Config>, state: &State, message: &str) -> Decision<State> {
    match context.config.on_failure {
        OnFailure::RollBack => roll_back(context, state, message.to_owned()),
        OnFailure::Stop => Decision {
            state: State { batch: state.batch, doing: Doing::Stopped },
            action: Action::Pause { message: message.to_owned() },
            progress: progress(context, state),
            message: format!("stopped: {message}"),
        },
    }
}

fn roll_back(context: &Context<Config>, state: &State, reason: String) -> Decision<State> {
    Decision {
        state: State { batch: state.batch, doing: Doing::Ended },
        message: format!("rolling back: {reason}"),
        action: Action::RollBack { reason },
        progress: progress(context, state),
    }
}

fn progress(context: &Context<Config>, state: &State) -> u8 {
    let batches = batches::of(context).map_or(1, |batches| batches.len());
    percent(2 * state.batch, 2 * batches)
}

fn percent(part: usize, whole: usize) -> u8 {
    let percent = part.saturating_mul(100).checked_div(whole).unwrap_or(100);
    u8::try_from(percent.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests;
