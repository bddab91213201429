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
use crate::records::content;
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
        let record = Box::pin(self.inner.past(id)).await?;
        let mut lost = Lost::default();
        let plan: Option<Plan> = match record.work.as_ref().and_then(|work| work.plan) {
            Some(digest) => lost.part(content(store, "plan", digest).await)?,
            None => None,
        };
        let manifests = lost.part(Box::pin(rendered(&self.inner, &record)).await)?.flatten();
        let changed = match &plan {
            Some(plan) => {
                let before = lost.part(self.inner.rendered_before(plan).await)?;
                let both = manifests.as_ref().zip(before);
                let objects = both.map(|(after, before)| changes(&before, after));
                Some(debug::changed(plan, objects.unwrap_or_default()))
            }
            None => None,
        };
        let now = self.inner.ports.clock.now();
        let lines = lines.clamp(1, DEBUG_LINES_MAX);
        let last = lost.part(self.inner.last_lines(&record, lines).await)?.unwrap_or_default();
        let applied = Box::pin(self.inner.applied(&record, &mut lost)).await?;
        let mut view = DebugView {
            changed,
            timeline: debug::timeline(&record, plan.as_ref(), now),
            logs: last.lines,
            lines_left_out: last.left_out,
            applied,
            failures: debug::failures(&record),
            then: last.snapshot.map(|(at, snapshot)| Seen { at, snapshot }),
            now: None,
            not_seen: None,
            advice: None,
            details_gone: last.gone,
            lost: lost.0,
            record,
        };
        let fault = view.record.fault.as_ref();
        let fault = fault.or_else(|| view.record.work.as_ref()?.failure.as_ref());
        view.advice = fault.map(|fault| advice(fault).to_owned());
        let entry = self.inner.environment(&view.record.environment).await?;
        let runs = entry.state.deployed.as_ref().is_some_and(|it| it.deployment == *id)
            || entry.state.active.as_ref().is_some_and(|it| it.id == *id);
        if let (true, Some(plan), Some(manifests)) = (runs, &plan, &manifests) {
            match Box::pin(self.inner.seen(&entry, plan, manifests)).await {
                Ok(seen) => view.now = Some(seen),
                Err(fault) => view.not_seen = Some(fault),
            }
        }
        Ok(view)
    }

    /// Drops what is kept of old deployments beside their records, as their
    /// types of environments say: that of how many. It is done now and then
    /// without being asked for. What is old was seen to be so a while before, so
    /// that the first time drops nothing.
    pub async fn drop_old_details(&self) -> Result<u64, EngineError> {
        self.inner.drop_old_details().await
    }
}

/// What is recorded of a deployment and can't be read any more: the rest is shown
/// all the same.
#[derive(Default)]
pub(crate) struct Lost(pub(crate) Vec<String>);

impl Lost {
    pub(crate) fn part<T>(
        &mut self,
        part: Result<T, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        match part {
            Ok(part) => Ok(Some(part)),
            Err(error) if error.may_pass() => Err(error),
            Err(error) => {
                self.0.push(error.to_string());
                Ok(None)
            }
        }
    }
}

/// The end of a log.
#[derive(Default)]
struct LastLines {
    lines: Vec<deployd_core::views::LogEntry>,
    left_out: u64,
    snapshot: Option<(deployd_core::Timestamp, deployd_core::ports::Snapshot)>,
    gone: bool,
}

impl Inner {
    async fn last_lines(
        &self,
        record: &DeploymentRecord,
        max: usize,
    ) -> Result<LastLines, EngineError> {
        let (store, id) = (&*self.ports.store, &record.id);
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
        // Something is kept of each that has ended, be it that there was nothing.
        let gone = last == 0 && record.outcome.is_some() && record.work.is_some();
        Ok(LastLines { lines, left_out: before, snapshot: None, gone })
    }

    /// The manifests of what ran before a plan.
    pub(crate) async fn rendered_before(&self, plan: &Plan) -> Result<Manifests, EngineError> {
        let Some(previous) = &plan.previous else { return Ok(Manifests::default()) };
        let record = self.past(&previous.deployment).await?;
        Ok(rendered(self, &record).await?.unwrap_or_default())
    }

    /// Objects that the steps of a deployment have applied.
    async fn applied(
        &self,
        record: &DeploymentRecord,
        lost: &mut Lost,
    ) -> Result<Vec<ObjectRef>, EngineError> {
        let applies = |kind: &StepKind| {
            let action = StepKind::ApplyResources == *kind || StepKind::Restore == *kind;
            let job = matches!(kind, StepKind::Job { .. } | StepKind::Undo { .. });
            action || job || matches!(kind, StepKind::Rollout { action: Action::Apply { .. } })
        };
        let steps = record.work.iter().flat_map(|work| work.steps.iter());
        let results: Vec<Digest> =
            steps.filter(|step| applies(&step.kind)).filter_map(|step| step.result).collect();
        let mut found = BTreeSet::new();
        for digest in results {
            let some: Result<Vec<ObjectRef>, _> =
                content(&*self.ports.store, "objects", digest).await;
            found.extend(lost.part(some)?.into_iter().flatten());
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

pub(crate) async fn rendered(
    engine: &Inner,
    record: &DeploymentRecord,
) -> Result<Option<Manifests>, EngineError> {
    match record.work.as_ref().and_then(|work| work.result("render")) {
        Some(digest) => Ok(Some(content(&*engine.ports.store, "manifests", digest).await?)),
        None => Ok(None),
    }
}
