//! Has policies judge deployments: which are for an environment, and what they say.

use std::collections::BTreeMap;

use deployd_core::artifact::Artifact;
use deployd_core::calendar::Errand;
use deployd_core::config::{PluginKind, PolicySpec};
use deployd_core::image::Image;
use deployd_core::plan::{Manifests, Plan, Preview};
use deployd_core::policy::{
    Answer, Judged, Phase, PlannedPolicy, PolicyInput, PolicyReport, Severity, Violation, report,
};
use deployd_core::ports::{Call, CallLog, Order};
use deployd_core::set::DeploymentSet;
use deployd_core::{EnvironmentId, Name};
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::planner::scope;
use crate::{EngineError, Inner};

/// What policies are asked over.
pub(crate) struct Asked<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) set: &'a DeploymentSet,
    /// None where they can't be told yet.
    pub(crate) manifests: Option<&'a Manifests>,
    pub(crate) errand: Errand,
    pub(crate) phase: Phase,
    /// Whose deployment it is; empty for a plan that is only shown.
    pub(crate) deployment: &'a str,
    pub(crate) log: &'a CallLog,
}

impl Configuration {
    /// The policies that are for an environment, in order of name.
    fn policies_of(&self, id: &EnvironmentId) -> Vec<(&Name, &PolicySpec)> {
        let Some(spec) = self.environments.get(id) else { return Vec::new() };
        let of_type = &spec.environment_type;
        self.policies.iter().filter(|(_, policy)| policy.selector.selects(id, of_type)).collect()
    }
}

impl Inner {
    /// The policies that judge what is deployed to an environment, pinned.
    pub(crate) async fn planned_policies(
        &self,
        configuration: &Configuration,
        id: &EnvironmentId,
        errand: Errand,
    ) -> Result<Vec<PlannedPolicy>, EngineError> {
        let mut planned = Vec::new();
        for (name, spec) in configuration.policies_of(id) {
            let plugin = match self.plugin(&spec.plugin, PluginKind::Policy).await {
                Ok(info) => info.plugin,
                Err(error @ EngineError::Store(_)) => return Err(error),
                // Nobody is kept from going back by what could only warn.
                Err(error) if errand == Errand::Rollback => {
                    tracing::warn!(policy = %name, %error, "it is not asked about what goes back");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let exemptions = spec.exemptions.iter();
            let exemptions = exemptions.filter(|one| one.application == id.application);
            planned.push(PlannedPolicy {
                name: name.clone(),
                plugin,
                params: json!(spec.params),
                enforce: spec.enforce,
                exemptions: exemptions.cloned().collect(),
            });
        }
        Ok(planned)
    }

    /// What the policies of a plan say of it. A policy that can't judge just now is
    /// asked again by whoever tries the step again, unless it could only warn.
    pub(crate) async fn judge(&self, asked: Asked<'_>) -> Result<PolicyReport, EngineError> {
        let Asked { plan, set, manifests, errand, phase, deployment, log } = asked;
        let announced = self.announced_images(set).await?;
        let results = self.results_of_set(set).await?;
        let rollback = errand == Errand::Rollback;
        let judged =
            Judged { plan, set, manifests, announced: &announced, results: &results, rollback };
        let input = PolicyInput::new(judged, phase, self.ports.clock.now());
        let input = input.document().map_err(EngineError::bug)?;
        let mut answers = Vec::with_capacity(plan.policies.len());
        for policy in &plan.policies {
            let found = match self.ask_policy(policy, plan, &input, deployment, log).await {
                Ok(found) => Ok(found),
                Err(error @ EngineError::Store(_)) => return Err(error),
                Err(error) => {
                    let fault = error.into_fault();
                    let refuses = policy.enforce == Severity::Deny && !rollback;
                    if fault.is_transient() && refuses {
                        let who = format!("policy {} could not judge", policy.name);
                        return Err(fault.with_reason(who).into());
                    }
                    Err(fault)
                }
            };
            answers.push(Answer { policy, found });
        }
        Ok(report(answers, &input))
    }

    async fn ask_policy(
        &self,
        policy: &PlannedPolicy,
        plan: &Plan,
        input: &Value,
        deployment: &str,
        log: &CallLog,
    ) -> Result<Vec<Violation>, EngineError> {
        self.need(&policy.plugin).await?;
        let scope = scope(plan, deployment);
        let call = Call { plugin: &policy.plugin, scope: &scope, log };
        Ok(self.ports.policies.evaluate(call, input, &policy.params).await?)
    }

    /// What policies say of a plan that is only shown; none where there are none.
    pub(crate) async fn foreseen_policies(
        &self,
        plan: &Plan,
        set: &DeploymentSet,
        preview: &Preview,
        errand: Errand,
    ) -> Result<Option<PolicyReport>, EngineError> {
        if plan.policies.is_empty() {
            return Ok(None);
        }
        let manifests = preview.problem.is_none().then_some(&preview.manifests);
        let log = CallLog::default();
        let (phase, deployment) = (Phase::Plan, "");
        let asked = Asked { plan, set, manifests, errand, phase, deployment, log: &log };
        self.judge(asked).await.map(Some)
    }

    /// What was announced last of each image of a set that is named by its digest.
    async fn announced_images(
        &self,
        set: &DeploymentSet,
    ) -> Result<BTreeMap<String, Artifact>, EngineError> {
        let mut found = BTreeMap::new();
        for text in set.images().into_values() {
            if found.contains_key(&text) {
                continue;
            }
            let announced = self.announcement(&Image::of(&text), Order::Descending).await?;
            found.extend(announced.map(|announced| (text, announced.artifact)));
        }
        Ok(found)
    }
}
