//! Strategy `rolling-blue-green`: the new version runs whole beside the old one,
//! is checked, and gets the traffic in batches.
//!
//! ```yaml
//! strategy:
//!   plugin: rolling-blue-green
//!   config:
//!     by: weight               # or workloads: one after the other gets all of its traffic
//!     batches: [25, 50, 100]   # percent of all traffic, or of the workloads
//!     before: [smoke]          # checks of the new version before it has traffic
//!     auto_promote: true       # false: a person looks at it and promotes
//!     mirror: {for: 5m, checks: [errors]} # copies of requests first, where a router can
//!     between: [errors]        # checks after each batch but the last
//!     after: [errors, latency] # checks after the last,
//!     for: 2m                  # for so long at least after each
//!     scale_down_delay: 10m    # the old is kept so long, with the same checks running
//!     on_inconclusive: pause   # or roll-back: when checks can't tell
//!     deadline: 10m            # for each batch to become ready
//! ```
//!
//! By workloads without `batches`, those that need no other are switched first,
//! then those that need only them, and so on.

use deployd_plugin_sdk::strategy::{Context, Decision, Observation, Strategy};
use deployd_plugin_sdk::{Fault, Log, export_strategy};
use rollout::{
    Deadlines, Millis, Mirror, OnInconclusive, Parts, Program, Programmed, State, Switch,
};
use serde::Deserialize;

mod batches;

struct RollingBlueGreen;

export_strategy!(RollingBlueGreen);

/// How to switch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    by: By,
    batches: Option<Vec<u32>>,
    before: Vec<String>,
    auto_promote: bool,
    mirror: Option<Mirror>,
    between: Vec<String>,
    after: Vec<String>,
    #[serde(rename = "for", alias = "for_ms")]
    duration: Millis,
    #[serde(alias = "scale_down_delay_ms")]
    scale_down_delay: Millis,
    on_inconclusive: OnInconclusive,
    #[serde(alias = "deadline_ms")]
    deadline: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            by: By::Weight,
            batches: None,
            before: Vec::new(),
            auto_promote: true,
            mirror: None,
            between: Vec::new(),
            after: Vec::new(),
            duration: Millis(0),
            scale_down_delay: Millis(0),
            on_inconclusive: OnInconclusive::Pause,
            deadline: Deadlines::default().all,
        }
    }
}

/// What a batch is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    Weight,
    Workloads,
}

impl Strategy for RollingBlueGreen {
    type Config = Config;
    type State = State;

    fn start(context: &Context<Config>, _: &impl Log) -> Result<Decision<State>, Fault> {
        rollout::start(context)
    }

    fn next(
        context: &Context<Config>,
        state: State,
        observation: &Observation,
        log: &impl Log,
    ) -> Result<Decision<State>, Fault> {
        rollout::next(context, &state, observation, log)
    }
}

impl Programmed for Config {
    fn program(context: &Context<Self>, hasty: Option<usize>) -> Result<Program<'_>, Fault> {
        let config = &context.config;
        let parts = Parts::of(&context.workloads)?;
        let mut program = Program::new(&context.workloads, config.deadline.into(), hasty);
        let switch = Switch {
            before: &config.before,
            auto_promote: config.auto_promote,
            mirror: config.mirror.as_ref(),
            batches: batches::of(config, &parts)?,
            between: &config.between,
            after: &config.after,
            duration: config.duration,
            scale_down_delay: config.scale_down_delay,
        };
        switch.write(&mut program, &parts);
        Ok(program)
    }

    fn on_inconclusive(&self) -> OnInconclusive {
        self.on_inconclusive
    }
}

#[cfg(test)]
mod tests;
