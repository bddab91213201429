//! What is written beside the end of a deployment, so that questions about images
//! are answered from indexes.

use std::collections::BTreeMap;

use deployd_core::announcement::{Announcement, announcements_of};
use deployd_core::deployment::stays::{self, Ending, Known, RUNNING, Running};
use deployd_core::deployment::{DeploymentRecord, EnvironmentState};
use deployd_core::image::Image;
use deployd_core::ports::{Order, Put, StoreError};
use deployd_core::set::DeploymentSet;

use crate::records::{content, decode, get};
use crate::{EngineError, Inner};

impl Inner {
    /// What the end of a deployment that had begun changes of what is known of
    /// images; nothing for any other event.
    ///
    /// `running` is what ran before, where that was not stored yet, and what runs
    /// after it.
    pub(crate) async fn ended(
        &self,
        after: &EnvironmentState,
        record: &DeploymentRecord,
        running: &mut Option<Running>,
    ) -> Result<Vec<Put>, EngineError> {
        if record.ended.is_none() || record.work.is_none() {
            return Ok(Vec::new());
        }
        match self.try_ended(after, record, running).await {
            // What can't be read will not be read the next time either: the
            // deployment ends all the same.
            Err(
                error @ (EngineError::Store(StoreError::Damaged(_)) | EngineError::NotFound { .. }),
            ) => {
                let deployment = &record.id;
                tracing::error!(%deployment, %error, "the inventory will not know of this deployment");
                Ok(Vec::new())
            }
            other => other,
        }
    }

    async fn try_ended(
        &self,
        after: &EnvironmentState,
        record: &DeploymentRecord,
        running: &mut Option<Running>,
    ) -> Result<Vec<Put>, EngineError> {
        let store = &*self.ports.store;
        let before = match running.take() {
            Some(running) => running,
            None => get(store, RUNNING, &stays::running_key(&record.environment))
                .await?
                .unwrap_or_default(),
        };
        let teardown = record.request.teardown.is_some();
        let runs = match &after.deployed {
            Some(deployed) => deployed.deployment == record.id,
            None => teardown,
        };
        let images = match teardown {
            true => BTreeMap::new(),
            false => {
                let set: DeploymentSet = content(store, "set", record.request.set).await?;
                stays::images(&set.images())
            }
        };
        let none = BTreeMap::new();
        let configuration = self.configuration().await?;
        let environment = configuration.environments.get(&record.environment);
        let environment_type = environment.map(|spec| &spec.environment_type);
        let mut ending =
            Ending { record, environment_type, runs, before, images: &images, known: &none };
        let mut known = BTreeMap::new();
        for (name, image) in ending.arriving() {
            known.insert(name.clone(), self.announced_of(image).await?);
        }
        ending.known = &known;
        let (after, puts) = ending.puts().map_err(EngineError::bug)?;
        *running = Some(after);
        Ok(puts)
    }

    /// What was announced of an image last.
    async fn announced_of(&self, image: &Image) -> Result<Known, EngineError> {
        let last = self.announcement(image, Order::Descending).await?;
        let artifact = last.map(|last| last.artifact);
        Ok(artifact.map_or_else(Known::default, |artifact| Known {
            tag: artifact.tag,
            commit: artifact.commit,
        }))
    }

    /// The first or the last announcement of an image.
    pub(crate) async fn announcement(
        &self,
        image: &Image,
        order: Order,
    ) -> Result<Option<Announcement>, EngineError> {
        let Some(digest) = image.digest else { return Ok(None) };
        let range = announcements_of(&image.repository, digest);
        let index = deployd_core::announcement::ANNOUNCEMENTS;
        let page = self.ports.store.scan(index, range, order, 1).await?;
        page.entries.first().map(|(_, bytes)| decode(index.0, bytes)).transpose()
    }
}
