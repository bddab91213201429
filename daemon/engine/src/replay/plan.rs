//! The plan, made again from the documents of its time.

use deployd_core::Digest;
use deployd_core::deployment::Origin;
use deployd_core::exact::{Pinned, pinned_plan};
use deployd_core::plan::Plan;
use deployd_core::replay::{Part, PlanBasis, ReplayedPart, differences};
use deployd_core::set::{DeploymentSet, diff};
use serde_json::json;

use super::{Past, failed, missing};
use crate::EngineError;
use crate::configuration::Configuration;
use crate::planner::{Documented, baseline, documented, plugin_config};
use crate::records::content;

impl Past<'_> {
    /// The plan, as far as documents make it.
    pub(super) async fn plan(&self) -> Result<ReplayedPart, EngineError> {
        let mut part = ReplayedPart::new(
            Part::Plan,
            "environment type, values, resource graph with the definition of each resource, order of workloads, baseline and configurations of templater and strategy, the delta from what ran",
        );
        part.taken = Some(
            "what drivers answered, what is borrowed, unused or pinned, and policies".to_owned(),
        );
        if let Some(pinned) = &self.plan.pinned {
            return self.pinned(part, pinned).await;
        }
        let Some(digest) = self.work.result("plan") else {
            return Ok(part.without("a record of what the plan was made from"));
        };
        let made = async {
            let basis: PlanBasis =
                content(&*self.engine.ports.store, "basis of the plan", digest).await?;
            let configuration =
                self.engine.configuration_of(self.record, basis.configuration).await?;
            self.plan_from(&basis, &configuration).await
        };
        let recorded = Digest::of_json(&self.plan).map_err(EngineError::bug)?;
        match made.await {
            Ok(plan) => {
                let replayed = Digest::of_json(&plan).map_err(EngineError::bug)?;
                let (old, new) = (json!(self.plan), json!(plan));
                Ok(part.compared(recorded, replayed, differences("plan", &old, &new)))
            }
            // That it can't be made any more is something else than the plan.
            Err(error @ EngineError::Invalid { .. }) => {
                Ok(part.compared(recorded, Digest::of(b""), vec![failed(&error.into_fault())]))
            }
            Err(error) => Ok(part.without(missing(error)?)),
        }
    }

    /// The plan of what is pinned: that of the deployment that it repeats, and
    /// what is pinned of it.
    async fn pinned(
        &self,
        part: ReplayedPart,
        pinned: &Pinned,
    ) -> Result<ReplayedPart, EngineError> {
        let store = &*self.engine.ports.store;
        let compared = format!("the plan of deployment {}, pinned", pinned.of);
        let taken = Some(
            "what there was of resources, what ran before, policies, and whether fields are taken over"
                .to_owned(),
        );
        let part = ReplayedPart { compared, taken, ..part };
        let of: Plan = match content(store, "plan", pinned.plan).await {
            Ok(of) => of,
            Err(error) => return Ok(part.without(missing(error)?)),
        };
        let (take_over, previous) = (self.plan.take_over_fields, self.plan.previous.clone());
        let again = pinned_plan(&of, pinned.clone(), take_over, previous, self.plan.gates.clone());
        let again = Plan { policies: self.plan.policies.clone(), ..again };
        let digest = |plan: &Plan| Digest::of_json(plan).map_err(EngineError::bug);
        let found = differences("plan", &json!(self.plan), &json!(again));
        Ok(part.compared(digest(&self.plan)?, digest(&again)?, found))
    }

    async fn plan_from(
        &self,
        basis: &PlanBasis,
        configuration: &Configuration,
    ) -> Result<Plan, EngineError> {
        let store = &*self.engine.ports.store;
        let id = &self.record.environment;
        let Documented { environment_type, values, graph, workloads, templater, strategy } =
            documented(id, configuration, &basis.made_by, &self.set)?;
        let mut plan = self.plan.clone();
        plan.environment = id.clone();
        plan.environment_type = environment_type.0.clone();
        plan.take_over_fields = environment_type.1.take_over_fields
            || matches!(self.record.request.origin, Origin::Drift { .. });
        plan.set = Digest::of_json(&self.set).map_err(EngineError::bug)?;
        plan.graph = graph;
        plan.values = values;
        plan.workloads = workloads;
        if let Some(planned) = &mut plan.templater {
            planned.plugin.name = templater.plugin.to_string();
            planned.baseline = baseline(templater).map(|object| object.digest);
            planned.config = plugin_config(configuration, &templater.plugin);
        }
        if let Some(planned) = &mut plan.strategy {
            planned.plugin.name = strategy.plugin.to_string();
            planned.config = json!(strategy.config);
            planned.traffic = strategy.traffic;
            planned.drain_ms = strategy.drain_ms;
        }
        let checks = &environment_type.1.checks;
        plan.checks.retain(|name, _| checks.contains_key(name));
        for (name, choice) in checks {
            // One that the record does not have has no version of then.
            let Some(planned) = plan.checks.get_mut(name) else { continue };
            planned.plugin.name = choice.plugin.to_string();
            planned.config = json!(choice.config);
            planned.timing = choice.timing();
        }
        if let Some(previous) = &mut plan.previous {
            let old: DeploymentSet = content(store, "set", previous.set).await?;
            previous.delta = diff(&old, &self.set).map_err(EngineError::bug)?;
        }
        Ok(plan)
    }
}
