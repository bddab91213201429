//! Compares environments with what was deployed in them: when asked, and as
//! often as their types say ([`schedule`]).

mod check;
mod schedule;

use std::sync::Arc;

use deployd_core::config::Heal;
use deployd_core::deployment::{Deployed, DeploymentRecord, Event, Mode, Origin, Request, queue};
use deployd_core::drift::{DriftReport, Healing, changes, healing};
use deployd_core::plan::Plan;
use deployd_core::ports::{Batch, DriverAction, Index};
use deployd_core::set::DeploymentSet;
use deployd_core::{Actor, EnvironmentId};

pub(crate) use schedule::{Stop, start};

use crate::environments::EnvironmentEntry;
use crate::journal::{StoreOrEngine, until_no_conflict, with_objects};
use crate::records::{content, get, object, put};
use crate::{Caller, Engine, EngineError, Inner};

/// The last report of an environment. Not made of events: a check that finds
/// what the one before it has found is none.
const REPORTS: Index = Index("drift");

fn key(id: &EnvironmentId) -> Vec<u8> {
    id.to_string().into_bytes()
}

impl Engine {
    /// Compares an environment with what was deployed in it, now. What is new in
    /// it is an event; nothing is healed. Refused while a deployment is active
    /// or waits, and when one has begun meanwhile.
    pub async fn check_drift(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<DriftReport, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        self.inner.known(id).await?;
        self.inner.look_for_drift(caller, id).await
    }

    /// The last report of an environment.
    pub async fn drift(&self, id: &EnvironmentId) -> Result<DriftReport, EngineError> {
        self.inner.known(id).await?;
        let report = self.inner.last_report(id).await?;
        report.ok_or_else(|| EngineError::not_found(format!("check of {id} for drift yet")))
    }

    /// Deploys again what is deployed, taking fields over from others: what was
    /// changed by hand is as it was deployed, as far as a deployment can make it.
    pub async fn heal_drift(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            self.inner.workers.wake(&self.inner, id);
            return Ok(answer);
        }
        self.inner.known(id).await?;
        let record = until_no_conflict(|| self.inner.heal(caller, id, Mode::Manual)).await?;
        self.inner.workers.wake(&self.inner, id);
        Ok(record)
    }
}

impl Inner {
    async fn known(&self, id: &EnvironmentId) -> Result<(), EngineError> {
        match self.configuration().await?.environments.contains_key(id) {
            true => Ok(()),
            false => Err(EngineError::not_found(format!("environment {id}"))),
        }
    }

    async fn last_report(&self, id: &EnvironmentId) -> Result<Option<DriftReport>, EngineError> {
        get(&*self.ports.store, REPORTS, &key(id)).await
    }

    /// Compares, and keeps what came of it, if nothing has happened meanwhile.
    pub(super) async fn look_for_drift(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<DriftReport, EngineError> {
        let entry = self.environment(id).await?;
        let deployed = idle(id, &entry)?;
        let at = self.ports.clock.now();
        let checked = self.compare(&entry.state, &deployed).await?;
        let before = self.last_report(id).await?;
        let deployment = deployed.deployment.clone();
        let report = DriftReport::new(id.clone(), deployment.clone(), at, checked, before.as_ref());
        let overtaken = || EngineError::Conflict {
            message: format!(
                "something has happened in {id} while it was compared, so that the comparison says nothing; ask again"
            ),
        };
        if self.environment(id).await?.version != entry.version {
            return Err(overtaken());
        }
        // What was told last is what counts: a report that was kept and not told
        // has told nothing new.
        let found = changes(before.as_ref(), &report);
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let keep = put(REPORTS, key(id), &report)?;
        let stored = if found.is_empty() {
            let batch = Batch { puts: vec![keep], ..Batch::default() };
            self.commit(caller, report, batch, &[]).await
        } else {
            let content = object(&report)?;
            let event = Event::DriftChanged {
                deployment,
                report: content.digest,
                summary: report.summary,
                new: count(found.new.len()),
                gone: count(found.gone.len()),
            };
            let mut appended = self.prepare(id, &entry, &caller.actor, &[event]).await?;
            let mut batch = with_objects(std::mem::take(&mut appended.batch), vec![content]);
            batch.puts.push(keep);
            self.commit(caller, report, batch, &[appended]).await
        };
        match stored {
            Ok(report) => Ok(report),
            Err(StoreOrEngine::Conflict) => Err(overtaken()),
            Err(StoreOrEngine::Engine(error)) => Err(error),
        }
    }

    /// What a scheduled check has found is healed, where that is wanted.
    pub(super) async fn heal_by_itself(
        self: &Arc<Self>,
        id: &EnvironmentId,
        report: &DriftReport,
        heal: Heal,
    ) -> Result<(), EngineError> {
        let entry = self.environment(id).await?;
        let Some(state) = &entry.state.drift else { return Ok(()) };
        let caller = Caller::new(Actor::deployd());
        match healing(heal, report, state, self.ports.clock.now()) {
            Healing::Nothing | Healing::Later(_) => {}
            Healing::Never(why) => tracing::debug!(environment = %id, %why, "drift is not healed"),
            Healing::GiveUp => {
                let deployment = report.deployment.clone();
                let event = Event::HealingGivenUp { deployment, heals: state.heals };
                let mut appended = self.prepare(id, &entry, &caller.actor, &[event]).await?;
                let batch = std::mem::take(&mut appended.batch);
                self.ports.store.append(batch).await?;
                self.appended(&appended);
            }
            Healing::Now => {
                if let Some(why) = self.brings_more(id, &entry).await? {
                    tracing::warn!(environment = %id, why, "drift is not healed by itself");
                    return Ok(());
                }
                match self.heal(&caller, id, Mode::Automatic).await {
                    Ok(_) => self.workers.wake(self, id),
                    // Somebody was quicker, and deploys.
                    Err(StoreOrEngine::Conflict) => {}
                    Err(StoreOrEngine::Engine(error)) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Whether deploying again would do more than heal: documents or plugins have
    /// changed since, or a driver would make something anew. That is for people.
    async fn brings_more(
        &self,
        id: &EnvironmentId,
        entry: &EnvironmentEntry,
    ) -> Result<Option<&'static str>, EngineError> {
        let deployed = idle(id, entry)?;
        let store = &*self.ports.store;
        let set: DeploymentSet = content(store, "set", deployed.set).await?;
        let recorded: Plan = content(store, "plan", deployed.plan).await?;
        let now = self.plan(id, &entry.state, &set, "").await?.plan;
        let drivers = |plan: &Plan| -> Vec<_> {
            plan.resources.iter().map(|(uid, one)| (uid.clone(), one.driver.clone())).collect()
        };
        let is_same = now.graph == recorded.graph
            && now.values == recorded.values
            && now.templater == recorded.templater
            && now.strategy == recorded.strategy
            && now.environment_type == recorded.environment_type
            && drivers(&now) == drivers(&recorded);
        if !is_same {
            return Ok(Some("documents or plugins have changed since it was deployed"));
        }
        let harms = |action| {
            matches!(action, DriverAction::Create | DriverAction::Replace | DriverAction::Destroy)
        };
        let harmed = now.resources.values().any(|planned| harms(planned.action));
        Ok(harmed.then_some("a driver would make a resource anew"))
    }

    /// Asks for a deployment of what is deployed.
    async fn heal(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        mode: Mode,
    ) -> Result<DeploymentRecord, StoreOrEngine> {
        let entry = self.environment(id).await?;
        let deployed = idle(id, &entry)?;
        let request = Request {
            set: deployed.set,
            mode,
            origin: Origin::Drift { of: deployed.deployment.clone() },
            comment: None,
            expected_plan: None,
            confirm_replace: false,
            teardown: None,
        };
        let events = queue(&entry.state, &self.new_deployment_id(), request)
            .map_err(|full| EngineError::Conflict { message: full.to_string() })?;
        let mut appended = self.prepare(id, &entry, &caller.actor, &events).await?;
        let record = appended
            .record
            .clone()
            .ok_or_else(|| EngineError::bug("a request without an event"))?;
        let batch = std::mem::take(&mut appended.batch);
        let record = self.commit(caller, record, batch, &[appended]).await?;
        crate::Counts::count(&self.counts.accepted);
        Ok(record)
    }
}

/// What runs in an environment in which nothing goes on.
fn idle(id: &EnvironmentId, entry: &EnvironmentEntry) -> Result<Deployed, EngineError> {
    let state = &entry.state;
    let busy = state.active.as_ref().map(|active| &active.id);
    if let Some(busy) = busy.or_else(|| state.queue.first().map(|queued| &queued.id)) {
        let message =
            format!("deployment {busy} is under way in {id}; ask again when it has ended");
        return Err(EngineError::Conflict { message });
    }
    let deployed = state.deployed.clone();
    deployed.ok_or_else(|| EngineError::Conflict {
        message: format!("nothing was deployed to {id}, so that nothing can differ from it"),
    })
}
