//! Heals what a check has found: deploys again what is deployed. By itself only
//! where that does nothing else.

use std::sync::Arc;

use deployd_core::calendar::Errand;
use deployd_core::config::{Heal, WhenUnused};
use deployd_core::deployment::{DeploymentRecord, Event, Mode, Origin, Request, Schedule, queue};
use deployd_core::drift::{DriftReport, Healing, Unhealable, healing};
use deployd_core::plan::Plan;
use deployd_core::ports::{Batch, DriverAction};
use deployd_core::set::DeploymentSet;
use deployd_core::{Actor, Digest, EnvironmentId};

use super::{REPORTS, idle, key};
use crate::environments::EnvironmentEntry;
use crate::journal::StoreOrEngine;
use crate::records::{content, put};
use crate::{Caller, EngineError, Inner};

impl Inner {
    /// What a scheduled check has found is healed, where that is wanted; where it
    /// is not, the report says why.
    pub(super) async fn heal_by_itself(
        self: &Arc<Self>,
        id: &EnvironmentId,
        report: DriftReport,
        heal: Heal,
    ) -> Result<(), EngineError> {
        let why = self.healed_or_why_not(id, &report, heal).await?;
        if why == report.not_healed {
            return Ok(());
        }
        if let Some(why) = &why {
            tracing::info!(environment = %id, why, "drift is not healed by itself");
        }
        let report = DriftReport { not_healed: why, ..report };
        let puts = vec![put(REPORTS, key(id), &report)?];
        self.ports.store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }

    /// Heals what is to be healed now; says why something else is not.
    async fn healed_or_why_not(
        self: &Arc<Self>,
        id: &EnvironmentId,
        report: &DriftReport,
        heal: Heal,
    ) -> Result<Option<String>, EngineError> {
        let entry = self.environment(id).await?;
        let Some(state) = &entry.state.drift else { return Ok(None) };
        let caller = Caller::new(Actor::deployd());
        match healing(heal, report, state, self.ports.clock.now()) {
            Healing::Nothing => Ok(None),
            Healing::Later(at) => {
                Ok(Some(format!("it was healed a while ago; again not before {at}")))
            }
            Healing::Never(why) => Ok(Some(why.to_string())),
            Healing::GiveUp => {
                let deployment = report.deployment.clone();
                let event = Event::HealingGivenUp { deployment, heals: state.heals };
                let mut appended = self.prepare(id, &entry, &caller, &[event]).await?;
                let batch = std::mem::take(&mut appended.batch);
                self.ports.store.append(batch).await?;
                self.appended(&appended);
                self.environments.forget(id);
                Ok(Some(Unhealable::GivenUp.to_string()))
            }
            Healing::Now => {
                let plan = match self.healing_plan(id, &entry).await? {
                    Ok(plan) => plan,
                    Err(why) => return Ok(Some(why)),
                };
                match self.heal(&caller, id, Mode::Automatic, Some(plan)).await {
                    Ok(_) => self.workers.wake(self, id),
                    // Somebody was quicker, and deploys.
                    Err(StoreOrEngine::Conflict) => {}
                    Err(StoreOrEngine::Engine(error)) => return Err(error),
                }
                Ok(None)
            }
        }
    }

    /// The plan of a deployment that heals and does nothing else. Otherwise why
    /// there is none: then deploying again is for people.
    async fn healing_plan(
        &self,
        id: &EnvironmentId,
        entry: &EnvironmentEntry,
    ) -> Result<Result<Digest, String>, EngineError> {
        let deployed = idle(id, entry)?;
        let store = &*self.ports.store;
        let set: DeploymentSet = content(store, "set", deployed.set).await?;
        let recorded: Plan = content(store, "plan", deployed.plan).await?;
        let mut now = match self.plan(id, &entry.state, &set, ("", Errand::Rollback)).await {
            Ok(planned) => planned.plan,
            Err(error @ (EngineError::Store(_) | EngineError::Conflict { .. })) => {
                return Err(error);
            }
            Err(error) => return Ok(Err(format!("what runs can't be planned anew: {error}"))),
        };
        if let Some(why) = brings_more(&recorded, &now) {
            return Ok(Err(why.to_owned()));
        }
        // What others have changed is what it is for.
        now.take_over_fields = true;
        Ok(Ok(Digest::of_json(&now).map_err(EngineError::bug)?))
    }

    /// Asks for a deployment of what is deployed; by this plan, if one is given.
    pub(super) async fn heal(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        mode: Mode,
        plan: Option<Digest>,
    ) -> Result<DeploymentRecord, StoreOrEngine> {
        let entry = self.environment(id).await?;
        let deployed = idle(id, &entry)?;
        let request = Request {
            set: deployed.set,
            mode,
            origin: Origin::Drift { of: deployed.deployment.clone() },
            comment: None,
            expected_plan: plan,
            confirm_replace: false,
            teardown: None,
            schedule: Schedule::default(),
        };
        let events = queue(&entry.state, &self.new_deployment_id(), request)
            .map_err(|full| EngineError::Conflict { message: full.to_string() })?;
        let record = self.ask(caller, id, &entry, &events, Vec::new()).await?;
        crate::Counts::count(&self.counts.accepted);
        Ok(record)
    }
}

/// Whether deploying again would do more than heal: documents, plugins or what is
/// borrowed have changed since, or something would be made anew or taken away.
fn brings_more(recorded: &Plan, now: &Plan) -> Option<&'static str> {
    let drivers = |plan: &Plan| -> Vec<_> {
        plan.resources.iter().map(|(uid, one)| (uid.clone(), one.driver.clone())).collect()
    };
    let is_same = now.graph == recorded.graph
        && now.values == recorded.values
        && now.templater == recorded.templater
        && now.strategy == recorded.strategy
        && now.environment_type == recorded.environment_type
        && now.pull == recorded.pull
        && drivers(now) == drivers(recorded);
    if !is_same {
        return Some("documents or plugins have changed since it was deployed");
    }
    if now.borrowed != recorded.borrowed {
        return Some("a resource that another environment lends has changed since it was deployed");
    }
    if now.unused.iter().any(|unused| unused.when_unused == WhenUnused::Destroy) {
        return Some("a resource that nothing asks for any more would be destroyed with it");
    }
    let harms = |action| {
        matches!(action, DriverAction::Create | DriverAction::Replace | DriverAction::Destroy)
    };
    let harmed = now.resources.values().any(|planned| harms(planned.action));
    harmed.then_some("a driver would make a resource anew")
}
