//! What can be asked about drafts.

use deployd_core::Name;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::draft::{Draft, DraftDeployment, DraftEdit, NewDraft};
use deployd_core::views::PlanView;
use http::Method;

use super::Client;
use super::request::Request;
use crate::error::CliError;

impl Client {
    /// Begins a draft.
    pub async fn create_draft(&self, request: &NewDraft) -> Result<Draft, CliError> {
        self.ask(self.post(&["v1", "drafts"])?.json(request)?).await
    }

    /// Drafts of an application.
    pub async fn drafts(&self, application: &Name) -> Result<Vec<Draft>, CliError> {
        let asked = self.get(&["v1", "drafts"])?.query("application", Some(application));
        self.ask(asked).await
    }

    /// A draft.
    pub async fn draft(&self, id: &str) -> Result<Draft, CliError> {
        self.ask(self.get(&["v1", "drafts", id])?).await
    }

    /// Gives a draft another delta.
    pub async fn edit_draft(&self, id: &str, edit: &DraftEdit) -> Result<Draft, CliError> {
        let url = self.url(["v1", "drafts", id])?;
        self.ask(Request::new(Method::PUT, url).json(edit)?).await
    }

    /// Drops a draft.
    pub async fn drop_draft(&self, id: &str) -> Result<Draft, CliError> {
        let url = self.url(["v1", "drafts", id])?;
        self.ask(Request::new(Method::DELETE, url)).await
    }

    /// What deploying a draft would do.
    pub async fn plan_draft(&self, id: &str, how: &DraftDeployment) -> Result<PlanView, CliError> {
        let asked = self.post(&["v1", "drafts", id, "deploy"])?.query("dry_run", Some(true));
        self.ask(asked.json(how)?).await
    }

    /// Deploys a draft.
    pub async fn deploy_draft(
        &self,
        id: &str,
        how: &DraftDeployment,
    ) -> Result<DeploymentRecord, CliError> {
        self.ask(self.post(&["v1", "drafts", id, "deploy"])?.json(how)?).await
    }
}
