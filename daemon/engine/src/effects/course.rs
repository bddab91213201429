//! Where the rollout of a deployment stands, and how the cluster is made to follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployd_core::Fault;
use deployd_core::deployment::{Action, StepKind, StepStatus};
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, Plan};
use deployd_core::ports::{LogLevel, ObjectRef};
use deployd_core::pull::delegation::delegated;
use deployd_core::rollout::course::Came;
use deployd_core::rollout::{self, Overlay, STABLE, Tracks, Version, Via, Way, course};
use deployd_core::seeded::{Bug, seeded};
use serde_json::Value;

use super::apply::Waited;
use super::{Ended, Work};
use crate::EngineError;
use crate::records::object;

/// How long pods of a track may take until they are ready, before they get
/// traffic, or others go that had it. A strategy waits for what it has applied
/// itself, and this is no wait then; it is for pods that only a division by their
/// number needs, and for a strategy that has forgotten it.
pub(super) const MORE_READY_MS: u64 = 10 * 60_000;

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
    let mut ways = rollout::ways(new, current, choice)
        .map_err(|error| Fault::invalid("traffic-impossible", error.to_string()))?;
    let by_request = plan.pull.as_ref().is_some_and(|git| git.pull_request.is_some());
    for way in ways.values_mut().filter(|_| by_request) {
        let reason = "each of its steps would be a pull request that somebody has to merge";
        way.no_tracks.get_or_insert_with(|| reason.to_owned());
    }
    Ok(ways)
}

/// What is applied before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// Copies may need it: a ServiceAccount, a ConfigMap.
    Rendered,
    Copies,
}

impl Course {
    pub(super) fn overlay(&self, tracks: &Tracks, workloads: &[String]) -> Overlay {
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
        self.of_track(track, workloads).into_iter().filter(ObjectRef::runs_pods).collect()
    }

    /// What runs pods of the new version, in whichever track; but for tracks that
    /// could not be applied, of which it is known.
    pub(super) fn brought(&self) -> Vec<ObjectRef> {
        let mut found = Vec::new();
        for (workload, tracks) in self.tracks.iter() {
            let own = [workload.to_owned()];
            let all = tracks.others.iter().map(|(name, track)| (name.as_str(), track));
            for (name, track) in all.chain([(STABLE, &tracks.stable)]) {
                if track.version == Version::New && !tracks.uncertain.contains(name) {
                    found.extend(self.running(name, &own));
                }
            }
        }
        found
    }

    /// What runs pods that get more requests after a shift, and that may not all be
    /// there: those of tracks that this rollout has made, and of `stable` where a
    /// division by their number took some from it.
    fn gaining(&self, before: &Tracks, after: &Tracks) -> Vec<ObjectRef> {
        let mut found = before.gaining(after);
        for (name, tracks) in after.iter() {
            let by_pods = self.ways.get(name).is_some_and(|way| way.via == Via::Service);
            let weight = before.of(name).map_or(0, |before| before.weight(STABLE));
            let stable = (STABLE.to_owned(), name.to_owned());
            if by_pods && tracks.weight(STABLE) > weight && !found.contains(&stable) {
                found.push(stable);
            }
        }
        found
            .iter()
            .flat_map(|(track, name)| self.running(track, std::slice::from_ref(name)))
            .collect()
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
        let tracks = self.tracks(&plan, seeded(Bug::FailedActionPassesForDone));
        Ok(Course { plan, new, current, ways, tracks })
    }

    /// The tracks before this step; what has failed may count as if it were done.
    fn tracks(&self, plan: &Plan, with_failed: bool) -> Tracks {
        let steps = self.deployment.steps.iter().take_while(|step| step.id != self.step.id);
        let actions = steps.filter_map(|step| match &step.kind {
            StepKind::Rollout { action } if step.started.is_some() => {
                let is_done = step.status == StepStatus::Succeeded || with_failed;
                Some((action, if is_done { Came::Done } else { Came::Failed }))
            }
            _ => None,
        });
        let names = plan.workloads.iter().map(|workload| workload.name.as_str());
        course::after(names, actions)
    }

    /// Whether routers may lead requests beside what runs for everybody, also by a
    /// shift that was cut off.
    pub(super) async fn is_led_beside(&self) -> Result<bool, EngineError> {
        let plan = self.plan().await?;
        let plain = Tracks::stable(plan.workloads.iter().map(|it| it.name.as_str()));
        Ok([false, true].into_iter().any(|failed| self.tracks(&plan, failed).leaves(&plain)))
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
        if let Some(git) = &course.plan.pull {
            return self.follow_by_commit(git, &course, &after, action).await;
        }
        let workloads = match action {
            Action::Apply { workloads, .. } | Action::Scale { workloads, .. } => workloads.clone(),
            _ => course.changed(&after),
        };
        if let Action::Shift { .. } = action {
            return self.shift(&course, &after, &workloads).await;
        }
        let overlay = course.overlay(&after, &workloads);
        let references = self.put(&course, &overlay.apply, First::Rendered).await?;
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
        let pods = match seeded(Bug::TrafficBeforePods) {
            true => Vec::new(),
            false => course.gaining(&course.tracks, after),
        };
        if let Waited::Left =
            self.await_ready(&course.plan, &new.namespace, &pods, MORE_READY_MS).await?
        {
            return Ok(Ended::Left);
        }
        let phases =
            rollout::shifting(new, current, &course.tracks, after, &course.ways, workloads);
        let mut applied = Vec::new();
        for phase in phases {
            // What runs for everybody is the last that shrinks: the others have less
            // than their part for a moment, never more.
            let first = if phase.is_awaited { First::Rendered } else { First::Copies };
            let references = self.put(course, &phase.apply, first).await?;
            if phase.is_awaited
                && !seeded(Bug::TrafficBeforePods)
                && let Waited::Left = self
                    .await_ready(&course.plan, &new.namespace, &references, MORE_READY_MS)
                    .await?
            {
                return Ok(Ended::Left);
            }
            if phase.is_drained
                && let Waited::Left = self.drain(&course.plan).await?
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

    /// Applies what is rendered, and copies of it. Copies are this rollout's alone:
    /// what somebody has changed of them by hand is taken over. What is rendered is so
    /// when it is brought back: that must not fail because of somebody who wanted to
    /// help.
    async fn put(
        &self,
        course: &Course,
        manifests: &[Manifest],
        first: First,
    ) -> Result<Vec<ObjectRef>, EngineError> {
        let current = course.current.iter().flat_map(|current| current.references());
        let rendered: BTreeSet<ObjectRef> =
            course.new.references().into_iter().chain(current).collect();
        let is_rendered =
            |it: &&Manifest| course.reference(it).is_none_or(|it| rendered.contains(&it));
        let (rendered, copies): (Vec<&Manifest>, Vec<&Manifest>) =
            manifests.iter().partition(is_rendered);
        let restoring = self.step.kind == StepKind::Restore;
        let mut references = Vec::new();
        let mut parts = [(rendered, restoring), (copies, true)];
        if first == First::Copies {
            parts.reverse();
        }
        for (some, taken_over) in parts {
            let objects: Vec<Value> = some.iter().map(|it| it.object.clone()).collect();
            let namespace = &course.new.namespace;
            let applied = self.apply_objects(&course.plan, namespace, objects, taken_over).await?;
            references.extend(applied);
        }
        Ok(references)
    }

    /// Waits until the pods of a track are ready.
    pub(super) async fn await_track(
        &self,
        track: &str,
        workloads: &[String],
        deadline_ms: u64,
    ) -> Result<Ended, EngineError> {
        let course = self.course().await?;
        let mut references = course.of_track(track, workloads);
        // Who steps a workload has an object for it, whosever that is.
        for delegate in workloads.iter().filter_map(|it| delegated(&course.new, it)) {
            if !references.contains(&delegate.object) {
                references.push(delegate.object);
            }
        }
        let namespace = &course.new.namespace;
        if let Waited::Left = self.await_pulled_track(&course, deadline_ms).await? {
            return Ok(Ended::Left);
        }
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
        let known = course.tracks.known();
        let copies: BTreeSet<ObjectRef> = known.iter().flat_map(|it| course.copies(it)).collect();
        let mut all = course.tracks.clone();
        for workload in course.plan.workloads.iter().rev().map(|workload| &workload.name) {
            if !changed.contains(workload) || !before(workload) {
                continue;
            }
            let own = std::slice::from_ref(workload);
            let tracks = course.tracks.restored(workload);
            all = all.restored(workload);
            let objects = course.overlay(&tracks, own).apply;
            let mut references = self.put(&course, &objects, First::Rendered).await?;
            // Other tracks may be why it goes back: nobody waits for their pods.
            references.retain(|reference| !copies.contains(reference));
            let namespace = &course.new.namespace;
            let waited =
                self.await_ready(&course.plan, namespace, &references, MORE_READY_MS).await?;
            if let Waited::Left = waited {
                return Ok(Waited::Left);
            }
        }
        self.refill_stable(&course, &all).await
    }

    /// Gives `stable` the pods that it had before, where it has fewer since others
    /// have a part of its traffic: all of it must not come to those that are left.
    async fn refill_stable(&self, course: &Course, tracks: &Tracks) -> Result<Waited, EngineError> {
        let (new, current) = (&course.new, course.current.as_deref());
        let after = tracks.led_to_stable();
        let names: Vec<String> =
            course.plan.workloads.iter().map(|workload| workload.name.clone()).collect();
        let phases = rollout::shifting(new, current, tracks, &after, &course.ways, &names);
        // The others are what bringing back everything comes to.
        if let Some(grow) = phases.into_iter().find(|phase| phase.is_awaited) {
            self.put(course, &grow.apply, First::Rendered).await?;
        }
        let references = course.gaining(tracks, &after);
        match self.await_ready(&course.plan, &new.namespace, &references, MORE_READY_MS).await {
            // A few pods of what ran before are better than many of what fails.
            Err(EngineError::Fault(fault)) if !fault.is_transient() => {
                let message = format!("the traffic goes back to fewer pods than before: {fault}");
                self.log.line(LogLevel::Warn, message);
                Ok(Waited::Ready)
            }
            waited => waited,
        }
    }
}

pub(super) fn is_of(owner: &ObjectOwner, workloads: &[String]) -> bool {
    matches!(owner, ObjectOwner::Workload(name) if workloads.contains(name))
}
