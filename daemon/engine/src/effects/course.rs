//! Where the rollout of a deployment stands, and how the cluster is made to follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployd_core::Fault;
use deployd_core::deployment::{Action, StepKind};
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, Plan};
use deployd_core::ports::ObjectRef;
use deployd_core::rollout::{self, Overlay, STABLE, Tracks, Version, Way, course};
use serde_json::Value;

use super::apply::Waited;
use super::{Ended, Work};
use crate::EngineError;
use crate::records::object;

/// How long more pods of a track may take until they are ready, before they get
/// traffic, or others go that had it. A strategy waits for what it has applied
/// itself; this is for pods that only a division by their number needs.
const MORE_READY_MS: u64 = 10 * 60_000;

/// What a rollout is about, and where it stands before the step that is done now.
pub(super) struct Course {
    pub(super) plan: Arc<Plan>,
    pub(super) new: Arc<Manifests>,
    pub(super) current: Option<Arc<Manifests>>,
    pub(super) ways: BTreeMap<String, Way>,
    pub(super) tracks: Tracks,
}

/// How the traffic of workloads is divided by these manifests.
pub(crate) fn ways(
    plan: &Plan,
    new: &Manifests,
    current: Option<&Manifests>,
) -> Result<BTreeMap<String, Way>, EngineError> {
    let choice = plan.strategy.as_ref().map(|strategy| strategy.traffic).unwrap_or_default();
    rollout::ways(new, current, choice)
        .map_err(|error| Fault::invalid("traffic-impossible", error.to_string()).into())
}

impl Course {
    fn overlay(&self, tracks: &Tracks, workloads: &[String]) -> Overlay {
        rollout::desired(&self.new, self.current.as_deref(), tracks, &self.ways, workloads)
    }

    fn reference(&self, manifest: &Manifest) -> Option<ObjectRef> {
        self.new.reference(&manifest.object)
    }

    /// Workloads whose tracks are others afterwards, in the order of the plan.
    fn changed(&self, after: &Tracks) -> Vec<String> {
        let names = self.plan.workloads.iter().map(|workload| &workload.name);
        names.filter(|name| self.tracks.of(name) != after.of(name)).cloned().collect()
    }

    /// The objects of a track of workloads, as they are there now.
    fn of_track(&self, track: &str, workloads: &[String]) -> Vec<ObjectRef> {
        let there = self.overlay(&self.tracks, workloads).apply;
        let of = |manifest: &&Manifest| is_of(&manifest.owner, workloads);
        let references = there.iter().filter(of).filter_map(|it| self.reference(it));
        let copies: BTreeSet<ObjectRef> = match track {
            STABLE => self.tracks.known().iter().flat_map(|other| self.copies(other)).collect(),
            _ => self.copies(track),
        };
        references.filter(|it| copies.contains(it) != (track == STABLE)).collect()
    }

    /// What runs the pods of a track of workloads.
    pub(super) fn running(&self, track: &str, workloads: &[String]) -> Vec<ObjectRef> {
        self.of_track(track, workloads).into_iter().filter(runs_pods).collect()
    }

    /// What runs pods of the new version, in whichever track.
    pub(super) fn brought(&self) -> Vec<ObjectRef> {
        let mut found = Vec::new();
        for (workload, tracks) in self.tracks.iter() {
            let own = [workload.to_owned()];
            let all = tracks.others.iter().map(|(name, track)| (name.as_str(), track));
            for (name, track) in all.chain([(STABLE, &tracks.stable)]) {
                if track.version == Version::New {
                    found.extend(self.running(name, &own));
                }
            }
        }
        found
    }

    fn copies(&self, track: &str) -> BTreeSet<ObjectRef> {
        let versions = [Some(&self.new), self.current.as_ref()].into_iter().flatten();
        versions.flat_map(|manifests| rollout::copies(manifests, track)).collect()
    }
}

impl Work {
    /// Where the rollout stands before this step.
    pub(super) async fn course(&self) -> Result<Course, EngineError> {
        let plan = self.plan().await?;
        let new = self.rendered().await?;
        let current = self.current().await?;
        let ways = ways(&plan, &new, current.as_deref())?;
        let steps = self.deployment.steps.iter().take_while(|step| step.id != self.step.id);
        let actions = steps.filter_map(|step| match &step.kind {
            StepKind::Rollout { action } if step.started.is_some() => Some(action),
            _ => None,
        });
        let names = plan.workloads.iter().map(|workload| workload.name.as_str());
        let tracks = course::after(names, actions);
        Ok(Course { plan, new, current, ways, tracks })
    }

    /// What runs before this deployment, as it was rendered.
    pub(super) async fn current(&self) -> Result<Option<Arc<Manifests>>, EngineError> {
        let Some(deployed) = &self.state.deployed else { return Ok(None) };
        let store = &*self.engine.ports.store;
        let current = &self.contents.current;
        Ok(Some(current.get(store, "manifests", deployed.manifests).await?))
    }

    /// Makes the cluster be as tracks are after an action.
    pub(super) async fn follow(&self, action: &Action) -> Result<Ended, EngineError> {
        let course = self.course().await?;
        let after = course::then(&course.tracks, action)
            .map_err(|error| Fault::bug(error.code(), error.to_string()))?;
        let workloads = match action {
            Action::Apply { workloads, .. } | Action::Scale { workloads, .. } => workloads.clone(),
            _ => course.changed(&after),
        };
        if let Action::Shift { .. } = action {
            return self.shift(&course, &after, &workloads).await;
        }
        let overlay = course.overlay(&after, &workloads);
        let references = self.put(&course, &overlay.apply).await?;
        if !overlay.remove.is_empty() {
            self.prune_objects(&course.plan, &course.new.namespace, &overlay.remove).await?;
        }
        Ok(Ended::Done(Some(object(&references)?)))
    }

    /// Divides the traffic anew: who will serve has its pods before it does, and
    /// who serves less loses them afterwards.
    async fn shift(
        &self,
        course: &Course,
        after: &Tracks,
        workloads: &[String],
    ) -> Result<Ended, EngineError> {
        let (new, current) = (&course.new, course.current.as_deref());
        let phases =
            rollout::shifting(new, current, &course.tracks, after, &course.ways, workloads);
        let mut applied = Vec::new();
        for phase in phases {
            let references = self.put(course, &phase.apply).await?;
            if phase.is_awaited
                && let Waited::Left = self
                    .await_ready(&course.plan, &new.namespace, &references, MORE_READY_MS)
                    .await?
            {
                return Ok(Ended::Left);
            }
            if !phase.remove.is_empty() {
                self.prune_objects(&course.plan, &new.namespace, &phase.remove).await?;
            }
            applied.extend(references);
        }
        Ok(Ended::Done(Some(object(&applied)?)))
    }

    async fn put(
        &self,
        course: &Course,
        manifests: &[Manifest],
    ) -> Result<Vec<ObjectRef>, EngineError> {
        let objects: Vec<Value> = manifests.iter().map(|it| it.object.clone()).collect();
        self.apply_objects(&course.plan, &course.new.namespace, objects).await
    }

    /// Waits until the pods of a track are ready.
    pub(super) async fn await_track(
        &self,
        track: &str,
        workloads: &[String],
        deadline_ms: u64,
    ) -> Result<Ended, EngineError> {
        let course = self.course().await?;
        let references = course.of_track(track, workloads);
        let namespace = &course.new.namespace;
        Ok(self.await_ready(&course.plan, namespace, &references, deadline_ms).await?.then(None))
    }

    /// Has workloads that were changed run again what they ran before, while
    /// other tracks keep the traffic that they have: those that need others
    /// first, so that nobody meets an older one than they know.
    pub(super) async fn undo_stable(&self) -> Result<Waited, EngineError> {
        let course = self.course().await?;
        let changed: BTreeSet<&String> = self
            .deployment
            .actions()
            .filter_map(|action| match action {
                Action::Apply { track, workloads, .. } | Action::Scale { track, workloads, .. }
                    if track == STABLE =>
                {
                    Some(workloads)
                }
                _ => None,
            })
            .flatten()
            .collect();
        let before = |name: &str| {
            let mut objects = course.current.iter().flat_map(|current| &current.objects);
            objects.any(|it| it.owner == ObjectOwner::Workload(name.to_owned()))
        };
        for workload in course.plan.workloads.iter().rev().map(|workload| &workload.name) {
            if !changed.contains(workload) || !before(workload) {
                continue;
            }
            let own = std::slice::from_ref(workload);
            let tracks = course.tracks.restored(workload);
            let objects = course.overlay(&tracks, own).apply;
            let references = self.put(&course, &objects).await?;
            let namespace = &course.new.namespace;
            let waited =
                self.await_ready(&course.plan, namespace, &references, MORE_READY_MS).await?;
            if let Waited::Left = waited {
                return Ok(Waited::Left);
            }
        }
        Ok(Waited::Ready)
    }
}

pub(super) fn is_of(owner: &ObjectOwner, workloads: &[String]) -> bool {
    matches!(owner, ObjectOwner::Workload(name) if workloads.contains(name))
}

/// Whether an object is one of Kubernetes' controllers of pods that are to run on.
pub(crate) fn runs_pods(object: &ObjectRef) -> bool {
    matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
}
