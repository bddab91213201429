//! Has rollouts rehearsed, and foresees what a plan would do when all goes well: by
//! a strategy that decides in a model, which is quicker than a rehearsal.

use std::time::Duration;

use deployd_core::calendar::Errand;
use deployd_core::config::PluginKind;
use deployd_core::plan::{Manifests, PlannedStrategy};
use deployd_core::ports::{Call, CallLog, Rehearsed, Staged, StrategyContext};
use deployd_core::rehearsal::{Rehearsal, Report, RolloutPreview, Scenario, Scene, Then};
use deployd_core::views::{
    DeployRequest, PlanView, RehearsalView, RehearseRequest, RehearsedStrategy,
};
use deployd_core::{EnvironmentId, Fault};
use serde_json::{Value, json};

use crate::effects::{Rolled, check, ways, workloads};
use crate::planner::scope;
use crate::records::content;
use crate::{Caller, Engine, EngineError, Inner};

/// The longest that a plan waits for what it shows of the rollout: who wants to
/// see a plan does not wait for a slow strategy.
const FORESEEING_MAX: Duration = Duration::from_secs(5);

/// What came of a rehearsal, and weights that can't be reached.
type Played = (Report, Vec<String>);

impl Engine {
    /// How a deployment would be rolled out in the world of a scenario. Nothing is
    /// done, and nothing stored but the answer, for a repeat.
    pub async fn rehearse(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: RehearseRequest,
    ) -> Result<RehearsalView, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let view = Box::pin(self.inner.rehearsed(id, request)).await?;
        self.inner.keep_answer(caller, &view).await?;
        Ok(view)
    }
}

impl Inner {
    async fn rehearsed(
        &self,
        id: &EnvironmentId,
        request: RehearseRequest,
    ) -> Result<RehearsalView, EngineError> {
        let RehearseRequest { strategy, scenario, deploy } = request;
        if let Some(problem) = scenario.problem() {
            return Err(EngineError::invalid("scenario", problem));
        }
        if deploy.environment.as_ref().is_some_and(|named| named != id) {
            return Err(EngineError::invalid("deploy.environment", format!("expected {id}")));
        }
        let deploy = DeployRequest { environment: Some(id.clone()), ..deploy };
        let mut view = Box::pin(self.shown(id, &deploy, Errand::Deployment)).await?;
        if let Some(problem) = view.preview.problem {
            return Err(problem.with_reason("there is nothing to rehearse").into());
        }
        if let Some(other) = strategy {
            self.replace_strategy(&mut view, other).await?;
        }
        let strategy = chosen(&view)?.clone();
        let current = self.current_of(id).await?;
        let ways = ways(&view.plan, &view.preview.manifests, current.as_ref())?;
        self.need(&strategy.plugin).await?;
        let PlanView { plan, preview, .. } = view;
        let staged = Staged {
            environment: id.clone(),
            environment_type: plan.environment_type,
            strategy: strategy.clone(),
            checks: plan.checks,
            workloads: plan.workloads,
            new: preview.manifests,
            current,
            scenario,
        };
        let Rehearsed { report, notes } = self.ports.rehearsals.rehearse(staged).await?;
        Ok(RehearsalView {
            environment: id.clone(),
            strategy: strategy.plugin,
            config: strategy.config,
            traffic: ways.into_iter().map(|(name, way)| (name, way.sentence)).collect(),
            notes,
            report,
        })
    }

    /// How a plan would be rolled out when all goes well. What keeps it from being
    /// foreseen is shown beside the rest of the plan.
    pub(crate) async fn foreseen(
        &self,
        id: &EnvironmentId,
        view: &PlanView,
    ) -> Result<Option<RolloutPreview>, EngineError> {
        let Some(strategy) = &view.plan.strategy else { return Ok(None) };
        if view.preview.problem.is_some() {
            return Ok(None);
        }
        let current = self.current_of(id).await?;
        let ways = match ways(&view.plan, &view.preview.manifests, current.as_ref()) {
            Ok(ways) => ways,
            Err(error) => {
                let problem = Some(error.into_fault());
                return Ok(Some(RolloutPreview { problem, ..RolloutPreview::default() }));
            }
        };
        let shown = RolloutPreview::of(&ways);
        let scenario = Scenario::default();
        let played = self.play(view, current.as_ref(), strategy, &scenario);
        let played = tokio::time::timeout(FORESEEING_MAX, played).await;
        Ok(Some(match played.unwrap_or_else(|_| Err(slow(FORESEEING_MAX).into())) {
            Ok((report, notes)) => shown.with(&report, notes),
            Err(error @ EngineError::Store(_)) => return Err(error),
            Err(error) => RolloutPreview { problem: Some(error.into_fault()), ..shown },
        }))
    }

    /// Has a strategy decide until it has come to an end.
    async fn play(
        &self,
        view: &PlanView,
        current: Option<&Manifests>,
        strategy: &PlannedStrategy,
        scenario: &Scenario,
    ) -> Result<Played, EngineError> {
        let (plan, new) = (&view.plan, &view.preview.manifests);
        let ways = ways(plan, new, current)?;
        let names: Vec<String> = plan.workloads.iter().map(|it| it.name.clone()).collect();
        let rolled = Rolled { plan, new, current, ways: &ways, recent: false };
        let context =
            StrategyContext { config: strategy.config.clone(), workloads: workloads(&rolled) };
        let scene = Scene {
            workloads: &names,
            new,
            current,
            ways: &ways,
            checks: &plan.checks,
            drain_ms: strategy.drain_ms,
        };
        let mut rehearsal = Rehearsal::new(scene, scenario);
        self.need(&strategy.plugin).await?;
        let (scope, log) = (scope(plan, ""), CallLog::default());
        let strategies = &self.ports.strategies;
        let mut told: Option<(Value, Value)> = None;
        loop {
            let call = Call { plugin: &strategy.plugin, scope: &scope, log: &log };
            let decided = match &told {
                None => strategies.start(call, &context).await,
                Some((state, observation)) => {
                    strategies.next(call, &context, state, observation).await
                }
            };
            let then = match decided {
                Ok(decision) => {
                    let checked = check(&decision, plan, rehearsal.tracks(), (new, current), &ways);
                    let then = rehearsal
                        .decided(&decision, checked.map_err(EngineError::into_fault).err());
                    if let Then::Observe(observation) = then {
                        told = Some((decision.state, observation));
                        continue;
                    }
                    then
                }
                Err(fault) => rehearsal.stuck(fault),
            };
            if let Then::Ended(report) = then {
                let notes = rehearsal.shortfalls().iter().cloned().collect();
                return Ok((*report, notes));
            }
        }
    }

    /// What runs, as it was rendered.
    async fn current_of(&self, id: &EnvironmentId) -> Result<Option<Manifests>, EngineError> {
        let entry = self.environment(id).await?;
        match &entry.state.deployed {
            Some(deployed) => {
                Ok(Some(content(&*self.ports.store, "manifests", deployed.manifests).await?))
            }
            None => Ok(None),
        }
    }

    async fn replace_strategy(
        &self,
        view: &mut PlanView,
        other: RehearsedStrategy,
    ) -> Result<(), EngineError> {
        let planned = chosen(view)?;
        let is_same = other.plugin.as_ref().is_none_or(|name| name.as_str() == planned.plugin.name);
        let config = match (is_same, planned.config.as_object()) {
            (true, Some(own)) => {
                let mut config = own.clone();
                config.extend(other.config);
                Value::Object(config)
            }
            _ => json!(other.config),
        };
        let plugin = match other.plugin.filter(|_| !is_same) {
            Some(name) => self.plugin(&name, PluginKind::Strategy).await?.plugin,
            None => planned.plugin.clone(),
        };
        let (traffic, drain_ms) = (planned.traffic, planned.drain_ms);
        view.plan.strategy = Some(PlannedStrategy { plugin, config, traffic, drain_ms });
        Ok(())
    }
}

/// The strategy of a plan that rolls something out.
fn chosen(view: &PlanView) -> Result<&PlannedStrategy, EngineError> {
    let strategy = view.plan.strategy.as_ref();
    strategy.ok_or_else(|| EngineError::invalid("deploy", "this plan rolls nothing out"))
}

fn slow(limit: Duration) -> Fault {
    let message = format!("the strategy has not come to an end within {limit:?} of real time");
    Fault::bug("rehearsal-timeout", message)
}
