//! The manifests, rendered again from the set, the plan and what was there of
//! resources.

use std::collections::BTreeMap;

use deployd_core::deployment::{DeploymentRecord, StepKind, StepStatus};
use deployd_core::exact::Pinned;
use deployd_core::graph::Uid;
use deployd_core::plan::{Manifests, Plan};
use deployd_core::ports::{CallLog, Provisioned};
use deployd_core::replay::{Difference, Part, ReplayedPart, differences, differences_of_manifests};
use deployd_core::resolve::Missing;
use deployd_core::{Digest, Fault, FaultClass};
use serde_json::{Value, json};

use super::{Past, failed, missing};
use crate::effects::manifests;
use crate::records::content;
use crate::{EngineError, Inner};

impl Inner {
    /// The deployment that made what is pinned, and its plan: a repetition of a
    /// repetition has the manifests of the first.
    async fn first_made(&self, pinned: &Pinned) -> Result<(DeploymentRecord, Plan), EngineError> {
        let store = &*self.ports.store;
        let mut pinned = pinned.clone();
        loop {
            let record = self.past(&pinned.of).await?;
            let plan: Plan = content(store, "plan", pinned.plan).await?;
            match plan.pinned {
                // A deployment repeats older ones only, so that this ends.
                Some(earlier) if earlier.of < pinned.of => pinned = earlier,
                Some(_) => return Err(EngineError::bug("a deployment that repeats a later one")),
                None => return Ok((record, plan)),
            }
        }
    }
}

impl Past<'_> {
    /// The manifests; of what is pinned, as the deployment made them that first had
    /// them.
    pub(super) async fn manifests(&self) -> Result<ReplayedPart, EngineError> {
        let Some(pinned) = &self.plan.pinned else { return self.made().await };
        let part = ReplayedPart::new(Part::Manifests, "");
        let Some(recorded) = self.work.result("render") else {
            return Ok(part.nothing("it never came to manifests"));
        };
        let (record, plan) = match self.engine.first_made(pinned).await {
            Ok(first) => first,
            Err(error) => return Ok(part.without(missing(error)?)),
        };
        let Some(work) = &record.work else {
            return Ok(part.without(format!("the work of deployment {}", record.id)));
        };
        let (engine, set, with) = (self.engine, self.set.clone(), self.with);
        let first = Past { engine, record: &record, work, plan, set, with };
        let mut part = first.made().await?;
        part.compared = format!("{}; made by deployment {} first", part.compared, record.id);
        match part.recorded {
            Some(digest) if digest != recorded => {
                let of_it = format!("manifests of {}", record.id);
                let differs = differences(&of_it, &json!(recorded), &json!(digest));
                Ok(part.compared(recorded, digest, differs))
            }
            _ => Ok(part),
        }
    }

    /// What was there of the plan's resources when manifests were made: each was
    /// provisioned by this very deployment, or is borrowed by content.
    async fn resources(&self) -> Result<BTreeMap<Uid, Provisioned>, EngineError> {
        let store = &*self.engine.ports.store;
        let mut resources = BTreeMap::new();
        for (uid, node) in &self.plan.graph.nodes {
            let borrowed = self.plan.borrowed.get(uid);
            let digest = match borrowed {
                Some(borrowed) => Some(borrowed.provisioned),
                None => self.work.result(&format!("provision:{uid}")),
            };
            let what = format!("result of provisioning {}", node.key);
            let digest = digest.ok_or_else(|| EngineError::not_found(&what))?;
            let mut there: Provisioned = content(store, &what, digest).await?;
            if borrowed.is_some() {
                there.manifests.clear();
            }
            resources.insert(uid.clone(), there);
        }
        Ok(resources)
    }

    /// The templater's manifests, with the objects of resources before them.
    async fn made(&self) -> Result<ReplayedPart, EngineError> {
        let part = ReplayedPart::new(
            Part::Manifests,
            "all objects: those of resources as they were provisioned then, and what the templater makes of the workloads",
        );
        let rendered = self.work.steps.iter().find(|step| step.kind == StepKind::Render);
        let (digest, fault) = match rendered {
            Some(step) => {
                (step.result, step.fault.as_ref().filter(|_| step.status == StepStatus::Failed))
            }
            None => (None, None),
        };
        // What a templater refuses, it refuses again.
        let refused = fault.filter(|fault| {
            matches!(fault.class, FaultClass::Invalid | FaultClass::Denied | FaultClass::Bug)
        });
        if digest.is_none() && refused.is_none() {
            return Ok(part.nothing("it never came to manifests"));
        }
        let mut plan = self.plan.clone();
        let Some(templater) = &mut plan.templater else {
            return Ok(part.without("a templater in the plan"));
        };
        match self.loaded(&templater.plugin).await? {
            Ok(plugin) => templater.plugin = plugin,
            Err(why) => return Ok(part.without(why)),
        }
        let part = ReplayedPart { plugin: Some(templater.plugin.clone()), ..part };
        let made = match self.resources().await {
            Ok(resources) => self.render(&plan, &resources).await,
            Err(error) => return Ok(part.without(missing(error)?)),
        };
        self.compare_manifests(part, digest, refused, made).await
    }

    async fn render(
        &self,
        plan: &Plan,
        resources: &BTreeMap<Uid, Provisioned>,
    ) -> Result<Manifests, EngineError> {
        let outputs: BTreeMap<Uid, Value> =
            resources.iter().map(|(uid, there)| (uid.clone(), there.outputs.clone())).collect();
        let log = CallLog::default();
        let (engine, scope) = (self.engine, self.scope());
        let rendered =
            engine.render(plan, &self.set, &outputs, Missing::Fault, &scope, &log).await?;
        manifests(plan, resources, rendered)
    }

    async fn compare_manifests(
        &self,
        part: ReplayedPart,
        recorded: Option<Digest>,
        refused: Option<&Fault>,
        made: Result<Manifests, EngineError>,
    ) -> Result<ReplayedPart, EngineError> {
        let found = match made {
            Ok(manifests) => Ok(manifests),
            Err(error @ EngineError::NotFound { .. } | error @ EngineError::Store(_)) => {
                return Ok(part.without(missing(error)?));
            }
            Err(error) => match error.into_fault() {
                fault if fault.is_transient() => return Err(fault.into()),
                fault => Err(fault),
            },
        };
        let told = |fault: &Fault| Digest::of_json(fault).map_err(EngineError::bug);
        match (recorded, refused, found) {
            (Some(digest), _, Ok(replayed)) => {
                let again = Digest::of_json(&replayed).map_err(EngineError::bug)?;
                if again == digest {
                    return Ok(part.compared(digest, again, Vec::new()));
                }
                let store = &*self.engine.ports.store;
                let recorded: Manifests = match content(store, "manifests", digest).await {
                    Ok(recorded) => recorded,
                    Err(error) => return Ok(part.without(missing(error)?)),
                };
                let found = differences_of_manifests(&recorded, &replayed);
                Ok(part.compared(digest, again, found))
            }
            (Some(digest), _, Err(fault)) => {
                Ok(part.compared(digest, told(&fault)?, vec![failed(&fault)]))
            }
            (None, Some(recorded), Ok(replayed)) => {
                let again = Digest::of_json(&replayed).map_err(EngineError::bug)?;
                let difference = Difference {
                    what: "fault".to_owned(),
                    path: String::new(),
                    recorded: Some(json!(recorded)),
                    replayed: None,
                };
                Ok(part.compared(told(recorded)?, again, vec![difference]))
            }
            (None, Some(recorded), Err(fault)) => {
                let (old, new) = (json!(recorded), json!(fault));
                Ok(part.compared(told(recorded)?, told(&fault)?, differences("fault", &old, &new)))
            }
            (None, None, _) => Ok(part),
        }
    }
}
