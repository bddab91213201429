//! Strategies decide, step by step, how a rollout goes.

mod action;
mod context;
mod observation;

pub use action::{Action, HeaderMatch, HeaderRule, STABLE, Version};
pub use context::{Context, Traffic, Way, Workload};
pub use observation::{
    CHECKS_FAILED, CHECKS_INCONCLUSIVE, CheckResult, Measurement, Observation, Promotion, Verdict,
};

use crate::{Fault, Log};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A pure state machine: the engine acts and observes, the strategy decides.
pub trait Strategy: Sized {
    /// The strategy's configuration, from the environment type.
    type Config: DeserializeOwned;
    /// Where a rollout stands. Bounded, and readable by a later version of the plugin.
    type State: Serialize + DeserializeOwned;

    /// The first action of a rollout.
    fn start(
        context: &Context<Self::Config>,
        log: &impl Log,
    ) -> Result<Decision<Self::State>, Fault>;

    /// The next action, after what came of the last one.
    fn next(
        context: &Context<Self::Config>,
        state: Self::State,
        observation: &Observation,
        log: &impl Log,
    ) -> Result<Decision<Self::State>, Fault>;
}

/// What to do now, and what to remember for later.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<S> {
    /// Handed back with the next observation.
    pub state: S,
    /// What the engine should do.
    pub action: Action,
    /// For the timeline: where this stands, 0 to 100.
    pub progress: u8,
    /// For the timeline: one line.
    pub message: String,
}

/// Makes a [`Strategy`] the plugin's export.
#[macro_export]
macro_rules! export_strategy {
    ($strategy:ty) => {
        const _: () = {
            const fn assert_strategy<S: $crate::strategy::Strategy>() {}
            assert_strategy::<$strategy>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::strategy::Exported<$strategy>;
            $crate::guest::strategy::bindings::__export_strategy!(Exported with_types_in $crate::guest::strategy::bindings);
        };
    };
}
