//! Repeats deployments exactly: by their recorded manifests, where everything
//! that these name is still as it was. Says all that is not.

use std::collections::BTreeMap;

use deployd_core::EnvironmentId;
use deployd_core::calendar::Errand;
use deployd_core::deployment::{Deployment, DeploymentRecord, EnvironmentState};
use deployd_core::exact::{Pinned, changed, pinned_plan};
use deployd_core::graph::{Node, Uid};
use deployd_core::plan::{Manifests, Plan, Preview, changes};
use deployd_core::ports::Provisioned;
use deployd_core::pull;
use deployd_core::rollout::jobs;
use deployd_core::set::DeploymentSet;
use deployd_core::{DeploymentId, Digest, Timestamp};

use crate::error::Problem;
use crate::planner::Planned;
use crate::records::{content, deployment};
use crate::{EngineError, Inner};

/// What is to be repeated.
struct Recorded {
    record: DeploymentRecord,
    plan: Plan,
    manifests: Manifests,
    pinned: Pinned,
}

impl Inner {
    /// The plan that repeats a deployment exactly, or all that is in its way.
    pub(crate) async fn exact_plan(
        &self,
        id: &EnvironmentId,
        state: &EnvironmentState,
        (of, errand): (&DeploymentId, Errand),
    ) -> Result<Planned, EngineError> {
        let mut recorded = self.recorded(id, of).await?;
        let problems = self.obstacles(state, &mut recorded).await?;
        if !problems.is_empty() {
            return Err(EngineError::Invalid { problems });
        }
        let set: DeploymentSet =
            content(&*self.ports.store, "set", recorded.record.request.set).await?;
        let previous = self.previous(state, &set).await?;
        let configuration = self.configuration().await?;
        let of_type = configuration
            .environments
            .get(id)
            .and_then(|spec| configuration.environment_types.get(&spec.environment_type));
        let take_over = of_type.is_some_and(|of_type| of_type.take_over_fields);
        let gates = configuration.gates(id, errand);
        let policies = self.planned_policies(&configuration, id, errand).await?;
        let again = pinned_plan(&recorded.plan, recorded.pinned, take_over, previous, gates);
        let plan = Plan { policies, pull: configuration.pull(id)?, ..again };
        Ok(Planned { plan, objects: Vec::new(), outputs: BTreeMap::new(), basis: None })
    }

    /// How the manifests of such a plan differ from what was applied last.
    pub(crate) async fn exact_preview(
        &self,
        plan: &Plan,
        pinned: &Pinned,
        state: &EnvironmentState,
    ) -> Result<Preview, EngineError> {
        let store = &*self.ports.store;
        let manifests: Manifests = content(store, "manifests", pinned.manifests).await?;
        let before: Manifests = match &state.deployed {
            Some(deployed) => content(store, "manifests", deployed.manifests).await?,
            None => Manifests::default(),
        };
        let changes = changes(&before, &manifests);
        let workloads = plan.workloads.iter().map(|workload| workload.name.as_str());
        let jobs = jobs::foreseen(&manifests, workloads);
        let pull = plan.pull.as_ref().map(|git| pull::preview(git, plan, &manifests));
        Ok(Preview { changes, manifests, jobs, pull, ..Preview::default() })
    }

    /// What is recorded of a deployment, as far as it is there to be repeated.
    async fn recorded(
        &self,
        id: &EnvironmentId,
        of: &DeploymentId,
    ) -> Result<Recorded, EngineError> {
        let store = &*self.ports.store;
        let record = deployment(store, of).await?;
        let refused =
            |message: String| Err(EngineError::invalid(format!("deployment {of}"), message));
        if record.environment != *id {
            return refused(format!(
                "was in {}; its manifests name what is there, and can be repeated only there",
                record.environment
            ));
        }
        let digests = |work: &Deployment| Some((work.plan?, work.result("render")?));
        let Some((plan_digest, digest)) = record.work.as_ref().and_then(digests) else {
            return refused("has no manifests: it never came so far".to_owned());
        };
        if record.outcome.is_none() {
            return refused("has not ended yet".to_owned());
        }
        let plan: Plan = gone(content(store, "plan", plan_digest).await)?;
        let manifests = gone(content(store, "manifests", digest).await)?;
        gone(content::<DeploymentSet>(store, "set", record.request.set).await)?;
        let pinned = Pinned {
            of: of.clone(),
            plan: plan_digest,
            manifests: digest,
            resources: BTreeMap::new(),
        };
        Ok(Recorded { record, plan, manifests, pinned })
    }

    /// All that has changed since, of what the manifests name; notes what there
    /// is of resources.
    async fn obstacles(
        &self,
        state: &EnvironmentState,
        recorded: &mut Recorded,
    ) -> Result<Vec<Problem>, EngineError> {
        let mut problems = Vec::new();
        for (uid, node) in &recorded.plan.graph.nodes {
            if recorded.plan.borrowed.contains_key(uid) {
                continue;
            }
            if let Err(problem) = self.as_it_was(state, recorded, uid, node).await? {
                problems.push(Problem::new(node.key.to_string(), problem));
            }
            if let Some(active) = state.resources.get(uid) {
                recorded.pinned.resources.insert(uid.clone(), active.provisioned);
            }
        }
        problems.extend(self.no_longer_lent(&recorded.plan).await?);
        if let Some(strategy) = &recorded.plan.strategy {
            let plugin = &strategy.plugin;
            let loaded = match self.need(plugin).await {
                Ok(()) if self.ports.catalog.has(plugin) => None,
                Ok(()) => Some("is not known any more".to_owned()),
                Err(EngineError::Fault(fault)) if fault.is_transient() => return Err(fault.into()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = loaded {
                let message = format!("version {} can't be loaded: {why}", plugin.digest);
                problems.push(Problem::new(format!("strategy {}", plugin.name), message));
            }
        }
        for manifest in &recorded.manifests.objects {
            for secret in deployd_core::secret::references(&manifest.object) {
                if !self.ports.vault.contains(&secret).await? {
                    let name = recorded.manifests.reference(&manifest.object);
                    let name = name.map(|name| name.to_string()).unwrap_or_default();
                    problems.push(Problem::new(name, format!("the secret {secret} is gone")));
                }
            }
        }
        Ok(problems)
    }

    /// Whether a resource is what the manifests name.
    async fn as_it_was(
        &self,
        state: &EnvironmentState,
        recorded: &Recorded,
        uid: &Uid,
        node: &Node,
    ) -> Result<Result<(), String>, EngineError> {
        let store = &*self.ports.store;
        let Some((digest, ended)) = recorded.provisioned(uid) else {
            return Ok(Err("is not recorded as it was then".to_owned()));
        };
        let Some(active) = state.resources.get(uid) else {
            let name = node.key.to_string();
            let other = state.resources.values().any(|active| active.name == name);
            let told =
                if other { "was replaced: another driver has made it anew" } else { "is gone" };
            return Ok(Err(told.to_owned()));
        };
        if let (Some(since), Some(ended)) = (active.since, ended)
            && since > ended
        {
            return Ok(Err(format!("was taken away, and made anew at {since}")));
        }
        if active.provisioned == digest {
            return Ok(Ok(()));
        }
        let old: Provisioned = content(store, "resource", digest).await?;
        let now: Provisioned = content(store, "resource", active.provisioned).await?;
        Ok(match changed(&old, &now) {
            Some(how) => Err(how),
            None => Ok(()),
        })
    }

    /// What a plan has borrowed and is not there any more as it was.
    async fn no_longer_lent(&self, plan: &Plan) -> Result<Vec<Problem>, EngineError> {
        let mut problems = Vec::new();
        for (uid, borrowed) in &plan.borrowed {
            let name = plan.graph.nodes.get(uid).map(|node| node.key.to_string());
            let lender = self.environment(&borrowed.lender).await?;
            let now = lender.state.resources.get(&borrowed.uid).map(|active| active.provisioned);
            let told = match now {
                Some(now) if now == borrowed.provisioned => continue,
                Some(_) => "is another than then",
                None => "is gone",
            };
            let message = format!("is borrowed from {}, and {told} there", borrowed.lender);
            problems.push(Problem::new(name.unwrap_or_default(), message));
        }
        Ok(problems)
    }
}

impl Recorded {
    /// What there was of a resource, and when it was made so.
    fn provisioned(&self, uid: &Uid) -> Option<(Digest, Option<Timestamp>)> {
        if let Some(pinned) = &self.plan.pinned {
            // It was a repetition itself: what there was when it was planned.
            let planned = self.record.work.as_ref().map(|work| work.started);
            return pinned.resources.get(uid).map(|digest| (*digest, planned));
        }
        let step = self.record.work.as_ref()?.steps.find(&format!("provision:{uid}"))?;
        Some((step.result?, step.ended))
    }
}

/// Content that a record names is not there: it can't be repeated.
fn gone<T>(content: Result<T, EngineError>) -> Result<T, EngineError> {
    match content {
        Err(EngineError::NotFound { what }) => {
            Err(EngineError::invalid("record", format!("there is no {what} any more")))
        }
        other => other,
    }
}

/// The reasons of a refusal, for a person.
pub(crate) fn reasons(error: &EngineError) -> Option<Vec<String>> {
    match error {
        EngineError::Invalid { problems } => Some(
            problems
                .iter()
                .map(|problem| format!("{}: {}", problem.place, problem.message))
                .collect(),
        ),
        _ => None,
    }
}
