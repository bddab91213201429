//! Content of the deployment that is worked on, read once for all of its steps.

use std::sync::Arc;

use deployd_core::Digest;
use deployd_core::plan::{Manifests, Plan};
use deployd_core::ports::Store;
use deployd_core::set::DeploymentSet;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::EngineError;
use crate::records::content;

/// What the steps of one deployment have in common. It goes with the worker.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) plan: Content<Plan>,
    pub(crate) set: Content<DeploymentSet>,
    pub(crate) manifests: Content<Manifests>,
    /// What runs before the deployment.
    pub(crate) current: Content<Manifests>,
}

/// The last content of its kind.
#[derive(Debug)]
pub(crate) struct Content<T>(Mutex<Option<(Digest, Arc<T>)>>);

impl<T> Default for Content<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: DeserializeOwned> Content<T> {
    /// Content by its digest. Whoever asks meanwhile waits for the one who reads.
    pub(crate) async fn get(
        &self,
        store: &dyn Store,
        what: &str,
        digest: Digest,
    ) -> Result<Arc<T>, EngineError> {
        let mut last = self.0.lock().await;
        if let Some((known, value)) = &*last
            && *known == digest
        {
            return Ok(value.clone());
        }
        let value: Arc<T> = Arc::new(content(store, what, digest).await?);
        *last = Some((digest, value.clone()));
        Ok(value)
    }

    /// Remembers content that was just made.
    pub(crate) async fn put(&self, digest: Digest, value: T) {
        *self.0.lock().await = Some((digest, Arc::new(value)));
    }
}
