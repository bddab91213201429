//! Approvals, reviews and delegations.

use deployd_core::approval::{
    ApprovalRequest, ApprovalView, BreakGlassRequest, DelegateRequest, Delegation, Review,
    ReviewRequest, Waiting,
};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::{DeploymentId, EnvironmentId};

use http::Method;

use super::Client;
use super::request::Request;
use crate::error::CliError;

impl Client {
    /// Deployments that wait for approvals.
    pub async fn approvals(&self, of: Option<&EnvironmentId>) -> Result<Vec<Waiting>, CliError> {
        self.ask(self.get(&["v1", "approvals"])?.query("environment", of)).await
    }

    /// What a deployment waits for.
    pub async fn approval(&self, id: &DeploymentId) -> Result<ApprovalView, CliError> {
        self.ask(self.get(&["v1", "deployments", &id.0, "approval"])?).await
    }

    /// Approves, refuses, or takes an approval back.
    pub async fn decide(
        &self,
        id: &DeploymentId,
        request: &ApprovalRequest,
    ) -> Result<DeploymentRecord, CliError> {
        let asked = self.post(&["v1", "deployments", &id.0, "approval"])?;
        self.ask(asked.json(request)?).await
    }

    /// Goes on although not all have agreed.
    pub async fn break_glass(
        &self,
        id: &DeploymentId,
        request: &BreakGlassRequest,
    ) -> Result<DeploymentRecord, CliError> {
        let asked = self.post(&["v1", "deployments", &id.0, "break-glass"])?;
        self.ask(asked.json(request)?).await
    }

    /// Deployments that went on without approvals.
    pub async fn reviews(&self, all: bool) -> Result<Vec<Review>, CliError> {
        let all = all.then_some("true");
        self.ask(self.get(&["v1", "reviews"])?.query("all", all)).await
    }

    /// Closes a review.
    pub async fn review(
        &self,
        id: &DeploymentId,
        request: &ReviewRequest,
    ) -> Result<Review, CliError> {
        let asked = self.post(&["v1", "deployments", &id.0, "review"])?;
        self.ask(asked.json(request)?).await
    }

    /// Who may approve in whose place now.
    pub async fn delegations(&self) -> Result<Vec<Delegation>, CliError> {
        self.ask(self.get(&["v1", "delegations"])?).await
    }

    /// Has somebody approve in one's place.
    pub async fn delegate(
        &self,
        to: &str,
        request: &DelegateRequest,
    ) -> Result<Delegation, CliError> {
        self.ask(Request::new(Method::PUT, self.url(["v1", "delegations", to])?).json(request)?)
            .await
    }

    /// Takes that back.
    pub async fn undelegate(&self, to: &str) -> Result<(), CliError> {
        self.send(Request::new(Method::DELETE, self.url(["v1", "delegations", to])?)).await?;
        Ok(())
    }
}
