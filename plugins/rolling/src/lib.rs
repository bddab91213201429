//! Strategy `rolling`: the workloads in batches, each applied and awaited before
//! the next.
//!
//! ```yaml
//! strategy:
//!   plugin: rolling
//!   config:
//!     deadline: 5m            # for each batch; 10 minutes if absent
//!     deadlines: {search: 1h} # for workloads that take longer, or shorter
//!     batch: ordered          # or all: everything at once
//!     max_parallel: 2         # of a batch, at most so many at once
//!     partition: 25           # after 25 % of the workloads, a person promotes
//!     after: [end-to-end]     # checks once every workload is ready,
//!     for: 5m                 # for so long at least
//!     on_inconclusive: pause  # or roll-back: when checks can't tell
//!     on_failure: roll-back   # or stop: a person decides
//! ```
//!
//! A batch of `ordered` is every workload whose predecessors are ready. The pods
//! of a workload are exchanged by the cluster itself, in the manner that its own
//! manifest says: `maxSurge`, `maxUnavailable` and `minReadySeconds` of a
//! Deployment, the `partition` of a StatefulSet. They are set where manifests are
//! made: with `score-k8s` in `rollingUpdate.NAME` of the environment's values, or in
//! the platform's baseline.

mod batches;

use deployd_plugin_sdk::strategy::{Action, Context, Decision, Observation, STABLE, Strategy};
use deployd_plugin_sdk::{Fault, Log, export_strategy};
use rollout::{Checked, Deadlines, Millis, OnFailure, OnInconclusive, Program, Programmed, State};
use serde::Deserialize;
use std::collections::BTreeMap;

struct Rolling;

export_strategy!(Rolling);

/// How to roll.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    #[serde(alias = "deadline_ms")]
    deadline: Millis,
    deadlines: BTreeMap<String, Millis>,
    batch: Batch,
    max_parallel: Option<u32>,
    partition: Option<u32>,
    after: Vec<String>,
    #[serde(rename = "for")]
    duration: Millis,
    on_inconclusive: OnInconclusive,
    on_failure: OnFailure,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline: Deadlines::default().all,
            deadlines: BTreeMap::new(),
            batch: Batch::Ordered,
            max_parallel: None,
            partition: None,
            after: Vec::new(),
            duration: Millis(0),
            on_inconclusive: OnInconclusive::Pause,
            on_failure: OnFailure::RollBack,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Batch {
    All,
    Ordered,
}

impl Strategy for Rolling {
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
        let Self { deadline, deadlines, .. } = context.config.clone();
        let deadlines = Deadlines { all: deadline, by_workload: deadlines };
        let mut program = Program::new(&context.workloads, deadlines, hasty);
        let all = context.workloads.len();
        let held = batches::held(&context.config, all);
        let mut applied = 0;
        for batch in batches::of(context, held)? {
            program.apply(&batch);
            program.await_ready(STABLE, &batch);
            applied += batch.len();
            if Some(applied) == held {
                program.pause(format!("{applied} of {all} workloads are ready: promote to go on"));
            }
        }
        let checked = Checked {
            track: STABLE.to_owned(),
            baseline: None,
            workloads: context.workloads.iter().map(|workload| workload.name.clone()).collect(),
        };
        program.check(&context.config.after, &checked, context.config.duration);
        program.act(Action::Complete, "every workload is ready");
        Ok(program)
    }

    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    fn on_inconclusive(&self) -> OnInconclusive {
        self.on_inconclusive
    }
}

#[cfg(test)]
mod tests;
