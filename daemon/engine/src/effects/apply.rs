//! Applies manifests, brings earlier ones back, and prunes what is left over.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::Fault;
use deployd_core::graph::{self, Uid};
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, Plan};
use deployd_core::ports::{
    ApplyRequest, LogLevel, ObjectRef, Provisioned, Readiness, WorkloadFault,
};
use deployd_core::secret::misplaced;
use serde_json::Value;

use super::sensitive::{misplaced_message, objects};
use super::{Ended, Work};
use crate::EngineError;
use crate::records::{content, object};

/// How long resources' objects may take to be ready: a database that has to
/// get its volume and its image first.
const RESOURCES_READY_MS: u64 = 10 * 60_000;

/// The most objects of one deployment.
const OBJECTS_MAX: usize = 5_000;

/// Resources' objects in the order of the graph, then the templater's; checked.
pub(super) fn manifests(
    plan: &Plan,
    resources: &BTreeMap<Uid, Provisioned>,
    rendered: Manifests,
) -> Result<Manifests, EngineError> {
    let order = graph::order(&plan.graph)
        .map_err(|cycle| EngineError::invalid("resources", cycle.join(" -> ")))?;
    let mut all = Manifests { namespace: rendered.namespace, objects: Vec::new() };
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
    Ok(all)
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
        let selected = manifests.of(wanted);
        if selected.is_empty() {
            return Ok(Vec::new());
        }
        let target = self.target(plan, manifests.namespace.clone()).await?;
        let objects = objects(&*self.engine.ports.vault, selected).await?;
        let request = ApplyRequest { target, objects, force: plan.take_over_fields };
        Ok(self.engine.ports.cluster.apply(&request, &self.log).await?)
    }

    /// Waits until objects are ready.
    pub(super) async fn await_ready(
        &self,
        plan: &Plan,
        namespace: &str,
        references: &[ObjectRef],
        deadline_ms: u64,
    ) -> Result<(), EngineError> {
        if references.is_empty() {
            return Ok(());
        }
        let target = self.target(plan, namespace.to_owned()).await?;
        let cluster = &self.engine.ports.cluster;
        match cluster.await_ready(&target, references, deadline_ms, &self.log).await? {
            Readiness::Ready => Ok(()),
            Readiness::Failed(faults) => Err(not_ready(&faults).into()),
        }
    }

    pub(super) async fn apply_resources(&self) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        let manifests = self.rendered().await?;
        let of_workload = |owner: &ObjectOwner| matches!(owner, ObjectOwner::Workload(_));
        let references = self.apply(&plan, &manifests, |owner| !of_workload(owner)).await?;
        // A route is ready only with the workload behind it: it must not be
        // waited for before that is there.
        let first: Vec<ObjectRef> =
            references.iter().filter(|reference| is_waited_for(reference)).cloned().collect();
        self.await_ready(&plan, &manifests.namespace, &first, RESOURCES_READY_MS).await?;
        Ok(Ended::Done(Some(object(&references)?)))
    }

    /// Brings back what the last successful deployment had.
    pub(super) async fn restore(&self) -> Result<Ended, EngineError> {
        let deployed = self
            .state
            .deployed
            .as_ref()
            .ok_or_else(|| EngineError::bug("nothing to go back to"))?;
        let store = &*self.engine.ports.store;
        let plan: Plan = content(store, "plan", deployed.plan).await?;
        let manifests: Manifests = content(store, "manifests", deployed.manifests).await?;
        let message = format!("bringing back deployment {}", deployed.deployment);
        self.log.line(LogLevel::Warn, message);
        let references = self.apply(&plan, &manifests, |_| true).await?;
        self.await_ready(&plan, &manifests.namespace, &references, RESOURCES_READY_MS).await?;
        Ok(Ended::Done(Some(object(&references)?)))
    }

    /// Removes what was applied since the last time, and is not wanted.
    pub(super) async fn prune(&self) -> Result<Ended, EngineError> {
        let store = &*self.engine.ports.store;
        let restoring = self.deployment.is_restoring();
        let (plan, kept) = match &self.state.deployed {
            Some(deployed) if restoring => {
                (content(store, "plan", deployed.plan).await?, deployed.manifests)
            }
            _ => {
                let kept = self
                    .deployment
                    .result("render")
                    .ok_or_else(|| EngineError::bug("nothing was rendered"))?;
                (self.plan().await?, kept)
            }
        };
        let manifests: Manifests = content(store, "manifests", kept).await?;
        let mut keep = manifests.references();
        keep.extend(self.of_active_resources(&manifests.namespace).await?);
        let mut surplus = BTreeSet::new();
        for digest in self.state.applied.iter().filter(|digest| **digest != kept) {
            let earlier: Manifests = content(store, "manifests", *digest).await?;
            surplus.extend(earlier.references());
        }
        let surplus: Vec<ObjectRef> = surplus.difference(&keep).cloned().collect();
        if surplus.is_empty() {
            return Ok(Ended::Done(None));
        }
        let target = self.target(&plan, manifests.namespace).await?;
        let removed = self.engine.ports.cluster.prune(&target, &surplus, &self.log).await?;
        Ok(Ended::Done(Some(object(&removed)?)))
    }

    /// Objects of resources that stay, whether anything asks for them or not.
    /// Those that are about to be destroyed do not stay.
    async fn of_active_resources(
        &self,
        namespace: &str,
    ) -> Result<BTreeSet<ObjectRef>, EngineError> {
        let mut keep = BTreeSet::new();
        for (uid, active) in &self.state.resources {
            if self.deployment.destroy.contains(uid) && !self.deployment.is_restoring() {
                continue;
            }
            let provisioned: Provisioned =
                content(&*self.engine.ports.store, "resource", active.provisioned).await?;
            let objects = provisioned
                .manifests
                .into_iter()
                .map(|object: Value| Manifest { owner: ObjectOwner::Environment, object })
                .collect();
            keep.extend(Manifests { namespace: namespace.to_owned(), objects }.references());
        }
        Ok(keep)
    }
}

/// Whether workloads have to find it ready.
fn is_waited_for(reference: &ObjectRef) -> bool {
    !matches!(reference.kind.as_str(), "Ingress" | "HTTPRoute" | "GRPCRoute" | "TLSRoute")
}

/// One fault of all that is not ready: the first one's reason, everybody's story.
fn not_ready(faults: &[WorkloadFault]) -> Fault {
    let code = faults.first().map_or("not-ready", |fault| fault.reason.as_str());
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{}: {}", fault.object, fault.message)).collect();
    Fault::permanent(code, lines.join("; "))
        .with_detail(serde_json::to_value(faults).unwrap_or(Value::Null))
}
