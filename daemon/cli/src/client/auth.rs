//! Who may do what.

use deployd_core::access::{Action, CanView, WhoCanView};
use deployd_core::{EnvironmentId, Name};
use serde::de::DeserializeOwned;

use super::Client;
use crate::error::CliError;

impl Client {
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
