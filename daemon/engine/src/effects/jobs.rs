//! Runs Jobs to their end, and what undoes them.

use deployd_core::DeploymentId;
use deployd_core::deployment::jobs::observed;
use deployd_core::deployment::{DeploymentRecord, Origin, StepId, StepKind, StepStatus};
use deployd_core::plan::{Manifests, Plan};
use deployd_core::ports::{LogLevel, Object, ObjectRef, Store};
use deployd_core::rollout::jobs::{self, JobRun, RolloutJob};

use super::apply::Waited;
use super::pulling::jobs_possible;
use super::{Ended, Leave, Work};
use crate::EngineError;
use crate::records::{content, deployment, object};

/// How much longer than the cluster is waited for: it is the cluster that ends a Job
/// which takes too long, and tells so.
const GRACE_MS: u64 = 60_000;

/// The most deployments of which Jobs are undone by going back once: what lies
/// further back was seldom left in a state to go back to.
const BACK_MAX: usize = 50;

impl Work {
    /// The manifests are made: which Jobs there are to run is recorded with them.
    pub(super) async fn made(
        &self,
        plan: &Plan,
        content: Object,
        manifests: &Manifests,
    ) -> Result<Ended, EngineError> {
        let workloads = plan.workloads.iter().map(|workload| workload.name.as_str());
        let own = || jobs::of(manifests, content.digest, workloads);
        let found = match &self.deployment.request.origin {
            // What runs has run them.
            Origin::Drift { .. } => Vec::new(),
            Origin::Rollback { to, from, .. } => {
                match undone_on_the_way(&*self.engine.ports.store, from, to).await? {
                    Some(undone) => undone,
                    None => own(),
                }
            }
            _ => own(),
        };
        let before = found.iter().filter(|job| job.when == jobs::When::Before);
        let before: Vec<&str> = before.map(|job| job.name.as_str()).collect();
        jobs_possible(plan, &before)?;
        Ok(Ended::Rendered(content, observed(&found)))
    }

    /// Runs a Job, and waits for its end. Those of other deployments go before: two
    /// must not work on the same at the same time.
    pub(super) async fn run_job(&self, job: &RolloutJob) -> Result<Ended, EngineError> {
        let others = self.runs_of_others().await?;
        let manifests = self.manifests_at(job.manifests).await?;
        let plan = self.plan().await?;
        if !others.is_empty() {
            self.prune_objects(&plan, &manifests.namespace, &others).await?;
        }
        self.run_to_its_end(&plan, &manifests, &job.name).await
    }

    /// Ends a Job that may still run, and runs what undoes it.
    pub(super) async fn undo_job(
        &self,
        job: &RolloutJob,
        of: &StepId,
    ) -> Result<Ended, EngineError> {
        let manifests = self.manifests_at(job.manifests).await?;
        let plan = self.plan().await?;
        let step = self.deployment.step(of);
        // One that has come to its end is left, with what it has logged.
        if let Some(step) = step.filter(|step| step.status != StepStatus::Succeeded) {
            let its = jobs::references(&manifests, &job.name, &jobs::tag(&step.key));
            self.prune_objects(&plan, &manifests.namespace, &its).await?;
        }
        match &job.undone_by {
            Some(undone_by) => self.run_to_its_end(&plan, &manifests, undone_by).await,
            None => Ok(Ended::Done(None)),
        }
    }

    async fn run_to_its_end(
        &self,
        plan: &Plan,
        manifests: &Manifests,
        name: &str,
    ) -> Result<Ended, EngineError> {
        let tag = jobs::tag(&self.step.key);
        let objects = jobs::run(manifests, name, &tag);
        let job = jobs::job_reference(manifests, name, &tag)
            .ok_or_else(|| EngineError::bug(format!("the manifests have no Job {name}")))?;
        let namespace = &manifests.namespace;
        self.log.line(LogLevel::Info, format!("running {job}"));
        // A run is this step's alone: who has changed it by hand is passed over.
        let applied = self.apply_objects(plan, namespace, objects, true).await?;
        let deadline_ms = jobs::deadline_seconds(manifests, name).saturating_mul(1_000);
        let deadline_ms = deadline_ms.saturating_add(GRACE_MS);
        match self.await_ready(plan, namespace, &[job], deadline_ms).await {
            Ok(Waited::Ready) => Ok(Ended::Done(Some(object(&applied)?))),
            Ok(Waited::Left) => Ok(Ended::Left),
            Err(error) => {
                // Nobody waits for it any more, so that nobody else ends it.
                if *self.leave.borrow() == Leave::Abandoned {
                    self.prune_objects(plan, namespace, &applied).await?;
                }
                Err(error)
            }
        }
    }

    /// What runs of other deployments' Jobs may have left in the cluster.
    pub(super) async fn runs_of_others(&self) -> Result<Vec<ObjectRef>, EngineError> {
        let is_others =
            |run: &&JobRun| run.deployment != self.deployment.id || self.deployment.is_teardown();
        let mut found = Vec::new();
        for run in self.state.jobs.iter().filter(is_others) {
            let manifests = self.manifests_at(run.manifests).await?;
            found.extend(jobs::references(&manifests, &run.name, &run.tag));
        }
        Ok(found)
    }
}

/// What undoes the Jobs of all deployments on the way back, the last one first;
/// none where the way leads elsewhere, so that it is one forward.
pub(crate) async fn undone_on_the_way(
    store: &dyn Store,
    from: &DeploymentId,
    to: &DeploymentId,
) -> Result<Option<Vec<RolloutJob>>, EngineError> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut id = from.clone();
    for _ in 0..BACK_MAX {
        if id == *to {
            before.extend(after);
            return Ok(Some(before));
        }
        let record = deployment(store, &id).await?;
        if let Origin::Rollback { to: earlier, .. } = &record.request.origin {
            // Going back has undone what was on its way.
            id = earlier.clone();
            continue;
        }
        for job in ran(&record).filter_map(RolloutJob::reverse) {
            match job.when {
                jobs::When::Before => before.push(job),
                jobs::When::After => after.push(job),
            }
        }
        let Some(plan) = record.work.as_ref().and_then(|work| work.plan) else { break };
        let plan: Plan = content(store, "plan", plan).await?;
        let Some(previous) = plan.previous else { break };
        id = previous.deployment;
    }
    Ok(None)
}

/// Jobs that a deployment has run to their end, the last one first.
fn ran(record: &DeploymentRecord) -> impl Iterator<Item = &RolloutJob> {
    let steps = record.work.iter().flat_map(|work| work.steps.iter().rev());
    steps.filter_map(|step| match &step.kind {
        StepKind::Job { job } if step.status == StepStatus::Succeeded => Some(job),
        _ => None,
    })
}
