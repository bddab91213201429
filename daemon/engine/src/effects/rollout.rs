//! Asks the strategy what to do, and does it.

use std::sync::Arc;

use deployd_core::Fault;
use deployd_core::deployment::{Action, StepStatus};
use deployd_core::plan::{Manifests, ObjectOwner, Plan};
use deployd_core::ports::{Call, LogLevel, ObjectRef, StrategyContext};
use serde_json::{Value, json};

use super::{Ended, Work};
use crate::EngineError;
use crate::records::object;

/// The track of what runs for everybody.
const STABLE: &str = "stable";

/// The longest that a strategy can have readiness waited for: a day.
const DEADLINE_MS_MAX: u64 = 24 * 3_600_000;

/// A paused rollout goes on by an event; looking at it in between has no use.
const PAUSE_POLL_MS: u64 = 15 * 60_000;

impl Work {
    pub(super) async fn decide(&self, observation: Option<&Value>) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        let manifests = self.rendered().await?;
        let strategy = plan
            .strategy
            .as_ref()
            .ok_or_else(|| EngineError::bug("a rollout without a strategy"))?;
        let context = StrategyContext {
            config: strategy.config.clone(),
            workloads: workloads(&plan, &manifests, self.state.deployed.is_some()),
        };
        let scope = self.scope(&plan);
        self.engine.need(&strategy.plugin).await?;
        let call = Call { plugin: &strategy.plugin, scope: &scope, log: &self.log };
        let strategies = &self.engine.ports.strategies;
        let decision = match (observation, &self.deployment.rollout) {
            (Some(observation), Some(rollout)) => {
                strategies.next(call, &context, &rollout.state, observation).await?
            }
            _ => strategies.start(call, &context).await?,
        };
        self.log.line(LogLevel::Info, decision.message.clone());
        Ok(Ended::Decided(decision))
    }

    pub(super) async fn act(&self, action: &Action) -> Result<Ended, EngineError> {
        match action {
            Action::Apply { track, workloads, .. } => {
                let (plan, manifests) = self.track(track).await?;
                let references =
                    self.apply(&plan, &manifests, |owner| is_of(owner, workloads)).await?;
                Ok(Ended::Done(Some(object(&references)?)))
            }
            Action::AwaitReady { track, workloads, deadline_ms } => {
                let (plan, manifests) = self.track(track).await?;
                let references: Vec<ObjectRef> = manifests
                    .of(|owner| is_of(owner, workloads))
                    .iter()
                    .filter_map(|object| manifests.reference(object))
                    .collect();
                // Begins anew with each attempt: the clock on the wall, which
                // alone goes on between two lives, must not end a rollout.
                let deadline_ms = (*deadline_ms).min(DEADLINE_MS_MAX);
                let namespace = &manifests.namespace;
                Ok(self.await_ready(&plan, namespace, &references, deadline_ms).await?.then(None))
            }
            Action::Sleep { ms } => match &self.step.status {
                StepStatus::Pending { .. } => Ok(Ended::Done(None)),
                _ => Ok(Ended::Pending {
                    token: "slept".to_owned(),
                    poll_after_ms: *ms,
                    message: format!("waiting for {ms} ms"),
                }),
            },
            Action::Pause { message } => Ok(Ended::Pending {
                token: "paused".to_owned(),
                poll_after_ms: PAUSE_POLL_MS,
                message: message.clone(),
            }),
            Action::Scale { .. }
            | Action::Shift { .. }
            | Action::RunChecks { .. }
            | Action::Retire { .. } => {
                let message = "this daemon has no tracks yet";
                Err(Fault::invalid("action-unsupported", message).into())
            }
            Action::Complete {} | Action::RollBack { .. } => {
                Err(EngineError::bug("an action that is no step"))
            }
        }
    }

    async fn track(&self, track: &str) -> Result<(Arc<Plan>, Arc<Manifests>), EngineError> {
        if track != STABLE {
            return Err(Fault::invalid(
                "track-unknown",
                format!("the strategy names the track {track:?}; this daemon has only {STABLE:?}"),
            )
            .into());
        }
        Ok((self.plan().await?, self.rendered().await?))
    }
}

fn is_of(owner: &ObjectOwner, workloads: &[String]) -> bool {
    matches!(owner, ObjectOwner::Workload(name) if workloads.contains(name))
}

/// Workloads in dependency order, as strategies see them.
pub(crate) fn workloads(plan: &Plan, manifests: &Manifests, deployed_before: bool) -> Value {
    let replicas = |name: &str| {
        manifests
            .of(|owner| matches!(owner, ObjectOwner::Workload(of) if of == name))
            .iter()
            .find_map(|object| object.pointer("/spec/replicas").and_then(Value::as_u64))
            .unwrap_or(1)
    };
    let previous = plan.previous.as_ref().filter(|_| deployed_before);
    plan.workloads
        .iter()
        .map(|workload| {
            let added = previous
                .is_none_or(|previous| previous.delta.workloads.add.contains_key(&workload.name));
            json!({
                "name": workload.name,
                "replicas": replicas(&workload.name),
                "after": workload.after,
                "current": previous.filter(|_| !added).map(|previous| &previous.deployment),
            })
        })
        .collect()
}
