//! What can be asked of a daemon about what is where, and was.

use deployd_core::deployment::Hold;
use deployd_core::environment_report::EnvironmentReport;
use deployd_core::flow::{FlowView, ReleaseRequest, WhyView};
use deployd_core::image::ImageQuery;
use deployd_core::inventory::{
    EnvironmentThen, InventoryFilter, InventoryPage, Passage, When, Whereabouts,
};
use deployd_core::{EnvironmentId, Name, Timestamp};

use super::Client;
use crate::error::CliError;

impl Client {
    /// A page of which image runs where, or ran there at a time.
    pub async fn inventory(
        &self,
        filter: &InventoryFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<InventoryPage, CliError> {
        let asked = self
            .get(&["v1", "inventory"])?
            .query("application", filter.application.as_ref())
            .query("type", filter.environment_type.as_ref())
            .query("at", filter.at)
            .query("cursor", cursor)
            .query("limit", Some(limit));
        self.ask(asked).await
    }

    /// A page of where an image is or was.
    pub async fn whereabouts(
        &self,
        image: &ImageQuery,
        when: When,
        at: Option<Timestamp>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Whereabouts, CliError> {
        let when = match when {
            When::Ever => "ever",
            When::Now => "now",
        };
        let asked = self
            .get(&["v1", "inventory", "where"])?
            .query("image", Some(image))
            .query("when", Some(when))
            .query("at", at)
            .query("cursor", cursor)
            .query("limit", Some(limit));
        self.ask(asked).await
    }

    /// Where an image was before it came to an environment.
    pub async fn passage(
        &self,
        image: &ImageQuery,
        before: &EnvironmentId,
    ) -> Result<Passage, CliError> {
        let asked = self
            .get(&["v1", "inventory", "path"])?
            .query("image", Some(image))
            .query("before", Some(before));
        self.ask(asked).await
    }

    /// Has automation go on where somebody went back.
    pub async fn release(
        &self,
        id: &EnvironmentId,
        request: &ReleaseRequest,
    ) -> Result<Hold, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let path = ["v1", "environments", application, environment, "release"];
        self.ask(self.post(&path)?.json(request)?).await
    }

    /// How the flow of an application stands.
    pub async fn flow(&self, application: &Name) -> Result<FlowView, CliError> {
        self.ask(self.get(&["v1", "applications", application.as_str(), "flow"])?).await
    }

    /// Why something is not in an environment yet.
    pub async fn why(&self, id: &EnvironmentId, subject: &str) -> Result<WhyView, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.get(&["v1", "environments", application, environment, "why"])?;
        self.ask(asked.query("subject", Some(subject))).await
    }

    /// The configuration of an environment.
    pub async fn environment_report(
        &self,
        id: &EnvironmentId,
    ) -> Result<EnvironmentReport, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        self.ask(self.get(&["v1", "environments", application, environment, "report"])?).await
    }

    /// What ran in an environment at a time.
    pub async fn environment_then(
        &self,
        id: &EnvironmentId,
        at: Timestamp,
    ) -> Result<EnvironmentThen, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.get(&["v1", "environments", application, environment, "then"])?;
        self.ask(asked.query("at", Some(at))).await
    }
}
