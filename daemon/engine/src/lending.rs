//! Resources that an environment has and others use.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use deployd_core::deployment::projection::{
    BY_ENVIRONMENT, ENVIRONMENTS, EnvironmentHead, RESOURCES, environment_of,
    environment_of_resource,
};
use deployd_core::deployment::{ActiveResource, Deployment, EnvironmentState};
use deployd_core::graph::{Node, Uid};
use deployd_core::plan::{BorrowedResource, Plan};
use deployd_core::ports::{Order, Provisioned};
use deployd_core::{DeploymentId, Digest, EnvironmentId, Fault};

use crate::records::{below, content, decode, deployment, entries, everything, head_of_deployment};
use crate::{EngineError, Inner};

/// How many deployments of an environment are looked at before more are read:
/// the newest are most likely the ones that are looked for.
const LOOK_AT_ONCE: usize = 20;

/// Which environments use which resource of a lender.
pub(crate) type Loans = BTreeMap<Uid, BTreeSet<EnvironmentId>>;

impl Inner {
    /// What a lender has for a node, and what that is; an error when it has
    /// nothing for it.
    pub(crate) async fn borrow(
        &self,
        node: &Node,
        lender: &EnvironmentId,
    ) -> Result<(BorrowedResource, Provisioned), EngineError> {
        let entry = self.environment(lender).await?;
        // The newest, where one takes the place of another.
        let name = node.key.to_string();
        let of_key = entry.state.resources.iter().filter(|(_, active)| active.name == name);
        let newest = of_key.max_by_key(|(_, active)| active.since.unwrap_or_default());
        let Some((uid, active)) = newest else {
            return Err(EngineError::invalid(
                node.key.to_string(),
                format!(
                    "definition {} borrows it from {lender}, which has none; deploy it there first",
                    node.definition
                ),
            ));
        };
        let teardown = may_go(&entry.state)
            .map(|teardown| format!("deployment {teardown} is about to take {lender} away"));
        if let Some(reason) = going(lender, &entry.state, uid).or(teardown) {
            return Err(EngineError::invalid(
                node.key.to_string(),
                format!("definition {} borrows it, and {reason}", node.definition),
            ));
        }
        let provisioned = content(&*self.ports.store, "resource", active.provisioned).await?;
        let (lender, uid) = (lender.clone(), uid.clone());
        Ok((BorrowedResource { lender, uid, provisioned: active.provisioned }, provisioned))
    }

    /// Fails unless everything that a plan has borrowed is still there to be
    /// borrowed: since the plan was made, its lender may have begun to take it
    /// away.
    pub(crate) async fn still_lent(&self, plan: &Plan) -> Result<(), EngineError> {
        for (uid, borrowed) in &plan.borrowed {
            let entry = self.environment(&borrowed.lender).await?;
            let reason = match entry.state.resources.contains_key(&borrowed.uid) {
                true => going(&borrowed.lender, &entry.state, &borrowed.uid),
                false => Some(format!("{} does not have it any more", borrowed.lender)),
            };
            if let Some(reason) = reason {
                let key = plan.graph.nodes.get(uid).map(|node| node.key.to_string());
                let name = key.unwrap_or_else(|| uid.to_string());
                let message = format!("{name} is borrowed, and {reason}; plan again");
                return Err(Fault::conflict("loan-ended", message).into());
            }
        }
        Ok(())
    }

    /// Who uses what of a lender: by what is deployed, by what is about to be,
    /// by what was applied and is still there, and by resources that were made
    /// with it, or may have been.
    ///
    /// All environments are looked at: this is asked only when a resource is
    /// about to be taken away, and then it has to be right.
    pub(crate) async fn loans(&self, lender: &EnvironmentId) -> Result<Loans, EngineError> {
        let mut loans = Loans::new();
        // Many were made by the same few plans: each is read once.
        let mut read: BTreeMap<Digest, BTreeSet<Uid>> = BTreeMap::new();
        for (id, plans) in self.plans_of_others(lender).await? {
            for digest in plans {
                let borrowed = match read.entry(digest) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => place.insert(self.borrowed_from(lender, digest).await?),
                };
                for uid in borrowed.iter() {
                    loans.entry(uid.clone()).or_default().insert(id.clone());
                }
            }
        }
        Ok(loans)
    }

    /// The plans that say what all environments but one are made of.
    ///
    /// What is there of a resource is looked at after what is begun: the one
    /// becomes the other, and is seen at least once.
    async fn plans_of_others(
        &self,
        lender: &EnvironmentId,
    ) -> Result<BTreeMap<EnvironmentId, BTreeSet<Digest>>, EngineError> {
        let store = &*self.ports.store;
        let mut plans: BTreeMap<EnvironmentId, BTreeSet<Digest>> = BTreeMap::new();
        let nameless = || EngineError::bug("an environment without a name");
        for (key, bytes) in entries(store, ENVIRONMENTS, everything()).await? {
            let id = environment_of(&key).ok_or_else(nameless)?;
            if id == *lender {
                continue;
            }
            let head: EnvironmentHead = decode("environment", &bytes)?;
            let begun = head.begun.values().flatten();
            let mut of_it: BTreeSet<Digest> = begun.map(|begun| begun.plan).collect();
            of_it.extend(head.deployed.as_ref().map(|deployed| deployed.plan));
            if let Some(active) = &head.active {
                let record = head_of_deployment(store, active).await?;
                of_it.extend(record.work.and_then(|work| work.plan));
            }
            of_it.extend(self.plans_of_applied(&id, &head).await?);
            if !of_it.is_empty() {
                plans.insert(id, of_it);
            }
        }
        for (key, bytes) in entries(store, RESOURCES, everything()).await? {
            let id = environment_of_resource(&key).ok_or_else(nameless)?;
            if id != *lender {
                let resource: ActiveResource = decode("resource", &bytes)?;
                plans.entry(id).or_default().insert(resource.plan);
            }
        }
        Ok(plans)
    }

    /// The plans by which manifests were made of which something may be in the
    /// cluster, other than what is deployed: of deployments that failed, and
    /// whose objects nobody has pruned.
    async fn plans_of_applied(
        &self,
        id: &EnvironmentId,
        head: &EnvironmentHead,
    ) -> Result<BTreeSet<Digest>, EngineError> {
        let store = &*self.ports.store;
        let deployed = head.deployed.as_ref().map(|deployed| deployed.manifests);
        let mut wanted: BTreeSet<Digest> =
            head.applied.iter().filter(|one| Some(**one) != deployed).copied().collect();
        let mut plans = BTreeSet::new();
        let mut range = below(&[&id.to_string()]);
        while !wanted.is_empty() {
            let page = store.scan(BY_ENVIRONMENT, range.clone(), Order::Descending, LOOK_AT_ONCE);
            let page = page.await?;
            for (_, bytes) in &page.entries {
                let record = deployment(store, &decode("deployment id", bytes)?).await?;
                let Some(work) = record.work else { continue };
                if work.result("render").is_some_and(|manifests| wanted.remove(&manifests)) {
                    plans.extend(work.plan);
                }
                if wanted.is_empty() {
                    break;
                }
            }
            match page.entries.last().filter(|_| page.more) {
                Some((oldest, _)) => range.end = Some(oldest.clone()),
                None => break,
            }
        }
        Ok(plans)
    }

    /// What a plan uses of a lender, by its uids there.
    async fn borrowed_from(
        &self,
        lender: &EnvironmentId,
        plan: Digest,
    ) -> Result<BTreeSet<Uid>, EngineError> {
        let plan: Plan = content(&*self.ports.store, "plan", plan).await?;
        let of_lender = plan.borrowed.into_values().filter(|borrowed| borrowed.lender == *lender);
        Ok(of_lender.map(|borrowed| borrowed.uid).collect())
    }
}

/// Why what a lender has is not lent any more, if it is about to go.
///
/// Before a resource goes, its lender has recorded so, and then asks who uses
/// it; whoever borrows has recorded so, and then asks this. One of both sees
/// the other, so that nothing that is used goes.
fn going(lender: &EnvironmentId, state: &EnvironmentState, uid: &Uid) -> Option<String> {
    let active = state.active.as_ref()?;
    let goes = active.destroy.iter().any(|step| step.uid == *uid);
    goes.then(|| format!("it is about to be taken away from {lender} by deployment {}", active.id))
}

/// The same, before it is even planned what goes.
fn may_go(state: &EnvironmentState) -> Option<&DeploymentId> {
    let is_planned = |active: &&Deployment| active.is_teardown() && active.plan.is_some();
    if state.active.as_ref().filter(is_planned).is_some() {
        return None;
    }
    state.teardown()
}
