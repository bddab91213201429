//! What is written beside the end of a deployment, so that questions about images
//! are answered from indexes.

use std::collections::BTreeMap;

use deployd_core::DeploymentId;
use deployd_core::announcement::{Announcement, announcements_of};
use deployd_core::deployment::projection::DEPLOYMENTS;
use deployd_core::deployment::stays::{
    self, Ending, Known, RUNNING, Running, STAYS, Stay, stays_in,
};
use deployd_core::deployment::{DeploymentRecord, EnvironmentState, Origin};
use deployd_core::dora::{self, Arrival, Change, Purpose};
use deployd_core::image::Image;
use deployd_core::ports::{Order, Put};
use deployd_core::set::DeploymentSet;

use crate::records::{content, decode, get};
use crate::{EngineError, Inner};

/// The most stays of an image in an environment that are looked at for one that
/// came to run: the others are of deployments that failed.
const STAYS_MAX: usize = 50;

impl Inner {
    /// What the end of a deployment that had begun changes of what is known of
    /// images; nothing for any other event.
    ///
    /// `running` is what ran before, where that was not stored yet, and what runs
    /// after it.
    pub(crate) async fn ended(
        &self,
        before: &EnvironmentState,
        after: &EnvironmentState,
        record: &DeploymentRecord,
        running: &mut Option<Running>,
    ) -> Result<Vec<Put>, EngineError> {
        if record.ended.is_none() || record.work.is_none() {
            return Ok(Vec::new());
        }
        // Rare, and large: whoever appends an event would hold its room, too.
        match Box::pin(self.try_ended(before, after, record, running)).await {
            // What can't be read will not be read the next time either: the
            // deployment ends all the same.
            Err(error) if !error.may_pass() => {
                let deployment = &record.id;
                tracing::error!(%deployment, %error, "the inventory will not know of this deployment");
                Ok(Vec::new())
            }
            other => other,
        }
    }

    async fn try_ended(
        &self,
        state: &EnvironmentState,
        after: &EnvironmentState,
        record: &DeploymentRecord,
        running: &mut Option<Running>,
    ) -> Result<Vec<Put>, EngineError> {
        let store = &*self.ports.store;
        // It stays where it is until all has been read: what fails changes nothing.
        let before = match &*running {
            Some(running) => running.clone(),
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
        let ran = state.deployed.as_ref().map(|deployed| &deployed.deployment);
        let purpose = dora::purpose(record, self.steps_back(record, ran).await?);
        let first = match runs && purpose == Purpose::Change {
            true => self.first_here(&ending).await?,
            false => Vec::new(),
        };
        let (after, mut puts) = ending.puts().map_err(EngineError::bug)?;
        if let Some(change) = Change::of(record, environment_type, purpose, first) {
            puts.push(change.put(&record.environment).map_err(EngineError::bug)?);
        }
        puts.extend(self.quarantined(&ending).await?);
        *running = Some(after);
        Ok(puts)
    }

    /// Whether a deployment deploys again what was here before what ran. By the
    /// numbers, which an environment gives out in order: clocks can go back.
    async fn steps_back(
        &self,
        record: &DeploymentRecord,
        ran: Option<&DeploymentId>,
    ) -> Result<bool, EngineError> {
        let (Origin::Redeploy { of, .. }, Some(ran)) = (&record.request.origin, ran) else {
            return Ok(false);
        };
        let store = &*self.ports.store;
        let head = |id: &DeploymentId| {
            let key = id.0.clone().into_bytes();
            async move { get::<DeploymentRecord>(store, DEPLOYMENTS, &key).await }
        };
        let of = head(of).await?.filter(|of| of.environment == record.environment);
        let Some((of, ran)) = of.zip(head(ran).await?) else { return Ok(false) };
        Ok(of.number < ran.number)
    }

    /// Since when there were the images to deploy that run here for the first time.
    async fn first_here(&self, ending: &Ending<'_>) -> Result<Vec<Arrival>, EngineError> {
        let mut first = Vec::new();
        for (_, image) in ending.arriving() {
            let environment = &ending.record.environment;
            let range = stays_in(&image.repository, &image.version(), environment);
            let stays = self.ports.store.scan(STAYS, range, Order::Ascending, STAYS_MAX).await?;
            let ran = stays.entries.iter().map(|(_, value)| decode::<Stay>(STAYS.0, value));
            let ran = ran.collect::<Result<Vec<Stay>, _>>()?;
            if ran.iter().any(|stay| stay.from.is_some()) {
                continue;
            }
            let Some(announced) = self.announcement(image, Order::Ascending).await? else {
                continue;
            };
            let committed = announced.artifact.committed_at;
            let since = committed.unwrap_or(announced.at);
            first.push(Arrival { since, committed: committed.is_some() });
        }
        Ok(first)
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
