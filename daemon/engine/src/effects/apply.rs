//! Applies manifests, brings earlier ones back, and prunes what is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deployd_core::config::DRAIN_MS_DEFAULT;
use deployd_core::deployment::StepKind;
use deployd_core::graph::{self, Uid};
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, Plan, not_undone};
use deployd_core::ports::{
    ApplyRequest, LogLevel, Object, ObjectRef, Provisioned, Readiness, WorkloadFault,
};
use deployd_core::pull::delegation::Stepper;
use deployd_core::rollout::{self, jobs};
use deployd_core::secret::misplaced;
use deployd_core::seeded::{Bug, seeded};
use deployd_core::{Fault, FaultClass};
use serde_json::Value;
use tokio::time::Instant;

use super::sensitive::{misplaced_message, objects};
use super::{Ended, Leave, Work};
use crate::EngineError;
use crate::records::{content, object};

/// How long resources' objects may take to be ready: a database that has to
/// get its volume and its image first.
pub(super) const RESOURCES_READY_MS: u64 = 10 * 60_000;

/// The most objects of one deployment.
const OBJECTS_MAX: usize = 5_000;

/// Resources' objects in the order of the graph, then the templater's; checked.
pub(crate) fn manifests(
    plan: &Plan,
    resources: &BTreeMap<Uid, Provisioned>,
    rendered: Manifests,
) -> Result<Manifests, EngineError> {
    let order = graph::order(&plan.graph)
        .map_err(|cycle| EngineError::invalid("resources", cycle.join(" -> ")))?;
    let mut all = Manifests { namespace: rendered.namespace, ..Manifests::default() };
    for uid in order {
        let Some(provisioned) = resources.get(&uid) else { continue };
        for object in &provisioned.manifests {
            let owner = ObjectOwner::Resource(uid.clone());
            all.objects.push(Manifest { owner, object: object.clone() });
        }
    }
    all.objects.extend(rendered.objects);
    if all.objects.len() > OBJECTS_MAX {
        let message = format!("{} objects; at most {OBJECTS_MAX} are allowed", all.objects.len());
        return Err(EngineError::invalid("manifests", message));
    }
    let mut seen = BTreeSet::new();
    for manifest in &all.objects {
        let Some(reference) = all.reference(&manifest.object) else {
            return Err(Fault::bug(
                "manifest-incomplete",
                format!(
                    "an object of {} has no apiVersion, kind or metadata.name",
                    whose(plan, &manifest.owner)
                ),
            )
            .into());
        };
        if let Some(path) = misplaced(&manifest.object).first() {
            let message = misplaced_message(&manifest.object, path);
            return Err(Fault::denied("secret-misplaced", message).into());
        }
        if !seen.insert(reference.clone()) {
            let message = format!(
                "{reference} is there twice; the second time from {}",
                whose(plan, &manifest.owner)
            );
            return Err(Fault::invalid("manifest-twice", message).into());
        }
    }
    jobs::split(all).map_err(|error| Fault::invalid("job-invalid", error.to_string()).into())
}

fn whose(plan: &Plan, owner: &ObjectOwner) -> String {
    match owner {
        ObjectOwner::Resource(uid) => {
            let key = plan.graph.nodes.get(uid).map(|node| node.key.to_string());
            format!("resource {}", key.unwrap_or_default())
        }
        ObjectOwner::Workload(name) => format!("workload {name}"),
        ObjectOwner::Environment => "the templater".to_owned(),
    }
}

impl Work {
    /// Applies objects of manifests.
    pub(super) async fn apply(
        &self,
        plan: &Plan,
        manifests: &Manifests,
        wanted: impl Fn(&ObjectOwner) -> bool,
    ) -> Result<Vec<ObjectRef>, EngineError> {
        let taken_over = self.step.kind == StepKind::Restore;
        self.apply_objects(plan, &manifests.namespace, manifests.of(wanted), taken_over).await
    }

    /// Applies objects. With `taken_over`, fields that somebody else has changed are
    /// taken over, and that is said: otherwise it is a failure.
    pub(super) async fn apply_objects(
        &self,
        plan: &Plan,
        namespace: &str,
        selected: Vec<Value>,
        taken_over: bool,
    ) -> Result<Vec<ObjectRef>, EngineError> {
        if selected.is_empty() {
            return Ok(Vec::new());
        }
        let mut reach = self.reach(plan, namespace).await?;
        let objects = objects(&*self.engine.ports.vault, selected).await?;
        if seeded(Bug::SecretInALog) {
            self.log.line(LogLevel::Debug, format!("applying {:?}", objects.expose()));
        }
        let mut force = plan.take_over_fields;
        loop {
            let target = reach.target.clone();
            let request = ApplyRequest { target, objects: objects.clone(), force };
            match self.engine.ports.cluster.apply(&request, &self.log).await {
                Ok(references) => return Ok(references),
                Err(fault) if fault.class == FaultClass::Conflict && taken_over && !force => {
                    let message = format!("taken over all the same: {}", fault.message);
                    self.log.line(LogLevel::Warn, message);
                    force = true;
                }
                Err(fault) => self.again(plan, &mut reach, fault).await?,
            }
        }
    }

    /// Waits until objects are ready, as long as anybody wants to know.
    pub(super) async fn await_ready(
        &self,
        plan: &Plan,
        namespace: &str,
        references: &[ObjectRef],
        deadline_ms: u64,
    ) -> Result<Waited, EngineError> {
        if references.is_empty() {
            return Ok(Waited::Ready);
        }
        let cluster = &self.engine.ports.cluster;
        let began = Instant::now();
        let ready = async {
            let mut reach = self.reach(plan, namespace).await?;
            loop {
                let gone = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let left = deadline_ms.saturating_sub(gone);
                match cluster.await_ready(&reach.target, references, left, &self.log).await {
                    Ok(readiness) => return Ok::<_, EngineError>(readiness),
                    Err(fault) => self.again(plan, &mut reach, fault).await?,
                }
            }
        };
        tokio::select! {
            biased;
            readiness = ready => {
                match readiness? {
                    Readiness::Ready => Ok(Waited::Ready),
                    Readiness::Failed(faults) => Err(not_ready(&faults).into()),
                }
            }
            left = self.left() => left,
        }
    }

    /// Leaves everything as it is for a while, as long as anybody wants to know:
    /// routers lead requests to who has lost all traffic until they have heard of it.
    pub(super) async fn drain(&self, plan: &Plan) -> Result<Waited, EngineError> {
        let drain_ms = plan.strategy.as_ref().map_or(DRAIN_MS_DEFAULT, |it| it.drain_ms);
        let message = format!("waiting for {drain_ms} ms, in which routers follow");
        self.log.line(LogLevel::Info, message);
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_millis(drain_ms)) => Ok(Waited::Ready),
            left = self.left() => left,
        }
    }

    /// Waits until nobody wants this step to wait any more.
    pub(super) async fn left(&self) -> Result<Waited, EngineError> {
        let mut leave = self.leave.clone();
        let left = leave.wait_for(|leave| *leave != Leave::Stay).await.map(|left| *left);
        match left {
            Ok(Leave::Stopping) => Ok(Waited::Left),
            Ok(Leave::Stay | Leave::Abandoned) => {
                let message = "the deployment ends, and nobody waits for it any more";
                Err(Fault::permanent("abandoned", message).into())
            }
            Err(_) => std::future::pending().await,
        }
    }

    pub(super) async fn apply_resources(&self) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        let manifests = self.rendered().await?;
        if let Some(git) = &plan.pull {
            return self.prepare_pulled(&plan, git, &manifests).await;
        }
        let of_workload = |owner: &ObjectOwner| matches!(owner, ObjectOwner::Workload(_));
        let references = self.apply(&plan, &manifests, |owner| !of_workload(owner)).await?;
        // A route is ready only with the workload behind it: it must not be
        // waited for before that is there.
        let first: Vec<ObjectRef> =
            references.iter().filter(|reference| is_waited_for(reference)).cloned().collect();
        let result = object(&references)?;
        let namespace = &manifests.namespace;
        Ok(self.await_ready(&plan, namespace, &first, RESOURCES_READY_MS).await?.then(Some(result)))
    }

    /// Brings back what the last successful deployment had.
    pub(super) async fn restore(&self) -> Result<Ended, EngineError> {
        let deployed = self
            .state
            .deployed
            .as_ref()
            .ok_or_else(|| EngineError::bug("nothing to go back to"))?;
        let plan = self.plan_at(deployed.plan).await?;
        let manifests = self.manifests_at(deployed.manifests).await?;
        let message = format!("bringing back deployment {}", deployed.deployment);
        self.log.line(LogLevel::Warn, message);
        for resource in not_undone(&*self.plan().await?, &plan) {
            let message =
                format!("stays as it was changed, since that can't be undone: {resource}");
            self.log.line(LogLevel::Warn, message);
        }
        if let Some(git) = &plan.pull {
            return self.restore_pulled(&plan, git, &manifests).await;
        }
        if let Waited::Left = self.undo_stable().await? {
            return Ok(Ended::Left);
        }
        let references = self.apply(&plan, &manifests, |_| true).await?;
        let result = object(&references)?;
        let namespace = &manifests.namespace;
        let mut waited =
            self.await_ready(&plan, namespace, &references, RESOURCES_READY_MS).await?;
        if let Waited::Ready = waited
            && self.is_led_beside().await?
        {
            waited = self.drain(&*self.plan().await?).await?;
        }
        Ok(waited.then(Some(result)))
    }

    /// Removes what was applied since the last time, and is not wanted.
    pub(super) async fn prune(&self) -> Result<Ended, EngineError> {
        if self.deployment.is_teardown() {
            return self.prune_workloads().await;
        }
        let store = &*self.engine.ports.store;
        let restoring = self.deployment.is_restoring();
        let (plan, kept) = match &self.state.deployed {
            Some(deployed) if restoring => (self.plan_at(deployed.plan).await?, deployed.manifests),
            _ => {
                let kept = self
                    .deployment
                    .result("render")
                    .ok_or_else(|| EngineError::bug("nothing was rendered"))?;
                (self.plan().await?, kept)
            }
        };
        let manifests = self.manifests_at(kept).await?;
        let mut keep = manifests.references();
        keep.extend(self.of_active_resources(&manifests.namespace).await?);
        let mut surplus = BTreeSet::new();
        for digest in self.state.applied.iter().filter(|digest| **digest != kept) {
            let earlier: Manifests = content(store, "manifests", *digest).await?;
            surplus.extend(earlier.references());
        }
        surplus.extend(self.copies().await?);
        surplus.extend(self.runs_of_others().await?);
        surplus.extend(self.of_destroyed_resources(&manifests.namespace).await?);
        let surplus: Vec<ObjectRef> = surplus.difference(&keep).cloned().collect();
        if let Some(git) = &plan.pull {
            let (namespace, kept) = (&manifests.namespace, self.whole(&manifests).await?);
            return self.prune_pulled(&plan, git, namespace, kept, &surplus).await;
        }
        let surplus = match seeded(Bug::WantedOnesPruned) {
            true => surplus.into_iter().chain(keep).collect(),
            false => surplus,
        };
        if surplus.is_empty() {
            return Ok(Ended::Done(None));
        }
        let removed = self.prune_objects(&plan, &manifests.namespace, &surplus).await?;
        Ok(Ended::Done(Some(object(&removed)?)))
    }

    /// Everything that may be in the cluster of tracks beside what runs for
    /// everybody.
    async fn copies(&self) -> Result<BTreeSet<ObjectRef>, EngineError> {
        let mut found = BTreeSet::new();
        if self.state.tracks.is_empty() || seeded(Bug::TrackForgotten) {
            return Ok(found);
        }
        let deployed = self.state.deployed.as_ref().map(|deployed| deployed.manifests);
        for digest in self.state.applied.iter().copied().chain(deployed) {
            let manifests = self.manifests_at(digest).await?;
            found.extend(self.state.tracks.iter().flat_map(|it| rollout::copies(&manifests, it)));
        }
        Ok(found)
    }

    /// Removes everything that was applied but objects of resources, which go
    /// with these.
    async fn prune_workloads(&self) -> Result<Ended, EngineError> {
        let Some(namespace) = self.last_namespace().await? else { return Ok(Ended::Done(None)) };
        let mut surplus = BTreeSet::new();
        for digest in &self.state.applied {
            surplus.extend(self.manifests_at(*digest).await?.references());
        }
        surplus.extend(self.copies().await?);
        surplus.extend(self.runs_of_others().await?);
        let of_resources = self.of_resources(&namespace, |_| true).await?;
        let surplus: Vec<ObjectRef> = surplus.difference(&of_resources).cloned().collect();
        let plan = self.plan().await?;
        if let Some(git) = &plan.pull {
            let kept = self.objects_of_resources(|_| true).await?;
            return self.prune_pulled(&plan, git, &namespace, kept, &surplus).await;
        }
        self.prune_all(&namespace, surplus).await
    }

    /// Removes the objects of a resource that is gone, as far as they are no
    /// other resource's.
    pub(super) async fn prune_resource(&self, uid: &Uid) -> Result<Ended, EngineError> {
        let Some(namespace) = self.last_namespace().await? else { return Ok(Ended::Done(None)) };
        let its = self.of_resources(&namespace, |other| other == uid).await?;
        let of_others = self.of_resources(&namespace, |other| other != uid).await?;
        let surplus: Vec<ObjectRef> = its.difference(&of_others).cloned().collect();
        let plan = self.plan().await?;
        // Where what was deployed stays, its files have gone with the objects before.
        if let Some(git) = plan.pull.as_ref().filter(|_| plan.teardown) {
            let others = Manifests {
                namespace: namespace.clone(),
                objects: self.objects_of_resources(|other| other != uid).await?,
                ..Manifests::default()
            };
            let kept = others.references();
            let mut objects = self.objects_of_resources(|other| other == uid).await?;
            objects.retain(|it| others.reference(&it.object).is_none_or(|it| !kept.contains(&it)));
            return self.prune_resource_pulled(&plan, git, &namespace, &objects, &surplus).await;
        }
        self.prune_all(&namespace, surplus).await
    }

    /// Removes objects; gives those that were there.
    pub(super) async fn prune_objects(
        &self,
        plan: &Plan,
        namespace: &str,
        objects: &[ObjectRef],
    ) -> Result<Vec<ObjectRef>, EngineError> {
        let mut reach = self.reach(plan, namespace).await?;
        loop {
            let cluster = &self.engine.ports.cluster;
            match cluster.prune(&reach.target, objects, &self.log).await {
                Ok(removed) => return Ok(removed),
                Err(fault) => self.again(plan, &mut reach, fault).await?,
            }
        }
    }

    async fn prune_all(
        &self,
        namespace: &str,
        objects: Vec<ObjectRef>,
    ) -> Result<Ended, EngineError> {
        if objects.is_empty() {
            return Ok(Ended::Done(None));
        }
        let plan = self.plan().await?;
        let removed = self.prune_objects(&plan, namespace, &objects).await?;
        Ok(Ended::Done(Some(object(&removed)?)))
    }

    /// Where objects were applied last: as the manifests say, or the resource
    /// that is the namespace. None where nothing ever was.
    async fn last_namespace(&self) -> Result<Option<String>, EngineError> {
        if let Some(last) = self.state.applied.last() {
            return Ok(Some(self.manifests_at(*last).await?.namespace.clone()));
        }
        let plan = self.plan().await?;
        let uid = graph::ResourceKey::of_environment(graph::NAMESPACE).uid(&self.environment);
        let there = self.resources(&plan, [&uid].into_iter()).await?;
        let name = there.get(&uid).and_then(|it| it.outputs.get("name")).and_then(Value::as_str);
        Ok(name.map(str::to_owned))
    }

    /// Objects of resources that stay, whether anything asks for them or not.
    async fn of_active_resources(
        &self,
        namespace: &str,
    ) -> Result<BTreeSet<ObjectRef>, EngineError> {
        self.of_resources(namespace, |uid| !self.is_destroyed(uid)).await
    }

    /// Objects of resources that are about to be destroyed. Manifests applied
    /// since they fell out of use do not name them any more.
    async fn of_destroyed_resources(
        &self,
        namespace: &str,
    ) -> Result<BTreeSet<ObjectRef>, EngineError> {
        self.of_resources(namespace, |uid| self.is_destroyed(uid)).await
    }

    pub(super) fn is_destroyed(&self, uid: &Uid) -> bool {
        !self.deployment.is_restoring()
            && self.deployment.destroy.iter().any(|destroyed| destroyed.uid == *uid)
    }

    async fn of_resources(
        &self,
        namespace: &str,
        wanted: impl Fn(&Uid) -> bool,
    ) -> Result<BTreeSet<ObjectRef>, EngineError> {
        let objects = self.objects_of_resources(wanted).await?;
        let namespace = namespace.to_owned();
        Ok(Manifests { namespace, objects, ..Manifests::default() }.references())
    }

    pub(super) async fn objects_of_resources(
        &self,
        wanted: impl Fn(&Uid) -> bool,
    ) -> Result<Vec<Manifest>, EngineError> {
        let mut found = Vec::new();
        for (_, active) in self.state.resources.iter().filter(|(uid, _)| wanted(uid)) {
            let provisioned: Provisioned =
                content(&*self.engine.ports.store, "resource", active.provisioned).await?;
            let owner = ObjectOwner::Environment;
            let objects = provisioned.manifests.into_iter();
            found.extend(objects.map(|object| Manifest { owner: owner.clone(), object }));
        }
        Ok(found)
    }
}

/// What came of waiting.
pub(super) enum Waited {
    /// All are ready.
    Ready,
    /// deployd stops: the next start waits again.
    Left,
}

impl Waited {
    /// What becomes of a step that has waited.
    pub(super) fn then(self, result: Option<Object>) -> Ended {
        match self {
            Self::Ready => Ended::Done(result),
            Self::Left => Ended::Left,
        }
    }
}

/// Whether workloads have to find it ready: what leads to them, or steps them, is ready
/// with them.
pub(super) fn is_waited_for(reference: &ObjectRef) -> bool {
    !matches!(reference.kind.as_str(), "Ingress" | "HTTPRoute" | "GRPCRoute" | "TLSRoute")
        && Stepper::of(reference).is_none()
}

/// One fault of all that is not ready: the first one's reason, everybody's story.
pub(super) fn not_ready(faults: &[WorkloadFault]) -> Fault {
    let code = faults.first().map_or("not-ready", |fault| fault.reason.as_str());
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{}: {}", fault.object, fault.message)).collect();
    Fault::permanent(code, lines.join("; "))
        .with_detail(serde_json::to_value(faults).unwrap_or(Value::Null))
}
