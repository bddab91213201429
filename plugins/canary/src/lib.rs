//! Strategy `canary`: the new version runs beside the old one and gets more of
//! the traffic step by step, as long as checks find it good.
//!
//! ```yaml
//! strategy:
//!   plugin: canary
//!   config:
//!     steps:
//!       - headers: [{name: x-canary, value: "yes"}] # such requests go to the canary
//!       - mirror: true                # copies of requests go there, too
//!       - weight: 10                  # percent of the traffic
//!       - pause: 10m                  # or {}: until a person promotes
//!       - checks: [errors, latency]
//!         for: 5m                     # at least so long; each once if absent
//!       - scale: 50                   # percent of the wanted replicas, or weight: as the traffic
//!       - weight: 50
//!       - pause: {message: look at the funnel}
//!     background: {checks: [errors]}  # beside every pause and all other checks
//!     baseline: true           # the old version, of the canary's size, to compare with
//!     scale_down_stable: true  # the old gets smaller as its traffic does
//!     on_inconclusive: pause   # or roll-back: when checks can't tell
//!     deadline: 10m            # for each batch to become ready
//! ```
//!
//! The canary has as many percent of the replicas as of the traffic and at least
//! one, unless a step scales it; where traffic is divided by the ratio of replicas,
//! the engine sets their number. After the last step the new version takes the old
//! one's place, in dependency order. The steps are left out where the rollout goes
//! back to what ran a short time ago, and for workloads that are new, did not
//! change, or can have no track: those are applied in place.

mod config;
mod levels;
mod walk;

use config::Config;
use deployd_plugin_sdk::strategy::{Context, Decision, Observation, Strategy};
use deployd_plugin_sdk::{Fault, Log, export_strategy};
use rollout::State;

struct Canary;

export_strategy!(Canary);

impl Strategy for Canary {
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

#[cfg(test)]
mod tests;
