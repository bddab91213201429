//! The audit, asked of a daemon.

use deployd_core::audit::{AuditFilter, AuditPage};

use super::Client;
use crate::error::CliError;

impl Client {
    /// A page of who did what, newest first.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<AuditPage, CliError> {
        let asked = self
            .get(&["v1", "audit"])?
            .query("actor", filter.actor.as_ref())
            .query("application", filter.application.as_ref())
            .query("environment", filter.environment.as_ref())
            .query("since", filter.since)
            .query("until", filter.until)
            .query("kind", filter.kind.as_ref())
            .query("refused", filter.refused.then_some(true))
            .query("cursor", cursor)
            .query("limit", Some(limit));
        self.ask(asked).await
    }
}
