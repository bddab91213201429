//! Gathers all that is known of one deployment.

use std::collections::BTreeSet;
use std::time::Duration;

use deployd_core::advice::advice;
use deployd_core::debug::{self, DebugView, Seen};
use deployd_core::deployment::{Action, DeploymentRecord, StepKind};
use deployd_core::plan::{Manifests, ObjectOwner, Plan, changes};
use deployd_core::ports::{CallLog, ObjectRef};
use deployd_core::{DeploymentId, Digest, Fault};

use crate::effects::{Contents, Way};
use crate::environments::EnvironmentEntry;
use crate::logs::last_sequence;
use crate::records::{content, deployment};
use crate::{Engine, EngineError, Inner};

/// How long a cluster may take to say how its pods are: somebody waits.
pub(crate) const SNAPSHOT_MAX: Duration = Duration::from_secs(8);

/// The most lines of a log in one view.
pub const DEBUG_LINES_MAX: usize = 2_000;

impl Engine {
    /// All that is known of a deployment, with the last `lines` of its log. How
    /// its pods are now is asked of the cluster while it runs, and while what it
    /// has brought is what runs.
    pub async fn debug(&self, id: &DeploymentId, lines: usize) -> Result<DebugView, EngineError> {
        let store = &*self.inner.ports.store;
        let record = deployment(store, id).await?;
        let plan: Option<Plan> = match record.work.as_ref().and_then(|work| work.plan) {
            Some(digest) => Some(content(store, "plan", digest).await?),
            None => None,
        };
        let manifests = rendered(&self.inner, &record).await?;
        let changed = match &plan {
            Some(plan) => {
                let before = match &plan.previous {
                    Some(previous) => {
                        let record = deployment(store, &previous.deployment).await?;
                        rendered(&self.inner, &record).await?
                    }
                    None => None,
                };
                let before = before.unwrap_or_default();
                let objects = manifests.as_ref().map(|after| changes(&before, after));
                Some(debug::changed(plan, objects.unwrap_or_default()))
            }
            None => None,
        };
        let now = self.inner.ports.clock.now();
        let last = self.inner.last_lines(id, lines.clamp(1, DEBUG_LINES_MAX)).await?;
        let mut view = DebugView {
            changed,
            timeline: debug::timeline(&record, plan.as_ref(), now),
            logs: last.lines,
            lines_left_out: last.left_out,
            applied: self.inner.applied(&record).await?,
            failures: debug::failures(&record),
            then: last.snapshot.map(|(at, snapshot)| Seen { at, snapshot }),
            now: None,
            not_seen: None,
            advice: None,
            details_gone: last.gone,
            record,
        };
        let fault = view.record.fault.as_ref();
        let fault = fault.or_else(|| view.record.work.as_ref()?.failure.as_ref());
        view.advice = fault.map(|fault| advice(fault).to_owned());
        let entry = self.inner.environment(&view.record.environment).await?;
        let runs = entry.state.deployed.as_ref().is_some_and(|it| it.deployment == *id)
            || entry.state.active.as_ref().is_some_and(|it| it.id == *id);
        if let (true, Some(plan), Some(manifests)) = (runs, &plan, &manifests) {
            match self.inner.seen(&entry, plan, manifests).await {
                Ok(seen) => view.now = Some(seen),
                Err(fault) => view.not_seen = Some(fault),
            }
        }
        Ok(view)
    }

    /// Drops what is kept of old deployments beside their records, as their
    /// types of environments say: that of how many. It is done now and then
    /// without being asked for.
    pub async fn drop_old_details(&self) -> Result<u64, EngineError> {
        self.inner.drop_old_details().await
    }
}

/// The end of a log.
struct LastLines {
    lines: Vec<deployd_core::views::LogEntry>,
    left_out: u64,
    snapshot: Option<(deployd_core::Timestamp, deployd_core::ports::Snapshot)>,
    gone: bool,
}

impl Inner {
    async fn last_lines(&self, id: &DeploymentId, max: usize) -> Result<LastLines, EngineError> {
        let store = &*self.ports.store;
        if let Some(mut details) = self.details_of(id).await? {
            let surplus = details.logs.len().saturating_sub(max);
            details.logs.drain(..surplus);
            return Ok(LastLines {
                lines: details.logs,
                left_out: details.left_out.saturating_add(surplus as u64),
                snapshot: details.snapshot,
                gone: false,
            });
        }
        let last = last_sequence(store, id).await?;
        let before = last.saturating_sub(max as u64);
        let lines = self.read_log(id, before, max).await?;
        let ended = deployment(store, id).await?;
        let gone = last == 0 && ended.outcome.is_some() && ended.work.is_some();
        Ok(LastLines { lines, left_out: before, snapshot: None, gone })
    }

    /// Objects that the steps of a deployment have applied.
    async fn applied(&self, record: &DeploymentRecord) -> Result<Vec<ObjectRef>, EngineError> {
        let applies = |kind: &StepKind| {
            let action = StepKind::ApplyResources == *kind || StepKind::Restore == *kind;
            action || matches!(kind, StepKind::Rollout { action: Action::Apply { .. } })
        };
        let steps = record.work.iter().flat_map(|work| work.steps.iter());
        let results: Vec<Digest> =
            steps.filter(|step| applies(&step.kind)).filter_map(|step| step.result).collect();
        let mut found = BTreeSet::new();
        for digest in results {
            let some: Vec<ObjectRef> = content(&*self.ports.store, "objects", digest).await?;
            found.extend(some);
        }
        Ok(found.into_iter().collect())
    }

    /// How the pods of a deployment's workloads are now.
    pub(crate) async fn seen(
        &self,
        entry: &EnvironmentEntry,
        plan: &Plan,
        manifests: &Manifests,
    ) -> Result<Seen, Fault> {
        let of_workload = |owner: &ObjectOwner| matches!(owner, ObjectOwner::Workload(_));
        let objects: Vec<ObjectRef> = manifests
            .objects
            .iter()
            .filter(|manifest| of_workload(&manifest.owner))
            .filter_map(|manifest| manifests.reference(&manifest.object))
            .collect();
        let (contents, log) = (Contents::default(), CallLog::default());
        let way = Way {
            engine: self,
            state: &entry.state,
            plan,
            deployment: "",
            key: String::new(),
            contents: &contents,
            log: &log,
        };
        let looked = async {
            let target = way.as_it_is(&manifests.namespace).await?;
            Ok::<_, EngineError>(self.ports.cluster.snapshot(&target, &objects).await?)
        };
        match tokio::time::timeout(SNAPSHOT_MAX, looked).await {
            Ok(Ok(snapshot)) => Ok(Seen { at: self.ports.clock.now(), snapshot }),
            Ok(Err(error)) => Err(error.into_fault()),
            Err(_) => Err(Fault::transient(
                "snapshot-timeout",
                format!("the cluster did not answer within {} s", SNAPSHOT_MAX.as_secs()),
            )),
        }
    }
}

async fn rendered(
    engine: &Inner,
    record: &DeploymentRecord,
) -> Result<Option<Manifests>, EngineError> {
    match record.work.as_ref().and_then(|work| work.result("render")) {
        Some(digest) => Ok(Some(content(&*engine.ports.store, "manifests", digest).await?)),
        None => Ok(None),
    }
}
