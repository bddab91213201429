//! Sessions, and who may do what.

use deployd_core::access::{Action, CanView, WhoCanView};
use deployd_core::views::{ExchangeRequest, LoginView, NewSession};
use deployd_core::{EnvironmentId, Name};
use http::Method;
use serde::de::DeserializeOwned;

use super::Client;
use super::request::Request;
use crate::error::CliError;

impl Client {
    /// How people can log in.
    pub async fn logins(&self) -> Result<Vec<LoginView>, CliError> {
        self.ask(self.get(&["v1", "auth", "logins"])?).await
    }

    /// A session for a token of an issuer.
    pub async fn exchange(&self, asked: &ExchangeRequest) -> Result<NewSession, CliError> {
        let url = self.url(["v1", "auth", "exchange"])?;
        self.ask(Request::new(Method::POST, url).json(asked)?).await
    }

    /// Ends the session that this is asked with.
    pub async fn end_session(&self) -> Result<(), CliError> {
        self.tell(Request::new(Method::POST, self.url(["v1", "auth", "logout"])?)).await
    }

    /// Whether whoever asks may do something.
    pub async fn can_i(
        &self,
        action: Action,
        environment: Option<&EnvironmentId>,
        application: Option<&Name>,
    ) -> Result<CanView, CliError> {
        self.about("can-i", action, environment, application).await
    }

    /// Who may do something.
    pub async fn who_can(
        &self,
        action: Action,
        environment: Option<&EnvironmentId>,
        application: Option<&Name>,
    ) -> Result<WhoCanView, CliError> {
        self.about("who-can", action, environment, application).await
    }

    async fn about<T: DeserializeOwned>(
        &self,
        what: &str,
        action: Action,
        environment: Option<&EnvironmentId>,
        application: Option<&Name>,
    ) -> Result<T, CliError> {
        let asked = self
            .get(&["v1", "auth", what])?
            .query("action", Some(action.as_str()))
            .query("environment", environment)
            .query("application", application);
        self.ask(asked).await
    }
}
