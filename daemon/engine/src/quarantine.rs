//! Images that have failed somewhere: kept from automation there, until somebody
//! lifts that.

use std::collections::BTreeMap;

use deployd_core::EnvironmentId;
use deployd_core::deployment::stays::Ending;
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Order, Put};
use deployd_core::quarantine::{
    LiftRequest, QUARANTINE, QUARANTINED_MAX, Quarantined, quarantine_key, quarantine_of,
    quarantines,
};
use deployd_core::set::DeploymentSet;
use serde_json::json;

use crate::journal::until_no_conflict;
use crate::records::{IMAGES, content, decode, get, key, put};
use crate::{Caller, Engine, EngineError, Inner};

impl Engine {
    /// Images that have failed in an environment, and are kept from it.
    pub async fn quarantine(&self, id: &EnvironmentId) -> Result<Vec<Quarantined>, EngineError> {
        // One that never was is not the same as one without.
        self.environment(id).await?;
        let range = quarantine_of(id);
        let store = &self.inner.ports.store;
        let page = store.scan(QUARANTINE, range, Order::Ascending, QUARANTINED_MAX).await?;
        let mut found = page
            .entries
            .iter()
            .map(|(_, bytes)| decode(QUARANTINE.0, bytes))
            .collect::<Result<Vec<Quarantined>, _>>()?;
        found.sort_by_key(|one| std::cmp::Reverse(one.at));
        Ok(found)
    }

    /// Has automation bring an image back where it has failed. Answers with what
    /// was kept.
    pub async fn lift(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: LiftRequest,
    ) -> Result<Quarantined, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let stream = StreamId::artifacts(&id.application);
        until_no_conflict(|| async {
            let inner = &self.inner;
            let version = inner.version(&stream).await?;
            let key = quarantine_key(id, &request.image);
            let kept: Option<Quarantined> = get(&*inner.ports.store, QUARANTINE, &key).await?;
            let kept = kept.ok_or_else(|| {
                EngineError::not_found(format!("image {} in the quarantine of {id}", request.image))
            })?;
            let body = json!({
                "type": "quarantine-lifted",
                "environment": id.environment,
                "image": request.image,
                "reason": request.reason,
                "failed": kept,
            });
            let puts = vec![Put { index: QUARANTINE, key, value: None }];
            let batch = Batch { puts, ..Batch::default() };
            let batch = inner.note(stream.clone(), version, caller, body, batch)?;
            inner.commit(caller, kept, batch, &[]).await
        })
        .await
    }
}

impl Inner {
    /// What an end puts into quarantine: images that did not run before, and the
    /// newest ones that automation knows of are those that did.
    pub(crate) async fn quarantined(&self, ending: &Ending<'_>) -> Result<Vec<Put>, EngineError> {
        let record = ending.record;
        let Some((code, message)) = quarantines(record) else { return Ok(Vec::new()) };
        let id = &record.environment;
        let mut puts = Vec::new();
        for (name, image) in ending.arriving() {
            // What has no digest is another image each time.
            if image.digest.is_none() {
                continue;
            }
            let one = Quarantined {
                image: name.clone(),
                deployment: record.id.clone(),
                at: record.ended.unwrap_or_default(),
                code: code.to_owned(),
                message: message.to_owned(),
            };
            puts.push(put(QUARANTINE, quarantine_key(id, name), &one)?);
        }
        if puts.is_empty() {
            return Ok(puts);
        }
        let ran = self.running_images(id).await?;
        for (place, image) in self.images(id).await? {
            let failed = puts.iter().any(|one| one.key == quarantine_key(id, &image));
            if let Some(before) = ran.get(&place).filter(|_| failed) {
                let (workload, container) = &place;
                puts.push(put(IMAGES, key(&[&id.to_string(), workload, container]), before)?);
            }
        }
        Ok(puts)
    }

    /// Images that run in an environment, by workload and container.
    async fn running_images(
        &self,
        id: &EnvironmentId,
    ) -> Result<BTreeMap<(String, String), String>, EngineError> {
        let entry = self.environment(id).await?;
        let Some(deployed) = &entry.state.deployed else { return Ok(BTreeMap::new()) };
        let set: DeploymentSet = content(&*self.ports.store, "set", deployed.set).await?;
        Ok(set.images())
    }

    /// Which of these images are kept from an environment.
    pub(crate) async fn kept_from(
        &self,
        id: &EnvironmentId,
        images: impl Iterator<Item = &String>,
    ) -> Result<Vec<Quarantined>, EngineError> {
        let mut found = Vec::new();
        for image in images {
            let key = quarantine_key(id, image);
            found.extend(get::<Quarantined>(&*self.ports.store, QUARANTINE, &key).await?);
        }
        Ok(found)
    }
}
