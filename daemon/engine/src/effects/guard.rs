//! Watches what a rollout has brought while the rollout itself only waits: for a
//! person, for a time, for checks; or is stopped by a person. What fails meanwhile is not found out at the
//! next step, which may be hours away, but at once.

use std::sync::Arc;
use std::time::Duration;

use deployd_core::deployment::{Event, StepId, StepKind};
use deployd_core::ports::{CallLog, LogLevel, WorkloadFault};
use deployd_core::{DeploymentId, EnvironmentId, Fault};
use serde_json::Value;
use tokio::sync::watch;

use super::apply::not_ready;
use super::{Brought, Contents, Leave, Record, Work};
use crate::environments::EnvironmentEntry;
use crate::{EngineError, Inner};

/// How often lines of a guard are kept: what a watch sees over hours is little,
/// and nobody waits for it.
const FLUSH_EVERY: Duration = Duration::from_secs(10);

/// The wait after a cluster could not be watched, before it is tried again. It
/// doubles with each failure in a row.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest such wait. A rollout that waits is not ended by a cluster that is
/// away: nothing is known of its pods then, and its checks say so.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is to be recorded once something fails of what this deployment's rollout
/// has brought. Without that it never ends; who starts it drops it when the step
/// no longer waits.
pub(crate) async fn guard(
    engine: Arc<Inner>,
    environment: EnvironmentId,
    entry: Arc<EnvironmentEntry>,
    id: DeploymentId,
    step: StepId,
    contents: Arc<Contents>,
) -> Record {
    let found = entry.state.active.clone().filter(|active| active.id == id);
    let found = found.and_then(|active| Some((active.step(&step)?.clone(), active)));
    let Some((known, deployment)) = found else { return std::future::pending().await };
    let work = Work {
        engine,
        environment,
        state: entry.state.clone(),
        deployment,
        step: known,
        log: CallLog::default(),
        leave: watch::channel(Leave::Stay).1,
        contents,
        brought: Brought::default(),
    };
    let watched = Box::pin(work.watch_out());
    let fault = work.engine.logged_each(FLUSH_EVERY, &id, &step.0, &work.log, watched).await;
    work.log.line(LogLevel::Error, fault.message.clone());
    let lines = work.engine.lines(&id, &step.0, work.log.take()).await;
    let event = Event::StepFailed { deployment: id, step, fault, published: None };
    Record { event, objects: Vec::new(), puts: Vec::new(), lines }
}

impl Work {
    /// Why something has failed; not before it has.
    async fn watch_out(&self) -> Fault {
        let mut pause = PAUSE;
        loop {
            match self.failures().await {
                Ok(faults) if !faults.is_empty() => return not_ready(&faults),
                // Nothing runs yet that could fail.
                Ok(_) => return std::future::pending().await,
                Err(error) => {
                    let message = format!("what runs can't be watched for now: {error}");
                    self.log.line(LogLevel::Warn, message);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// What fails of that which runs in the new version; nothing, and at once,
    /// where nothing does.
    async fn failures(&self) -> Result<Vec<WorkloadFault>, EngineError> {
        if self.is_about_a_failure() {
            return Ok(Vec::new());
        }
        let course = self.course().await?;
        let objects = course.brought();
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let mut reach = self.reach(&course.plan, &course.new.namespace).await?;
        let cluster = &self.engine.ports.cluster;
        loop {
            match cluster.await_failure(&reach.target, &objects, &self.log).await {
                Ok(faults) => return Ok(faults),
                Err(fault) => self.again(&course.plan, &mut reach, fault).await?,
            }
        }
    }

    /// Whether the strategy waits because something has failed, most often for a
    /// person: it knows of that, and would only be told again and again. What checks
    /// have found says nothing of pods.
    fn is_about_a_failure(&self) -> bool {
        let before = self.deployment.steps.iter().take_while(|step| step.id != self.step.id);
        let observed = before.chain([&self.step]).filter_map(|step| match &step.kind {
            StepKind::Decide { observation } => observation.as_ref(),
            _ => None,
        });
        let Some(last) = observed.last() else { return false };
        let text = |pointer| last.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text("/outcome") == "failed" && !text("/code").starts_with("checks-")
    }
}
