//! Looks what is in the cluster already before anything was deployed there, so that the
//! first plan of an environment that is taken over says what would change.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::deployment::EnvironmentState;
use deployd_core::drift::ObjectCheck;
use deployd_core::found::found;
use deployd_core::graph::{CLUSTER, ResourceKey};
use deployd_core::plan::{Manifests, Preview};
use deployd_core::ports::{Applier, CallLog, Provisioned};
use deployd_core::secret::{Part, parts};
use serde_json::Value;

use crate::effects::objects;
use crate::planner::Planned;
use crate::{EngineError, Inner};

/// How long a plan waits for the cluster: somebody is looking at it, and it is a plan
/// without it, too.
const LOOK_MAX: Duration = Duration::from_secs(15);

impl Inner {
    /// Completes the preview of a first plan by what is in the cluster already, if it is
    /// known by now which one that will be.
    pub(crate) async fn look(
        &self,
        planned: &Planned,
        state: &EnvironmentState,
        preview: &mut Preview,
    ) {
        let is_first = state.deployed.is_none() && state.resources.is_empty();
        if !is_first || preview.changes.is_empty() {
            return;
        }
        let Some(cluster) = cluster(planned) else { return };
        let look = self.looked_at(planned, cluster, &preview.manifests);
        let looked = tokio::time::timeout(LOOK_MAX, look).await;
        match looked {
            Ok(Ok(checks)) => preview.found = found(checks, &mut preview.changes),
            Ok(Err(error)) => preview.not_looked = Some(error.into_fault()),
            Err(_) => {
                let message = format!("the cluster has not answered in {} s", LOOK_MAX.as_secs());
                preview.not_looked = Some(Fault::transient("cluster-timeout", message));
            }
        }
    }

    async fn looked_at(
        &self,
        planned: &Planned,
        cluster: Provisioned,
        manifests: &Manifests,
    ) -> Result<Vec<ObjectCheck>, EngineError> {
        let namespace = manifests.namespace.clone();
        let target = self.target(&planned.plan, &cluster, namespace).await?;
        let revealed = objects(&*self.ports.vault, manifests.of(|_| true)).await?;
        let log = CallLog::default();
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
