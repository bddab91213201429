//! DORA's figures, asked of a daemon.

use deployd_core::dora::DoraReport;
use deployd_core::{Name, Timestamp};

use super::Client;
use crate::error::CliError;

/// Which deployments are counted.
#[derive(Debug, Clone, Default)]
pub struct DoraQuery {
    /// Of this application.
    pub application: Option<Name>,
    /// In environments of this type.
    pub environment_type: Option<Name>,
    /// From when; 30 days before `until`, when not given.
    pub since: Option<Timestamp>,
    /// Until when; now, when not given.
    pub until: Option<Timestamp>,
    /// All applications together.
    pub together: bool,
}

impl Client {
    /// Deployment frequency, lead time, change failure rate and time to restore.
    pub async fn dora(&self, query: &DoraQuery) -> Result<DoraReport, CliError> {
        let asked = self
            .get(&["v1", "dora"])?
            .query("application", query.application.as_ref())
            .query("type", query.environment_type.as_ref())
            .query("since", query.since)
            .query("until", query.until)
            .query("together", query.together.then_some(true));
        self.ask(asked).await
    }
}
