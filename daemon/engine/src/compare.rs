//! Gathers what two subjects are compared by.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::compare::{
    Comparison, Content, PartName, Resolved as Made, Side, Wanted, compare,
};
use deployd_core::deployment::{DeploymentRecord, StepKind};
use deployd_core::graph::Uid;
use deployd_core::plan::Plan;
use deployd_core::ports::Provisioned;
use deployd_core::secret::{SecretRef, references};
use deployd_core::set::DeploymentSet;
use deployd_core::subject::{Subject, Which};
use deployd_core::{Digest, Timestamp};
use serde_json::Value;

use crate::records::{content, named_set, with_steps};
use crate::subjects::Resolved;
use crate::{Engine, EngineError, Inner};

impl Engine {
    /// How two subjects differ.
    pub async fn compare(
        &self,
        a: &Subject,
        b: &Subject,
        wanted: Wanted,
    ) -> Result<Comparison, EngineError> {
        let (side_a, a) = self.inner.side(a, wanted).await?;
        let (side_b, b) = self.inner.side(b, wanted).await?;
        // Some megabytes of manifests on each side.
        let compared =
            tokio::task::spawn_blocking(move || compare((side_a, &a), (side_b, &b), wanted));
        compared.await.map_err(EngineError::bug)?.map_err(EngineError::bug)
    }

    /// What a subject stands for.
    pub async fn subject(&self, subject: &Subject) -> Result<Side, EngineError> {
        Ok(side(&self.inner.resolve(subject).await?))
    }
}

fn side(resolved: &Resolved) -> Side {
    let deployment = resolved.deployment.as_ref();
    Side {
        subject: resolved.subject.clone(),
        set: resolved.set,
        deployment: deployment.map(|record| record.id.clone()),
        environment: deployment.map(|record| record.environment.clone()),
        number: deployment.map(|record| record.number),
        ended: deployment.and_then(|record| record.ended),
        imported: deployment.and_then(|record| record.imported.clone()),
    }
}

impl Inner {
    async fn side(
        &self,
        subject: &Subject,
        wanted: Wanted,
    ) -> Result<(Side, Content), EngineError> {
        let resolved = self.resolve(subject).await?;
        let set: DeploymentSet = named_set(&*self.ports.store, resolved.set).await?;
        let made = match &resolved.deployment {
            // Nothing else is read where it is the set alone that is compared.
            Some(_) if wanted.part == Some(PartName::Set) => Err(String::new()),
            None => Err(format!("{subject} is a set, and none of its deployments was named")),
            Some(record) => {
                let record = match &record.imported {
                    // It was read with all that it has.
                    Some(_) => record.clone(),
                    None => with_steps(&*self.ports.store, record.clone()).await?,
                };
                self.made_of(&resolved.subject, &record).await?
            }
        };
        Ok((side(&resolved), Content { set, resolved: made }))
    }

    /// What a deployment made of its set; or why there is nothing.
    async fn made_of(
        &self,
        subject: &Subject,
        record: &DeploymentRecord,
    ) -> Result<Result<Made, String>, EngineError> {
        let store = &*self.ports.store;
        let name = format!("{}#{}", record.environment, record.number);
        let Some((work, plan)) =
            record.work.as_ref().and_then(|work| work.plan.map(|plan| (work, plan)))
        else {
            return Ok(Err(format!("{name} was never planned")));
        };
        let plan: Plan = content(store, "plan", plan).await?;
        let mut provisioned: BTreeMap<&Uid, Digest> =
            plan.borrowed.iter().map(|(uid, borrowed)| (uid, borrowed.provisioned)).collect();
        for step in work.steps.iter() {
            if let (StepKind::Provision { uid, .. }, Some(result)) = (&step.kind, step.result) {
                provisioned.insert(uid, result);
            }
        }
        let mut outputs = BTreeMap::new();
        for (uid, digest) in provisioned {
            let resource: Provisioned = content(store, "resource", digest).await?;
            outputs.insert(uid.clone(), resource.outputs);
        }
        let manifests = match work.result("render") {
            Some(digest) => Ok(content(store, "manifests", digest).await?),
            None => Err(format!("{name} rendered nothing")),
        };
        let at = match subject {
            Subject::Environment { which: Which::Now, .. } => self.ports.clock.now(),
            Subject::Environment { which: Which::At(at), .. } => *at,
            _ => record.ended.unwrap_or_else(|| self.ports.clock.now()),
        };
        let fingerprints = match &record.imported {
            // Owners of secrets have the same names in another installation, and other
            // secrets; and its fingerprints are made with a key of its own.
            Some(_) => BTreeMap::new(),
            None => self.fingerprints(&outputs, at).await?,
        };
        Ok(Ok(Made { plan, outputs, fingerprints, manifests }))
    }

    /// Fingerprints of all secrets that outputs refer to, as of a time.
    async fn fingerprints(
        &self,
        outputs: &BTreeMap<Uid, Value>,
        at: Timestamp,
    ) -> Result<BTreeMap<SecretRef, Digest>, EngineError> {
        let owners: BTreeSet<String> =
            outputs.values().flat_map(references).map(|secret| secret.owner).collect();
        let mut known = BTreeMap::new();
        for owner in owners {
            let of_it = self.ports.vault_admin.fingerprints(&owner, at).await?;
            known.extend(
                of_it
                    .into_iter()
                    .map(|(name, print)| (SecretRef { owner: owner.clone(), name }, print)),
            );
        }
        Ok(known)
    }
}
