//! Resources that an environment has and others use.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use deployd_core::deployment::projection::{ENVIRONMENTS, environment_of};
use deployd_core::graph::{Node, Uid};
use deployd_core::plan::{BorrowedResource, Plan};
use deployd_core::ports::{KeyRange, Order, Provisioned};
use deployd_core::{Digest, EnvironmentId};

use crate::records::{SCAN_MAX, content};
use crate::{EngineError, Inner};

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
        let provisioned = content(&*self.ports.store, "resource", active.provisioned).await?;
        let (lender, uid) = (lender.clone(), uid.clone());
        Ok((BorrowedResource { lender, uid, provisioned: active.provisioned }, provisioned))
    }

    /// Who uses what of a lender: by what is deployed, by what is about to be,
    /// and by resources that were made with it.
    ///
    /// All environments are looked at: this is asked only when a resource is
    /// about to be taken away, and then it has to be right.
    pub(crate) async fn loans(&self, lender: &EnvironmentId) -> Result<Loans, EngineError> {
        let mut loans = Loans::new();
        // Many were made by the same few plans: each is read once.
        let mut read: BTreeMap<Digest, BTreeSet<Uid>> = BTreeMap::new();
        let all = KeyRange { start: Vec::new(), end: None };
        let page = self.ports.store.scan(ENVIRONMENTS, all, Order::Ascending, SCAN_MAX).await?;
        for (key, _) in &page.entries {
            let id = environment_of(key)
                .ok_or_else(|| EngineError::bug("an environment without a name"))?;
            if id == *lender {
                continue;
            }
            for digest in self.plans_of(&id).await? {
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

    /// The plans that say what an environment is made of.
    async fn plans_of(&self, id: &EnvironmentId) -> Result<BTreeSet<Digest>, EngineError> {
        let entry = self.environment(id).await?;
        let state = &entry.state;
        let of_resources = state.resources.values().map(|resource| resource.plan);
        let active = state.active.as_ref().and_then(|deployment| deployment.plan);
        let deployed = state.deployed.as_ref().map(|deployed| deployed.plan);
        Ok(of_resources.chain(active).chain(deployed).collect())
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
