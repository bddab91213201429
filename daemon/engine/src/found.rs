//! Looks what is in the cluster already before anything was deployed there, so that the
//! first plan of an environment that is taken over says what would change.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::deployment::EnvironmentState;
use deployd_core::drift::ObjectCheck;
use deployd_core::found::found;
use deployd_core::graph::{self, CLUSTER, ResourceKey};
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, Preview, changes};
use deployd_core::ports::{Applier, Call, CallLog, Provisioned, SensitiveObjects};
use deployd_core::pull;
use deployd_core::resolve::Missing;
use deployd_core::secret::{Part, parts};
use deployd_core::set::DeploymentSet;
use serde_json::Value;

use crate::effects::objects;
use crate::planner::{Planned, context, request, scope};
use crate::{EngineError, Inner};

/// How long a plan waits for the cluster: somebody is looking at it, and it is a plan
/// without it, too.
const LOOK_MAX: Duration = Duration::from_secs(15);

impl Inner {
    /// Completes the preview of a first plan: by the objects of resources that can be
    /// foreseen, and by what is in the cluster already, if it is known by now which one
    /// that will be.
    pub(crate) async fn look(
        &self,
        planned: &Planned,
        set: &DeploymentSet,
        state: &EnvironmentState,
        preview: &mut Preview,
    ) {
        let is_first = state.deployed.is_none() && state.resources.is_empty();
        // What is pinned has the objects of its resources among its own.
        let is_whole = planned.plan.pinned.is_some();
        if !is_first || is_whole || preview.problem.is_some() {
            return;
        }
        preview.manifests.objects.extend(self.made_foreseen(planned, set).await);
        preview.changes = changes(&Manifests::default(), &preview.manifests);
        let git = planned.plan.pull.as_ref();
        preview.pull = git.map(|git| pull::preview(git, &planned.plan, &preview.manifests));
        let Some(cluster) = cluster(planned) else { return };
        let look = self.looked_at(planned, cluster, &preview.manifests);
        match tokio::time::timeout(LOOK_MAX, look).await {
            Ok(Ok(checks)) => {
                preview.not_looked =
                    checks.iter().find_map(|check| check.drift.as_ref().err().cloned());
                preview.found = found(checks, &mut preview.changes);
            }
            Ok(Err(error)) => preview.not_looked = Some(error.into_fault()),
            Err(_) => {
                let message = format!("the cluster has not answered in {} s", LOOK_MAX.as_secs());
                preview.not_looked = Some(Fault::transient("cluster-timeout", message));
            }
        }
    }

    /// Objects of resources whose drivers do nothing outside. What can't be foreseen is
    /// left out: it is made in its step.
    async fn made_foreseen(&self, planned: &Planned, set: &DeploymentSet) -> Vec<Manifest> {
        let Planned { plan, outputs, .. } = planned;
        let mut outputs = outputs.clone();
        let (scope, log) = (scope(plan, ""), CallLog::default());
        let mut all = Vec::new();
        for uid in graph::order(&plan.graph).unwrap_or_default() {
            let Some(resource) = plan.resources.get(&uid) else { continue };
            let asked =
                request(&context(plan, &outputs, Missing::Preview), set, &uid, None, &uid.0);
            let Ok(request) = asked else { continue };
            let call = Call { plugin: &resource.driver, scope: &scope, log: &log };
            let Ok(Some(made)) = self.ports.drivers.foresee(call, &request).await else { continue };
            let owner = ObjectOwner::Resource(uid.clone());
            let made_of = |object| Manifest { owner: owner.clone(), object };
            all.extend(made.manifests.into_iter().map(made_of));
            outputs.insert(uid, made.outputs);
        }
        all
    }

    async fn looked_at(
        &self,
        planned: &Planned,
        cluster: Provisioned,
        manifests: &Manifests,
    ) -> Result<Vec<ObjectCheck>, EngineError> {
        let namespace = manifests.namespace.clone();
        let target = self.target(&planned.plan, &cluster, namespace).await?;
        let mut revealed = Vec::new();
        for object in manifests.of(|_| true) {
            // What has a secret that is not there yet is new.
            if let Ok(one) = objects(&*self.ports.vault, vec![object]).await {
                revealed.extend(one.expose().iter().cloned());
            }
        }
        let (revealed, log) = (SensitiveObjects::new(revealed), CallLog::default());
        Ok(self.ports.cluster.compare(&target, &revealed, Applier::Others, &log).await?)
    }
}

/// The cluster of a plan, if its driver can tell the way in without making anything.
fn cluster(planned: &Planned) -> Option<Provisioned> {
    let key = ResourceKey::of_environment(CLUSTER);
    let (uid, _) = planned.plan.graph.nodes.iter().find(|(_, node)| node.key == key)?;
    let outputs = planned.outputs.get(uid)?;
    let text = |name: &str| outputs.get(name).and_then(Value::as_str);
    let is_known = match text("kubeconfig") {
        Some(kubeconfig) => parts(kubeconfig).iter().any(|it| matches!(it, Part::Secret(_))),
        None => text("mode") == Some("in-cluster"),
    };
    is_known.then(|| Provisioned {
        state: Value::Null,
        outputs: outputs.clone(),
        manifests: Vec::new(),
    })
}
