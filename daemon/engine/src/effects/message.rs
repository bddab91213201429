//! What commits and pull requests say.

use std::sync::Arc;

use deployd_core::deployment::StepKind;
use deployd_core::plan::{Manifests, Plan};
use deployd_core::pull::{self, Proposed, SUBJECT_CHARS_MAX};
use deployd_core::set::DeploymentSet;

use super::Work;
use crate::EngineError;

/// What is told of.
struct Told {
    set: Arc<DeploymentSet>,
    set_before: Option<Arc<DeploymentSet>>,
    before: Option<Arc<Manifests>>,
    after: Arc<Manifests>,
}

impl Told {
    fn of<'t>(&'t self, work: &'t Work, plan: &'t Plan) -> Proposed<'t> {
        Proposed {
            deployment: &work.deployment,
            plan,
            set: &self.set,
            set_before: self.set_before.as_deref(),
            before: self.before.as_deref(),
            after: &self.after,
        }
    }
}

impl Work {
    async fn told(&self) -> Result<Told, EngineError> {
        let set_before = match &self.state.deployed {
            Some(deployed) => Some(self.set_at(deployed.set).await?),
            None => None,
        };
        let after = match self.deployment.result("render") {
            Some(digest) => self.manifests_at(digest).await?,
            None => Arc::default(),
        };
        let (set, before) = (self.set().await?, self.current().await?);
        Ok(Told { set, set_before, before, after })
    }

    /// One line.
    pub(super) async fn title(&self, plan: &Plan) -> Result<String, EngineError> {
        match self.brings_back(plan) {
            Some(title) => Ok(title),
            None => Ok(pull::subject(&self.told().await?.of(self, plan))),
        }
    }

    /// The message of a commit, with its trailers.
    pub(super) async fn message(&self, plan: &Plan) -> Result<String, EngineError> {
        let told = self.told().await?;
        let message = pull::commit_message(&told.of(self, plan), &self.step.id);
        Ok(match (self.brings_back(plan), message.split_once('\n')) {
            (Some(title), Some((_, rest))) => format!("{title}\n{rest}"),
            _ => message,
        })
    }

    /// What a pull request says of what it brings.
    pub(super) async fn body(&self, plan: &Plan) -> Result<String, EngineError> {
        let body = pull::body(&self.told().await?.of(self, plan));
        Ok(match self.brings_back(plan) {
            Some(title) => format!("{title}. What did not work was:\n\n{body}"),
            None => body,
        })
    }

    /// The line that says so, where what ran before is brought back.
    fn brings_back(&self, plan: &Plan) -> Option<String> {
        let deployed = self.state.deployed.as_ref();
        let deployed = deployed
            .filter(|_| self.step.kind == StepKind::Restore || self.deployment.is_restoring())?;
        let title = format!("{}: bring back {}", plan.environment, deployed.deployment.0);
        Some(title.chars().take(SUBJECT_CHARS_MAX).collect())
    }
}
