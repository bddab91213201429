//! Compares environments with what was deployed in them: when asked, and as
//! often as their types say ([`schedule`]).

mod branch;
mod check;
mod heal;
mod schedule;
mod turns;

use deployd_core::EnvironmentId;
use deployd_core::deployment::{Deployed, DeploymentRecord, Event, Mode};
use deployd_core::drift::{DriftReport, changes};
use deployd_core::ports::{Batch, Index, Put};

pub(crate) use schedule::start;
pub(crate) use turns::Turns;

use crate::environments::EnvironmentEntry;
use crate::journal::{StoreOrEngine, until_no_conflict, with_objects};
use crate::records::{get, object, put};
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
        let _turn = self.inner.drift.begin(id)?;
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
        let record = until_no_conflict(|| self.inner.heal(caller, id, Mode::Manual, None)).await?;
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
        let checked = self.compare(&entry, &deployed, at).await?;
        let before = self.last_report(id).await?;
        let deployment = deployed.deployment.clone();
        let report = DriftReport::new(id.clone(), deployment.clone(), at, checked, before.as_ref());
        self.unchanged(id, &entry).await?;
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
            let mut appended = self.prepare(id, &entry, caller, &[event]).await?;
            let mut batch = with_objects(std::mem::take(&mut appended.batch), vec![content]);
            batch.puts.push(keep);
            let stored = self.commit(caller, report, batch, &[appended]).await;
            // Nobody works on it, who would look at it again and forget it then.
            self.environments.forget(id);
            stored
        };
        match stored {
            Ok(report) => Ok(report),
            Err(StoreOrEngine::Conflict) => Err(overtaken(id)),
            Err(StoreOrEngine::Engine(error)) => Err(error),
        }
    }

    /// Refuses when something has happened in an environment since.
    async fn unchanged(
        &self,
        id: &EnvironmentId,
        since: &EnvironmentEntry,
    ) -> Result<(), EngineError> {
        match self.environment(id).await?.version == since.version {
            true => Ok(()),
            false => Err(overtaken(id)),
        }
    }
}

fn overtaken(id: &EnvironmentId) -> EngineError {
    EngineError::Conflict {
        message: format!(
            "something has happened in {id} while it was compared, so that the comparison says nothing; ask again"
        ),
    }
}

/// What takes the last report of an environment away.
pub(crate) fn forgotten(id: &EnvironmentId) -> Put {
    Put { index: REPORTS, key: key(id), value: None }
}

/// What runs in an environment in which nothing goes on.
fn idle(id: &EnvironmentId, entry: &EnvironmentEntry) -> Result<Deployed, EngineError> {
    let state = &entry.state;
    if let Some(busy) = state.busy() {
        let message =
            format!("deployment {busy} is under way in {id}; ask again when it has ended");
        return Err(EngineError::Conflict { message });
    }
    let deployed = state.deployed.clone();
    deployed.ok_or_else(|| EngineError::Conflict {
        message: format!("nothing was deployed to {id}, so that nothing can differ from it"),
    })
}
