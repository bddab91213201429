//! Past deployments, taken along.

use bytes::Bytes;
use deployd_core::archive::ImportView;
use deployd_core::subject::Subject;
use deployd_core::views::ImportsPage;

use super::Client;
use crate::error::CliError;

impl Client {
    /// A past deployment as an archive.
    pub async fn export(&self, of: &Subject, plugins: bool) -> Result<Bytes, CliError> {
        let mut asked = self
            .get(&["v1", "archive"])?
            .query("of", Some(of))
            .query("plugins", (!plugins).then_some(false))
            .long();
        // Whatever is wrong is told in JSON.
        asked.accept = "application/x-tar, application/problem+json";
        self.send(asked).await
    }

    /// Has an archive taken in.
    pub async fn import(&self, archive: Vec<u8>) -> Result<ImportView, CliError> {
        let mut asked = self.post(&["v1", "imports"])?.long();
        asked.body = Some(("application/x-tar", archive.into()));
        self.ask(asked).await
    }

    /// A page of deployments that were imported, newest first.
    pub async fn imports(&self, cursor: Option<&str>) -> Result<ImportsPage, CliError> {
        let asked = self.get(&["v1", "imports"])?.query("cursor", cursor).query("limit", Some(500));
        self.ask(asked).await
    }
}
