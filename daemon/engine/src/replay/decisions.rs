//! The strategy's decisions, each asked for again.

use deployd_core::deployment::{Event, StepKind};
use deployd_core::plan::Manifests;
use deployd_core::ports::{Call, CallLog, Decision, PluginRef, StrategyContext};
use deployd_core::replay::{Part, ReplayedPart, differences};
use deployd_core::{Digest, Fault};
use serde_json::{Value, json};

use super::{Past, missing};
use crate::EngineError;
use crate::effects::{Rolled, ways, workloads};
use crate::records::content;

impl Past<'_> {
    /// What the strategy decided, each decision from what is recorded before it.
    pub(super) async fn decisions(&self) -> Result<ReplayedPart, EngineError> {
        let part = ReplayedPart::new(
            Part::Decisions,
            "each decision of the strategy, from its recorded state and the recorded observation",
        );
        let Some(digest) = self.work.result("render").filter(|_| self.work.rollout.is_some())
        else {
            return Ok(part.nothing("it never came to a rollout"));
        };
        let Some(strategy) = &self.plan.strategy else {
            return Ok(part.without("a strategy in the plan"));
        };
        let plugin = match self.loaded(&strategy.plugin).await? {
            Ok(plugin) => plugin,
            Err(why) => return Ok(part.without(why)),
        };
        let part = ReplayedPart { plugin: Some(plugin.clone()), ..part };
        let store = &*self.engine.ports.store;
        let rendered = content::<Manifests>(store, "manifests", digest).await;
        let events = self.engine.events_of(self.record).await;
        let (manifests, events) = match (rendered, events) {
            (Ok(manifests), Ok(events)) => (manifests, events),
            (Err(error), _) | (_, Err(error)) => return Ok(part.without(missing(error)?)),
        };
        let current = match self.current().await {
            Ok(current) => current,
            Err(error) => return Ok(part.without(missing(error)?)),
        };
        let context = StrategyContext {
            config: strategy.config.clone(),
            workloads: workloads(&Rolled {
                plan: &self.plan,
                new: &manifests,
                current: current.as_ref(),
                ways: &ways(&self.plan, &manifests, current.as_ref())?,
                recent: self.record.request.origin.is_recent(),
            }),
        };
        let (mut before, mut recorded, mut replayed) = (None::<Value>, Vec::new(), Vec::new());
        let mut found = Vec::new();
        for event in events {
            let event = serde_json::from_value(event.event.body).map_err(EngineError::bug)?;
            let Event::RolloutDecided { step, state, action, progress, message, .. } = event else {
                continue;
            };
            let observation = match self.work.step(&step).map(|step| &step.kind) {
                Some(StepKind::Decide { observation }) => observation.clone(),
                _ => return Ok(part.without(format!("the record of step {step}"))),
            };
            let asked = (before.as_ref(), observation.as_ref());
            let made = self.decide(&plugin, &context, asked).await;
            let old = Decision { state, action, progress, message };
            let new = match made {
                Ok(decision) => json!(decision),
                Err(fault) if fault.is_transient() => return Err(fault.into()),
                Err(fault) => json!({ "fault": fault }),
            };
            before = Some(old.state.clone());
            let old = json!(old);
            found.extend(differences(&step.0, &old, &new));
            recorded.push(old);
            replayed.push(new);
        }
        if recorded.is_empty() {
            return Ok(part.without("the journal's events of its rollout"));
        }
        let digest = |all: &[Value]| Digest::of_json(&all).map_err(EngineError::bug);
        Ok(part.compared(digest(&recorded)?, digest(&replayed)?, found))
    }

    /// What ran before, as it was rendered.
    async fn current(&self) -> Result<Option<Manifests>, EngineError> {
        let Some(previous) = &self.plan.previous else { return Ok(None) };
        let digest = match previous.manifests {
            Some(digest) => digest,
            None => {
                let record = self.engine.past(&previous.deployment).await?;
                let digest = record.work.as_ref().and_then(|work| work.result("render"));
                digest.ok_or_else(|| {
                    let what = format!("manifests of deployment {}", previous.deployment);
                    EngineError::not_found(what)
                })?
            }
        };
        Ok(Some(content(&*self.engine.ports.store, "manifests", digest).await?))
    }

    async fn decide(
        &self,
        plugin: &PluginRef,
        context: &StrategyContext,
        asked: (Option<&Value>, Option<&Value>),
    ) -> Result<Decision, Fault> {
        let (scope, log) = (self.scope(), CallLog::default());
        let call = Call { plugin, scope: &scope, log: &log };
        let strategies = &self.engine.ports.strategies;
        match asked {
            (Some(state), Some(observation)) => {
                strategies.next(call, context, state, observation).await
            }
            _ => strategies.start(call, context).await,
        }
    }
}
