//! A rollout by commits: what would be applied is on the branch, all of it each time, and
//! what was wanted is waited for once it was pulled.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::config::GitSpec;
use deployd_core::deployment::{Action, StepKind};
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, Plan};
use deployd_core::ports::{LogLevel, ObjectRef};
use deployd_core::pull;
use deployd_core::rollout::{self, Tracks};
use deployd_core::{Fault, FaultClass};
use serde_json::Value;

use super::apply::{RESOURCES_READY_MS, Waited};
use super::course::{Course, MORE_READY_MS};
use super::publish::{Came, Nth, Wanted};
use super::{Ended, Work};
use crate::EngineError;
use crate::records::object;

impl Work {
    /// Applies what can't be committed. Where Jobs come before the rollout, what they may
    /// need is brought to the branch, too: everything but workloads, which stay as they
    /// are.
    pub(super) async fn prepare_pulled(
        &self,
        plan: &Plan,
        git: &GitSpec,
        manifests: &Manifests,
    ) -> Result<Ended, EngineError> {
        let applied = self.apply_direct(plan, manifests, is_no_workload).await?;
        let has_jobs =
            self.deployment.steps.iter().any(|it| matches!(it.kind, StepKind::Job { .. }));
        if !has_jobs || git.pull_request.is_some() {
            return Ok(Ended::Done(Some(object(&applied)?)));
        }
        let current = self.current().await?;
        let mut objects = self.whole(manifests).await?;
        objects.retain(|it| is_no_workload(&it.owner));
        let known: BTreeSet<ObjectRef> =
            objects.iter().filter_map(|it| manifests.reference(&it.object)).collect();
        let before = current.iter().flat_map(|current| &current.objects);
        let is_other =
            |it: &&Manifest| manifests.reference(&it.object).is_none_or(|it| !known.contains(&it));
        objects.extend(before.filter(is_other).cloned());
        let wanted = Wanted {
            objects: objects.clone(),
            namespace: manifests.namespace.clone(),
            nth: Nth::ONLY,
            take_over: false,
        };
        if let Came::Waits(ended) = self.publish(plan, git, wanted).await? {
            return Ok(ended);
        }
        let namespace = &manifests.namespace;
        let waited = self.await_pulled(plan, namespace, &objects, Some(RESOURCES_READY_MS)).await?;
        Ok(waited.then(Some(object(&applied)?)))
    }

    /// Applies those objects of manifests that can't be committed, and makes the
    /// namespaces for them that nobody has pulled yet.
    async fn apply_direct(
        &self,
        plan: &Plan,
        manifests: &Manifests,
        wanted: impl Fn(&ObjectOwner) -> bool,
    ) -> Result<Vec<ObjectRef>, EngineError> {
        let missing = self.missing_namespaces(plan, manifests).await?;
        self.apply_objects(plan, &manifests.namespace, missing, true).await?;
        let direct = manifests.direct().filter(|it| wanted(&it.owner));
        let objects: Vec<Value> = direct.map(|it| it.object.clone()).collect();
        self.apply_objects(plan, &manifests.namespace, objects, true).await
    }

    /// Namespaces that are only in the commit so far, but needed before it is pulled.
    async fn missing_namespaces(
        &self,
        plan: &Plan,
        manifests: &Manifests,
    ) -> Result<Vec<Value>, EngineError> {
        let namespaces = manifests.namespaces_of_direct();
        if namespaces.is_empty() {
            return Ok(Vec::new());
        }
        let target = self.reach(plan, &manifests.namespace).await?.target;
        let references: Vec<ObjectRef> = namespaces.iter().filter_map(ObjectRef::of).collect();
        match self.engine.ports.cluster.read(&target, &references).await {
            Ok(found) => {
                let found = namespaces.into_iter().zip(found);
                Ok(found.filter(|(_, found)| found.is_none()).map(|(it, _)| it).collect())
            }
            // Who may not look at namespaces may not make any either.
            Err(fault) if fault.class == FaultClass::Denied => Ok(Vec::new()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Has the branch be as tracks are after an action.
    pub(super) async fn follow_by_commit(
        &self,
        git: &GitSpec,
        course: &Course,
        after: &Tracks,
        action: &Action,
    ) -> Result<Ended, EngineError> {
        let objects = self.all_with(course, after).await?;
        let (plan, namespace) = (&course.plan, &course.new.namespace);
        let references: Vec<ObjectRef> =
            objects.values().filter_map(|it| course.new.reference(&it.object)).collect();
        let direct: Vec<Value> = objects
            .values()
            .filter(|it| pull::direct(&it.object).is_some())
            .map(|it| it.object.clone())
            .collect();
        self.apply_objects(plan, namespace, direct, true).await?;
        if let Action::Shift { .. } = action {
            if let Some(ended) = self.shift_by_commits(git, course, after).await? {
                return Ok(ended);
            }
            return Ok(Ended::Done(Some(object(&references)?)));
        }
        let objects: Vec<Manifest> = objects.into_values().collect();
        if let Came::Waits(ended) = self.bring(git, course, &objects, Nth::ONLY).await? {
            return Ok(ended);
        }
        let waited = match action {
            // Its pods are waited for next.
            Action::Apply { .. } => Waited::Ready,
            _ => self.await_pulled(plan, namespace, &objects, None).await?,
        };
        Ok(waited.then(Some(object(&references)?)))
    }

    /// Divides the traffic anew in the same phases in which it is applied, each a commit
    /// that was pulled before the next one.
    async fn shift_by_commits(
        &self,
        git: &GitSpec,
        course: &Course,
        after: &Tracks,
    ) -> Result<Option<Ended>, EngineError> {
        let mut there = self.all_with(course, &course.tracks).await?;
        let names: Vec<String> = course.plan.workloads.iter().map(|it| it.name.clone()).collect();
        let (new, current) = (&course.new, course.current.as_deref());
        let phases = rollout::shifting(new, current, &course.tracks, after, &course.ways, &names);
        let of = phases.len();
        for (place, phase) in phases.into_iter().enumerate() {
            let put: Vec<ObjectRef> =
                phase.apply.iter().filter_map(|it| new.reference(&it.object)).collect();
            there.extend(put.iter().cloned().zip(phase.apply));
            there.retain(|reference, _| !phase.remove.contains(reference));
            let objects: Vec<Manifest> = there.values().cloned().collect();
            match self.bring(git, course, &objects, Nth { place, of }).await? {
                Came::There => {}
                Came::Past => continue,
                Came::Waits(ended) => return Ok(Some(ended)),
            }
            let (plan, namespace) = (&course.plan, &new.namespace);
            if let Waited::Left = self.await_pulled(plan, namespace, &objects, None).await? {
                return Ok(Some(Ended::Left));
            }
            if phase.is_awaited
                && let Waited::Left = self.await_ready(plan, namespace, &put, MORE_READY_MS).await?
            {
                return Ok(Some(Ended::Left));
            }
            if phase.is_drained
                && let Waited::Left = self.drain(plan).await?
            {
                return Ok(Some(Ended::Left));
            }
        }
        Ok(None)
    }

    /// One commit of a rollout.
    async fn bring(
        &self,
        git: &GitSpec,
        course: &Course,
        objects: &[Manifest],
        nth: Nth,
    ) -> Result<Came, EngineError> {
        // All of it was merged before the rollout began.
        if git.pull_request.is_some() {
            return Ok(Came::There);
        }
        let wanted = Wanted {
            objects: objects.to_vec(),
            namespace: course.new.namespace.clone(),
            nth,
            take_over: self.step.kind == StepKind::Restore,
        };
        self.publish(&course.plan, git, wanted).await
    }

    /// All objects that are to be there with these tracks. What nobody asks for any more
    /// goes with the last change of a rollout, so that most have but one commit.
    pub(super) async fn all_with(
        &self,
        course: &Course,
        tracks: &Tracks,
    ) -> Result<BTreeMap<ObjectRef, Manifest>, EngineError> {
        let names: Vec<String> = course.plan.workloads.iter().map(|it| it.name.clone()).collect();
        let reference = |manifest: &Manifest| course.new.reference(&manifest.object);
        let mut all = BTreeMap::new();
        let mut add = |manifest: Manifest| {
            if let Some(reference) = reference(&manifest) {
                all.insert(reference, manifest);
            }
        };
        if !tracks.is_canonical() {
            let wanted = course.new.references();
            let current = course.current.iter().flat_map(|current| &current.objects);
            let is_left = |it: &&Manifest| reference(it).is_some_and(|it| !wanted.contains(&it));
            current.filter(is_left).cloned().for_each(&mut add);
        }
        let whole = self.whole(&course.new).await?;
        whole.into_iter().filter(|it| is_no_workload(&it.owner)).for_each(&mut add);
        course.overlay(tracks, &names).apply.into_iter().for_each(&mut add);
        Ok(all)
    }

    /// Waits until what a track of workloads needs was pulled.
    pub(super) async fn await_pulled_track(
        &self,
        course: &Course,
        deadline_ms: u64,
    ) -> Result<Waited, EngineError> {
        let Some(git) = &course.plan.pull else { return Ok(Waited::Ready) };
        let objects: Vec<Manifest> = match git.pull_request {
            Some(_) => self.whole(&course.new).await?,
            None => self.all_with(course, &course.tracks).await?.into_values().collect(),
        };
        self.await_pulled(&course.plan, &course.new.namespace, &objects, Some(deadline_ms)).await
    }

    /// Brings back what the last successful deployment had: by a commit, unless this one
    /// has made none.
    pub(super) async fn restore_pulled(
        &self,
        plan: &Plan,
        git: &GitSpec,
        manifests: &Manifests,
    ) -> Result<Ended, EngineError> {
        let applied = self.apply_direct(plan, manifests, |_| true).await?;
        if !self.has_committed() {
            self.log.line(LogLevel::Info, "the branch is as it was before".to_owned());
            return Ok(Ended::Done(Some(object(&applied)?)));
        }
        let course = self.course().await?;
        let namespace = &manifests.namespace;
        if git.pull_request.is_none() && self.is_led_beside().await? {
            let mut tracks = course.tracks.led_to_stable();
            for workload in &course.plan.workloads {
                tracks = tracks.restored(&workload.name);
            }
            let objects = self.all_with(&course, &tracks).await?;
            let objects: Vec<Manifest> = objects.into_values().collect();
            let first = Nth { place: 0, of: 2 };
            if let Came::There = self.bring(git, &course, &objects, first).await? {
                if let Waited::Left =
                    self.await_pulled(plan, namespace, &objects, Some(MORE_READY_MS)).await?
                {
                    return Ok(Ended::Left);
                }
                if let Waited::Left = self.drain(&course.plan).await? {
                    return Ok(Ended::Left);
                }
            }
        }
        let objects = self.whole(manifests).await?;
        let wanted = Wanted {
            objects: objects.clone(),
            namespace: namespace.clone(),
            nth: Nth { place: 1, of: 2 },
            take_over: true,
        };
        if let Came::Waits(ended) = self.publish(plan, git, wanted).await? {
            return Ok(ended);
        }
        if let Waited::Left =
            self.await_pulled(plan, namespace, &objects, Some(RESOURCES_READY_MS)).await?
        {
            return Ok(Ended::Left);
        }
        let references: Vec<ObjectRef> = manifests.references().into_iter().collect();
        let waited = self.await_ready(plan, namespace, &references, RESOURCES_READY_MS).await?;
        Ok(waited.then(Some(object(&references)?)))
    }

    /// Takes from the branch what nobody wants any more, and from the cluster what was
    /// applied there.
    pub(super) async fn prune_pulled(
        &self,
        plan: &Plan,
        git: &GitSpec,
        namespace: &str,
        kept: Vec<Manifest>,
        surplus: &[ObjectRef],
    ) -> Result<Ended, EngineError> {
        let restoring = self.deployment.is_restoring();
        if !restoring || self.has_committed() {
            let wanted = Wanted {
                objects: kept.clone(),
                namespace: namespace.to_owned(),
                nth: Nth::ONLY,
                take_over: restoring,
            };
            if let Came::Waits(ended) = self.publish(plan, git, wanted).await? {
                return Ok(ended);
            }
            let has_changed = self.brought.get().is_some_and(|(published, _)| published.changed);
            if has_changed
                && let Waited::Left = self.await_pulled(plan, namespace, &kept, None).await?
            {
                return Ok(Ended::Left);
            }
        }
        // Objects that others have applied are passed over.
        let removed = match surplus.is_empty() {
            true => Vec::new(),
            false => self.prune_objects(plan, namespace, surplus).await?,
        };
        Ok(Ended::Done(Some(object(&removed)?)))
    }
}

impl Work {
    /// Takes the files of a resource that goes from the branch, and what was applied of it
    /// from the cluster. Others may go at the same time: nothing else is touched.
    pub(super) async fn prune_resource_pulled(
        &self,
        plan: &Plan,
        git: &GitSpec,
        namespace: &str,
        objects: &[Manifest],
        surplus: &[ObjectRef],
    ) -> Result<Ended, EngineError> {
        if let Came::Waits(ended) = self.unpublish(plan, git, namespace, objects).await? {
            return Ok(ended);
        }
        let removed = match surplus.is_empty() {
            true => Vec::new(),
            false => self.prune_objects(plan, namespace, surplus).await?,
        };
        Ok(Ended::Done(Some(object(&removed)?)))
    }
}

fn is_no_workload(owner: &ObjectOwner) -> bool {
    !matches!(owner, ObjectOwner::Workload(_))
}

/// Jobs that run before a rollout can't come before what a merge brings.
pub(super) fn jobs_possible(plan: &Plan, names: &[&str]) -> Result<(), EngineError> {
    let by_request = plan.pull.as_ref().is_some_and(|git| git.pull_request.is_some());
    if !by_request || names.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} can't run before the rollout: who merges a pull request has everything pulled at once. \
         Commit directly (without `git.pullRequest`), or leave it to who pulls: \
         `argocd.argoproj.io/hook: PreSync` instead of `deployd.dev/job: before`",
        names.join(", ")
    );
    Err(Fault::invalid("job-before-merge", message).into())
}
