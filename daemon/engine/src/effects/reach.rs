//! The way into a cluster, which may end after a while and is renewed.
//!
//! A driver whose access ends says when, by a secret output `expires_at_ms` beside
//! `kubeconfig`. To renew it is to provision the resource once more, by the plan
//! that it was provisioned by: the references in its outputs stay as they are, and
//! what they stand for in the vault is newer. So nothing that is recorded, compared
//! or rendered changes with it, and what is in the vault after a crash is good.

use std::collections::BTreeMap;
use std::time::Duration;

use deployd_core::deployment::EnvironmentState;
use deployd_core::graph::{CLUSTER, ResourceKey, Uid};
use deployd_core::plan::Plan;
use deployd_core::ports::{Call, CallLog, LogLevel, Progress, Provisioned, Target, UNAUTHORIZED};
use deployd_core::resolve::Missing;
use deployd_core::{Digest, Fault};
use serde_json::Value;
use tokio::time::Instant;

use super::sensitive::reveal;
use super::{Contents, Work};
use crate::planner::{context, request, scope};
use crate::records::content;
use crate::{EngineError, Inner};

/// The output that says when access ends, in milliseconds since 1970.
const EXPIRES: &str = "expires_at_ms";

/// Access that ends so soon is renewed before it is used: most of what is done in
/// a cluster takes less.
const RENEW_BEFORE_MS: u64 = 60_000;

/// What was just renewed and is not let in needs a person, not another renewal.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(60);

/// The way into a cluster.
pub(crate) struct Reach {
    pub(crate) target: Target,
    renewed: Option<Instant>,
}

/// What it takes to find the way into a plan's cluster, and to renew it: for steps
/// of deployments, and for whoever else looks at what they have made.
pub(crate) struct Way<'w> {
    pub(crate) engine: &'w Inner,
    pub(crate) state: &'w EnvironmentState,
    pub(crate) plan: &'w Plan,
    /// The deployment that asks, if it is one.
    pub(crate) deployment: &'w str,
    /// What the driver recognises a renewal by.
    pub(crate) key: String,
    pub(crate) contents: &'w Contents,
    pub(crate) log: &'w CallLog,
}

/// The cluster of a plan: whose it is, and what is known of it.
struct Cluster {
    uid: Uid,
    /// What it was provisioned by.
    plan: Digest,
    provisioned: Provisioned,
    /// Outputs of what it was made with.
    outputs: BTreeMap<Uid, Value>,
}

impl Work {
    /// The way into a plan's cluster.
    pub(super) async fn reach(&self, plan: &Plan, namespace: &str) -> Result<Reach, EngineError> {
        self.way(plan).reach(namespace).await
    }

    /// Renews what is not let in any more; anything else that went wrong is
    /// handed back.
    pub(super) async fn again(
        &self,
        plan: &Plan,
        reach: &mut Reach,
        fault: Fault,
    ) -> Result<(), EngineError> {
        self.way(plan).again(reach, fault).await
    }

    fn way<'w>(&'w self, plan: &'w Plan) -> Way<'w> {
        Way {
            engine: &self.engine,
            state: &self.state,
            plan,
            deployment: &self.deployment.id.0,
            key: format!("{}-access-{}", self.step.key, self.step.attempts),
            contents: &self.contents,
            log: &self.log,
        }
    }
}

impl Way<'_> {
    /// The way in, renewed where it is about to end.
    pub(crate) async fn reach(&self, namespace: &str) -> Result<Reach, EngineError> {
        let cluster = self.cluster_of(self.plan).await?;
        if let Some(expires_ms) = self.expires_ms(&cluster).await? {
            let now_ms = self.engine.ports.clock.now().0;
            if now_ms.saturating_add(RENEW_BEFORE_MS) >= expires_ms
                && let Err(error) = self.renew(&cluster).await
            {
                if now_ms >= expires_ms {
                    return Err(error);
                }
                let message = format!("the access to the cluster ends soon; renewing it: {error}");
                self.log.line(LogLevel::Warn, message);
            }
        }
        let namespace = namespace.to_owned();
        let target = self.engine.target(self.plan, &cluster.provisioned, namespace).await?;
        Ok(Reach { target, renewed: None })
    }

    /// The way in as it is: nothing is renewed.
    pub(crate) async fn as_it_is(&self, namespace: &str) -> Result<Target, EngineError> {
        let cluster = self.cluster_of(self.plan).await?;
        self.engine.target(self.plan, &cluster.provisioned, namespace.to_owned()).await
    }

    /// Renews what is not let in any more; anything else that went wrong is
    /// handed back.
    pub(crate) async fn again(&self, reach: &mut Reach, fault: Fault) -> Result<(), EngineError> {
        let is_fresh = reach.renewed.is_some_and(|at| at.elapsed() < BETWEEN_RENEWALS);
        if fault.code != UNAUTHORIZED || is_fresh {
            return Err(fault.into());
        }
        let cluster = self.cluster_of(self.plan).await?;
        if self.expires_ms(&cluster).await?.is_some() {
            self.log.line(LogLevel::Warn, format!("{} The access is renewed.", fault.message));
            self.renew(&cluster).await?;
        }
        let namespace = reach.target.namespace.clone();
        let target = self.engine.target(self.plan, &cluster.provisioned, namespace).await?;
        if target.access == reach.target.access {
            return Err(fault.into());
        }
        *reach = Reach { target, renewed: Some(Instant::now()) };
        Ok(())
    }

    async fn expires_ms(&self, cluster: &Cluster) -> Result<Option<u64>, EngineError> {
        let Some(text) = cluster.provisioned.outputs.get(EXPIRES).and_then(Value::as_str) else {
            return Ok(None);
        };
        let revealed = reveal(&*self.engine.ports.vault, text).await?;
        let parsed = std::str::from_utf8(&revealed).ok().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| {
            let key = ResourceKey::of_environment(CLUSTER);
            let message = "its driver returned an output `expires_at_ms` that is no number";
            EngineError::invalid(key.to_string(), message)
        })
    }

    async fn cluster_of(&self, plan: &Plan) -> Result<Cluster, EngineError> {
        let key = ResourceKey::of_environment(CLUSTER);
        // Where one takes the place of another, the plan says which; a plan that
        // takes all away says nothing, and there is the newest.
        let name = key.to_string();
        let named = self.state.resources.iter().filter(|(_, active)| active.name == name);
        let newest = named.max_by_key(|(_, active)| active.since.unwrap_or_default());
        let usual = plan
            .graph
            .uid_of(&key, &plan.environment)
            .or_else(|| newest.map(|(uid, _)| uid.clone()))
            .unwrap_or_else(|| key.uid(&plan.environment));
        let none = || EngineError::bug("no k8s-cluster resource");
        let lent = match plan.borrowed.get(&usual) {
            Some(borrowed) => Some((borrowed, self.engine.environment(&borrowed.lender).await?)),
            None => None,
        };
        let (uid, resources, provisioned) = match &lent {
            // As it was when the plan was made.
            Some((borrowed, entry)) => {
                (&borrowed.uid, &entry.state.resources, Some(borrowed.provisioned))
            }
            None => (&usual, &self.state.resources, None),
        };
        let active = resources.get(uid).ok_or_else(none)?;
        let provisioned = provisioned.unwrap_or(active.provisioned);
        let store = &*self.engine.ports.store;
        let by = self.contents.plan.get(store, "plan", active.plan).await?;
        let after = by.graph.nodes.get(uid).into_iter().flat_map(|node| &node.after);
        let mut outputs = BTreeMap::new();
        for other in after {
            let digest = match (by.borrowed.get(other), resources.get(other)) {
                (Some(borrowed), _) => borrowed.provisioned,
                (None, Some(active)) => active.provisioned,
                (None, None) => continue,
            };
            let other_s: Provisioned = content(store, "resource", digest).await?;
            outputs.insert(other.clone(), other_s.outputs);
        }
        Ok(Cluster {
            uid: uid.clone(),
            plan: active.plan,
            provisioned: content(store, "resource", provisioned).await?,
            outputs,
        })
    }

    /// Provisions a cluster once more. What comes of it is in the vault.
    async fn renew(&self, cluster: &Cluster) -> Result<(), EngineError> {
        let store = &*self.engine.ports.store;
        let plan = self.contents.plan.get(store, "plan", cluster.plan).await?;
        let set = self.contents.set.get(store, "set", plan.set).await?;
        let planned = plan
            .resources
            .get(&cluster.uid)
            .ok_or_else(|| EngineError::bug("a cluster that is in no plan"))?;
        let context = context(&plan, &cluster.outputs, Missing::Fault);
        let request = request(&context, &set, &cluster.uid, Some(&cluster.provisioned), &self.key)?;
        let scope = scope(&plan, self.deployment);
        self.engine.need(&planned.driver).await?;
        let call = Call { plugin: &planned.driver, scope: &scope, log: self.log };
        match self.engine.ports.drivers.provision(call, &request, None).await? {
            Progress::Done(_) => {
                self.log.line(LogLevel::Info, "the access to the cluster is renewed".to_owned());
                Ok(())
            }
            Progress::Pending { poll_after_ms, message, .. } => {
                Err(Fault::transient("access-pending", message)
                    .with_retry_after_ms(Some(poll_after_ms))
                    .into())
            }
        }
    }
}
