//! What becomes of resources that are there and that a plan does not use: they
//! stay, or go, or something else takes their place.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::EnvironmentId;
use deployd_core::config::{Provider, WhenUnused};
use deployd_core::deployment::EnvironmentState;
use deployd_core::graph::{self, CLUSTER, NAMESPACE, ResourceGraph, ResourceKey, Uid};
use deployd_core::plan::{BorrowedResource, Plan, UnusedResource};
use deployd_core::ports::DriverAction;
use deployd_core::seeded::{Bug, seeded};

use crate::configuration::Configuration;
use crate::error::Problem;
use crate::records::content;
use crate::resources::Made;
use crate::{EngineError, Inner};

impl Inner {
    /// Resources that are there and that the graph has not, each after those
    /// that need it.
    pub(crate) async fn unused(
        &self,
        id: &EnvironmentId,
        configuration: &Configuration,
        made: &BTreeMap<Uid, Made>,
        graph: &ResourceGraph,
    ) -> Result<Vec<UnusedResource>, EngineError> {
        let mut unused = BTreeMap::new();
        let mut needs = BTreeMap::new();
        for (uid, Made { node, effect, .. }) in made {
            if matches!(provider(graph, uid), Some(Provider::Driver(_))) {
                continue;
            }
            let replaced_by = graph.uid_of(&node.key, id);
            // What the definition says today counts, if it is still there. What
            // is made anew has no use for what was made before.
            let made_anew = replaced_by
                .as_ref()
                .is_some_and(|by| matches!(provider(graph, by), Some(Provider::Driver(_))));
            let when_unused = if made_anew {
                WhenUnused::Destroy
            } else {
                configuration
                    .definitions
                    .get(&node.definition)
                    .map_or(node.when_unused, |definition| definition.when_unused)
            };
            needs.insert(uid.clone(), node.after.clone());
            let resource = UnusedResource {
                uid: uid.clone(),
                key: node.key.clone(),
                when_unused,
                lent_to: BTreeSet::new(),
                effect: *effect,
                gone_before: BTreeSet::new(),
                replaced_by,
                unfinished: Vec::new(),
                only_unfinished: false,
            };
            unused.insert(uid.clone(), resource);
        }
        if unused.values().any(|resource| resource.when_unused == WhenUnused::Destroy) {
            for (uid, lent_to) in self.loans(id).await? {
                if let Some(resource) = unused.get_mut(&uid) {
                    resource.when_unused = WhenUnused::Keep;
                    resource.lent_to = lent_to;
                }
            }
        }
        keep_what_kept_ones_need(&mut unused, &needs);
        // What others need is taken away after them.
        let mut order = graph::dependents_first(&needs);
        if seeded(Bug::UndoneInForwardOrder) {
            order.reverse();
        }
        let mut gone_before = graph::gone_before(&order, &needs);
        let in_order = order.iter().filter_map(|uid| {
            let gone_before = gone_before.remove(uid).unwrap_or_default();
            Some(UnusedResource { gone_before, ..unused.remove(uid)? })
        });
        Ok(in_order.collect())
    }

    /// Says which resources are made anew by another driver. An environment does
    /// not move to another cluster or namespace: what is in the old one would
    /// stay there for ever.
    pub(crate) async fn plan_replacements(
        &self,
        plan: &mut Plan,
        state: &EnvironmentState,
    ) -> Result<(), EngineError> {
        let mut problems = self.moved_ways(plan, state).await?;
        for old in &plan.unused {
            let Some(by) = &old.replaced_by else { continue };
            if is_way(&old.key) {
                let from = match provider(&plan.graph, by) {
                    Some(Provider::Lender(lender)) => format!("it would be borrowed from {lender}"),
                    _ => "another driver would make it anew".to_owned(),
                };
                problems.push(moved(&old.key, &from));
            }
            if let Some(planned) = plan.resources.get_mut(by)
                && planned.action == DriverAction::Create
            {
                planned.action = DriverAction::Replace;
                planned.summary.push(format!("made anew by {}", planned.driver.name));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(EngineError::Invalid { problems }) }
    }

    /// The environment's cluster and namespace that were borrowed when something
    /// was last put there, and would come from elsewhere now.
    async fn moved_ways(
        &self,
        plan: &Plan,
        state: &EnvironmentState,
    ) -> Result<Vec<Problem>, EngineError> {
        let is_empty =
            state.deployed.is_none() && state.applied.is_empty() && state.resources.is_empty();
        let last = match is_empty {
            true => None,
            false => self.last_plan(&plan.environment, state).await?,
        };
        let Some(last) = last else { return Ok(Vec::new()) };
        let last: Plan = content(&*self.ports.store, "plan", last).await?;
        let of_whom = |one: &BorrowedResource| (one.lender.clone(), one.uid.clone());
        let problem = |key: ResourceKey| {
            let uid = key.uid(&plan.environment);
            let was = last.borrowed.get(&uid)?;
            let is = plan.borrowed.get(&uid);
            if is.map(of_whom) == Some(of_whom(was)) {
                return None;
            }
            let from = match is {
                Some(is) if is.lender == was.lender => {
                    format!("{} has another one now than the one it lent", is.lender)
                }
                Some(is) => format!(
                    "it was borrowed from {}, and would be borrowed from {}",
                    was.lender, is.lender
                ),
                None => format!("it was borrowed from {}, and would be made here", was.lender),
            };
            Some(moved(&key, &from))
        };
        Ok([CLUSTER, NAMESPACE]
            .map(ResourceKey::of_environment)
            .into_iter()
            .filter_map(problem)
            .collect())
    }
}

/// What stays does not stay without what it needs, whatever is to become of that.
fn keep_what_kept_ones_need(
    unused: &mut BTreeMap<Uid, UnusedResource>,
    needs: &BTreeMap<Uid, BTreeSet<Uid>>,
) {
    let kept = unused.values().filter(|resource| resource.when_unused == WhenUnused::Keep);
    let mut open: Vec<Uid> = kept.map(|resource| resource.uid.clone()).collect();
    while let Some(uid) = open.pop() {
        for needed in needs.get(&uid).into_iter().flatten() {
            if let Some(resource) = unused.get_mut(needed)
                && resource.when_unused == WhenUnused::Destroy
            {
                resource.when_unused = WhenUnused::Keep;
                open.push(needed.clone());
            }
        }
    }
}

/// Where a resource of a graph comes from.
fn provider<'g>(graph: &'g ResourceGraph, uid: &Uid) -> Option<&'g Provider> {
    graph.nodes.get(uid).map(|node| &node.provider)
}

/// Whether a resource is the environment's own cluster or namespace.
pub(crate) fn is_way(key: &ResourceKey) -> bool {
    [CLUSTER, NAMESPACE].iter().any(|kind| *key == ResourceKey::of_environment(kind))
}

fn moved(key: &ResourceKey, from: &str) -> Problem {
    let message = format!(
        "{from}, and the environment can't move there with what it has; delete the environment \
         and apply it again"
    );
    Problem::new(key.to_string(), message)
}
