//! Has policies judge a deployment: its plan, before anything is provisioned, and what
//! is rendered, before anything is applied.

use deployd_core::plan::{Manifests, Plan, Preview};
use deployd_core::policy::{Effect, Phase, PolicyReport, refusal};
use deployd_core::ports::LogLevel;
use serde_json::json;

use super::{Ended, Work};
use crate::EngineError;
use crate::planner::Planned;
use crate::policies::Asked;

impl Work {
    /// Refuses a plan that policies deny, as far as that can be told from it. What is
    /// let through is judged once more, with all that is rendered.
    pub(super) async fn judge_plan(&self, planned: &Planned) -> Result<(), EngineError> {
        if planned.plan.policies.is_empty() {
            return Ok(());
        }
        let plan = &planned.plan;
        let preview: Preview = match &plan.pinned {
            Some(pinned) => self.engine.exact_preview(plan, pinned, &self.state).await?,
            None => {
                let set = self.set().await?;
                Box::pin(self.engine.preview(planned, &set, &self.state)).await?
            }
        };
        let manifests = preview.problem.is_none().then_some(&preview.manifests);
        self.judged(plan, manifests, Phase::Plan).await.map(drop)
    }

    /// Judges what is rendered.
    pub(super) async fn policies_step(&self) -> Result<Ended, EngineError> {
        let (plan, manifests) = (self.plan().await?, self.rendered().await?);
        let report = self.judged(&plan, Some(&manifests), Phase::Rendered).await?;
        Ok(Ended::Observed(json!(report)))
    }

    /// What policies say, unless that is a refusal.
    async fn judged(
        &self,
        plan: &Plan,
        manifests: Option<&Manifests>,
        phase: Phase,
    ) -> Result<PolicyReport, EngineError> {
        let set = self.set().await?;
        let report = self
            .engine
            .judge(Asked {
                plan,
                set: &set,
                manifests,
                errand: self.deployment.request.origin.errand(),
                phase,
                deployment: &self.deployment.id.0,
                log: &self.log,
            })
            .await?;
        for finding in &report.findings {
            let level = match finding.effect {
                Effect::Deny => LogLevel::Error,
                Effect::Warn => LogLevel::Warn,
                Effect::Exempt => LogLevel::Info,
            };
            self.log.line(level, format!("{}: {finding}", finding.effect.as_str()));
        }
        match refusal(&report) {
            Some(fault) => Err(fault.into()),
            None => Ok(report),
        }
    }
}
