//! Deployments of other installations, beside those of here: found by their ids,
//! and by nothing else, so that no environment, timeline or figure of here has them.
//! Whatever is only read may be of one; whatever acts is refused.

use deployd_core::archive::{ArchiveIndex, ArchivedDeployment, IMPORTS, Imported};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::deployment::projection::DEPLOYMENTS;
use deployd_core::details::Details;
use deployd_core::ports::{KeyRange, Order, Store};
use deployd_core::views::{ImportsPage, PAGE_MAX};
use deployd_core::{DeploymentId, Digest, EnvironmentId};

use crate::records::{content, decode, get, with_steps};
use crate::{Engine, EngineError, Inner};

/// An imported deployment, as it is found by its id.
pub(crate) async fn imported(
    store: &dyn Store,
    id: &DeploymentId,
) -> Result<Option<Imported>, EngineError> {
    get(store, IMPORTS, id.0.as_bytes()).await
}

/// Why nothing is done with a deployment that is not of here.
pub(crate) fn only_imported(id: &DeploymentId, environment: &EnvironmentId) -> EngineError {
    let message = format!(
        "deployment {id} was imported: it was in {environment} of another installation, and is only looked at here; its set can be deployed (`deployd deploy APP/ENV --set`)"
    );
    EngineError::Conflict { message }
}

impl Engine {
    /// Deployments that were imported, newest first.
    pub async fn imports(
        &self,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<ImportsPage, EngineError> {
        let max = max.clamp(1, PAGE_MAX);
        let end = cursor.map(|cursor| cursor.as_bytes().to_vec());
        let range = KeyRange { start: Vec::new(), end };
        let page = self.inner.ports.store.scan(IMPORTS, range, Order::Descending, max).await?;
        let read = |(_, bytes): &(Vec<u8>, Vec<u8>)| decode(IMPORTS.0, bytes);
        let imports = page.entries.iter().map(read).collect::<Result<Vec<Imported>, _>>()?;
        let next = imports.last().filter(|_| page.more).map(|last| last.id.0.clone());
        Ok(ImportsPage { imports, next })
    }
}

impl Inner {
    /// A deployment with its steps, of here or imported.
    pub(crate) async fn past(&self, id: &DeploymentId) -> Result<DeploymentRecord, EngineError> {
        let store = &*self.ports.store;
        if let Some(record) = get(store, DEPLOYMENTS, id.0.as_bytes()).await? {
            return with_steps(store, record).await;
        }
        match imported(store, id).await? {
            Some(found) => self.record_of(found).await,
            None => Err(EngineError::not_found(format!("deployment {id}"))),
        }
    }

    /// The record of an imported deployment, with where it came from.
    pub(crate) async fn record_of(&self, found: Imported) -> Result<DeploymentRecord, EngineError> {
        let record = content(&*self.ports.store, "record", found.record).await?;
        Ok(DeploymentRecord { imported: Some(found.from), ..record })
    }

    /// What its archive said of an imported deployment; none for one of here.
    pub(crate) async fn archived(
        &self,
        record: &DeploymentRecord,
    ) -> Result<Option<ArchivedDeployment>, EngineError> {
        let Some(from) = &record.imported else { return Ok(None) };
        self.archived_in(from.archive, &record.id).await.map(Some)
    }

    async fn archived_in(
        &self,
        archive: Digest,
        id: &DeploymentId,
    ) -> Result<ArchivedDeployment, EngineError> {
        let index: ArchiveIndex =
            content(&*self.ports.store, "index of the archive", archive).await?;
        let found = index.deployment(id).cloned();
        found.ok_or_else(|| EngineError::bug("an archive without what was imported of it"))
    }

    /// What came with an imported deployment of its log, and how its pods were.
    pub(crate) async fn imported_details(
        &self,
        id: &DeploymentId,
    ) -> Result<Option<Details>, EngineError> {
        let store = &*self.ports.store;
        let Some(found) = imported(store, id).await? else { return Ok(None) };
        let archived = self.archived_in(found.from.archive, id).await?;
        match archived.details {
            Some(digest) => content(store, "details", digest).await.map(Some),
            None => Ok(None),
        }
    }
}
