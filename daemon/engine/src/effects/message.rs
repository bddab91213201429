//! What commits and pull requests say.

use deployd_core::plan::Plan;

use super::Work;
use crate::EngineError;

impl Work {
    /// One line.
    pub(super) async fn title(&self, plan: &Plan) -> Result<String, EngineError> {
        Ok(format!("{}: {}", plan.environment, self.deployment.id.0))
    }

    /// The message of a commit, with its trailers.
    pub(super) async fn message(&self, plan: &Plan) -> Result<String, EngineError> {
        let title = self.title(plan).await?;
        Ok(format!("{title}\n\nDeployd-Deployment: {}\n", self.deployment.id.0))
    }

    /// What a pull request says of what it brings.
    pub(super) async fn body(&self, plan: &Plan) -> Result<String, EngineError> {
        self.title(plan).await
    }
}
