//! Strategy `blue-green`: the new version runs whole beside the old one, is
//! checked, and gets all traffic at once.
//!
//! ```yaml
//! strategy:
//!   plugin: blue-green
//!   config:
//!     before: [smoke]          # checks of the new version before it has traffic
//!     auto_promote: false      # a person looks at it and promotes; true if absent
//!     mirror: {for: 5m, checks: [errors]} # copies of requests first, where a router can
//!     after: [errors, latency] # checks once it has all traffic,
//!     for: 5m                  # for so long at least
//!     scale_down_delay: 10m    # the old is kept so long, with the same checks running
//!     on_inconclusive: pause   # or roll-back: when checks can't tell
//!     deadline: 10m            # for each batch to become ready
//! ```
//!
//! Until the delay is over, going back is one switch. A workload that is new, did
//! not change, or can have no track is applied in place, in dependency order.

use deployd_plugin_sdk::strategy::{Context, Decision, Observation, Strategy};
use deployd_plugin_sdk::{Fault, Log, export_strategy};
use rollout::{
    Batch, Deadlines, Millis, Mirror, OnInconclusive, Parts, Program, Programmed, State, Switch,
};
use serde::Deserialize;

struct BlueGreen;

export_strategy!(BlueGreen);

/// How to switch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    before: Vec<String>,
    auto_promote: bool,
    mirror: Option<Mirror>,
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
            before: Vec::new(),
            auto_promote: true,
            mirror: None,
            after: Vec::new(),
            duration: Millis(0),
            scale_down_delay: Millis(0),
            on_inconclusive: OnInconclusive::Pause,
            deadline: Deadlines::default().all,
        }
    }
}

impl Strategy for BlueGreen {
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
            batches: vec![Batch::Weight(100)],
            between: &[],
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
