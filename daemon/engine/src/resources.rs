//! Resources that are there, of all environments: what each was made by, and who
//! uses it.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::config::EffectLevel;
use deployd_core::deployment::projection::{ENVIRONMENTS, environment_of};
use deployd_core::deployment::{Deployed, EnvironmentState};
use deployd_core::graph::{Node, Uid};
use deployd_core::plan::{Plan, UnfinishedResource};
use deployd_core::ports::{PluginRef, Provisioned};
use deployd_core::views::{ResourceFilter, ResourceView};
use deployd_core::{Digest, EnvironmentId};

use crate::records::{content, entries, everything};
use crate::{Engine, EngineError, Inner};

/// What a resource was made by.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) node: Node,
    pub(crate) driver: Option<PluginRef>,
    pub(crate) effect: Option<EffectLevel>,
}

impl Engine {
    /// Resources of an environment.
    pub async fn resources(&self, id: &EnvironmentId) -> Result<Vec<ResourceView>, EngineError> {
        self.inner.resource_views(id).await
    }

    /// Resources of all environments, also of those that are gone, in their
    /// order; as far as a filter lets them through.
    pub async fn all_resources(
        &self,
        filter: &ResourceFilter,
    ) -> Result<Vec<ResourceView>, EngineError> {
        let mut views = Vec::new();
        for id in self.inner.environments_ever().await? {
            if filter.application.as_ref().is_none_or(|wanted| *wanted == id.application)
                && filter.environment.as_ref().is_none_or(|wanted| *wanted == id)
            {
                let of_it = self.inner.resource_views(&id).await?.into_iter();
                views.extend(of_it.filter(|view| filter.lets_through(view)));
            }
        }
        Ok(views)
    }
}

impl Inner {
    /// All environments in which anything ever happened.
    pub(crate) async fn environments_ever(&self) -> Result<Vec<EnvironmentId>, EngineError> {
        let all = entries(&*self.ports.store, ENVIRONMENTS, everything()).await?;
        let id = |key: &[u8]| {
            environment_of(key).ok_or_else(|| EngineError::bug("an environment without a name"))
        };
        all.iter().map(|(key, _)| id(key)).collect()
    }

    /// What all resources of an environment were made by.
    pub(crate) async fn made(
        &self,
        state: &EnvironmentState,
    ) -> Result<BTreeMap<Uid, Made>, EngineError> {
        // Most came with the same few plans: each is read once.
        let mut by_plan: BTreeMap<Digest, Vec<&Uid>> = BTreeMap::new();
        for (uid, resource) in &*state.resources {
            by_plan.entry(resource.plan).or_default().push(uid);
        }
        self.made_by_plans(by_plan).await
    }

    /// What was begun of resources and never finished, the oldest first, with
    /// what each was begun by.
    pub(crate) async fn unfinished(
        &self,
        state: &EnvironmentState,
    ) -> Result<BTreeMap<Uid, Vec<(UnfinishedResource, Made)>>, EngineError> {
        let there = self.made(state).await?;
        let mut unfinished: BTreeMap<Uid, Vec<(UnfinishedResource, Made)>> = BTreeMap::new();
        for (uid, begun) in &state.begun {
            for one in begun {
                let by_plan = BTreeMap::from([(one.plan, vec![uid])]);
                let Some(made) = self.made_by_plans(by_plan).await?.remove(uid) else { continue };
                let driver = |made: &Made| made.driver.as_ref().map(|driver| driver.name.clone());
                // Another driver knows nothing of what this one has made.
                let is_same = there.get(uid).is_some_and(|it| driver(it) == driver(&made));
                let active = state.resources.get(uid).filter(|_| is_same);
                let inputs = one.inputs.map(|inputs| inputs.short()).unwrap_or_default();
                let resource = UnfinishedResource {
                    name: format!("{}@{inputs}", one.name),
                    inputs: one.inputs,
                    plan: one.plan,
                    effect: made.effect,
                    beside: active.map(|active| active.provisioned),
                };
                unfinished.entry(uid.clone()).or_default().push((resource, made));
            }
        }
        Ok(unfinished)
    }

    async fn made_by_plans(
        &self,
        by_plan: BTreeMap<Digest, Vec<&Uid>>,
    ) -> Result<BTreeMap<Uid, Made>, EngineError> {
        let mut made = BTreeMap::new();
        for (digest, uids) in by_plan {
            let mut plan: Plan = content(&*self.ports.store, "plan", digest).await?;
            for uid in uids {
                let Some(node) = plan.graph.nodes.remove(uid) else { continue };
                let planned = plan.resources.remove(uid);
                let effect = planned.as_ref().map(|planned| planned.effect);
                let driver = planned.map(|planned| planned.driver);
                made.insert(uid.clone(), Made { node, driver, effect });
            }
        }
        Ok(made)
    }

    async fn resource_views(&self, id: &EnvironmentId) -> Result<Vec<ResourceView>, EngineError> {
        let store = &*self.ports.store;
        let entry = self.environment(id).await?;
        if entry.state.resources.is_empty() {
            return Ok(Vec::new());
        }
        let configuration = self.configuration().await?;
        let mut made = self.made(&entry.state).await?;
        let mut in_use = match &entry.state.deployed {
            Some(Deployed { plan, .. }) => content::<Plan>(store, "plan", *plan).await?.graph.nodes,
            None => BTreeMap::new(),
        };
        let mut views = Vec::with_capacity(entry.state.resources.len());
        for (uid, resource) in &*entry.state.resources {
            let provisioned: Provisioned = content(store, "resource", resource.provisioned).await?;
            let made = made.remove(uid);
            let deployed = in_use.remove(uid);
            let is_current = made.as_ref().is_some_and(|made| {
                let definition = configuration.definitions.get(&made.node.definition);
                definition.and_then(|definition| Digest::of_json(definition).ok())
                    == Some(made.node.definition_digest)
            });
            views.push(ResourceView {
                environment: id.clone(),
                in_use: deployed.is_some(),
                used_by: deployed.map_or_else(BTreeSet::new, |node| node.used_by),
                uid: uid.clone(),
                name: resource.name.clone(),
                resource_type: made
                    .as_ref()
                    .map(|made| made.node.key.resource_type.clone())
                    .unwrap_or_default(),
                definition: made.as_ref().map(|made| made.node.definition.clone()),
                definition_digest: made.as_ref().map(|made| made.node.definition_digest),
                definition_is_current: is_current,
                driver: made.and_then(|made| made.driver),
                outputs: provisioned.outputs,
                deployment: resource.deployment.clone(),
                at: resource.at,
                since: resource.since,
            });
        }
        Ok(views)
    }
}
