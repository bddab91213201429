//! Strategies decide, step by step, how a rollout goes.

mod action;

pub use action::{Action, Observation};

use crate::{Fault, Log, document};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// What a rollout is about; the same in every call of one deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Context<C> {
    /// The strategy's configuration.
    pub config: C,
    /// The workloads to roll out, in dependency order.
    pub workloads: Vec<Workload>,
}

/// One workload of a rollout.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Workload {
    /// The workload's name.
    pub name: String,
    /// How many replicas are wanted.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The workloads that must be ready before this one.
    #[serde(default)]
    pub after: Vec<String>,
    /// What runs now, if anything does.
    #[serde(default)]
    pub current: Option<Value>,
}

fn one() -> u32 {
    1
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

impl<C: DeserializeOwned> Context<C> {
    pub(crate) fn read(config: &str, workloads: &str) -> Result<Self, Fault> {
        Ok(Self {
            config: document::read("config", config)?,
            workloads: document::read("workloads", workloads)?,
        })
    }
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
