//! What the journal says of the past: the documents of a time, and the events of
//! one deployment.

use std::collections::BTreeMap;

use deployd_core::Digest;
use deployd_core::config::{Document, DocumentKey};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::deployment::projection::EVENTS;
use deployd_core::journal::{EventRecord, StreamId, Version};
use serde_json::Value;

use crate::configuration::Configuration;
use crate::records::{content, get};
use crate::{EngineError, Inner};

/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 1_000;

/// The most events that are looked through for those of one deployment: far
/// above what one can have with all its rounds, steps and attempts, and a bound
/// where the stream is not what it should be.
const EVENTS_MAX: usize = 200_000;

impl Inner {
    /// The documents of the time of a deployment: those of a version of the
    /// configuration's stream; of one that was imported those that came with it.
    pub(crate) async fn configuration_of(
        &self,
        record: &DeploymentRecord,
        version: Version,
    ) -> Result<Configuration, EngineError> {
        let digests: Vec<(String, Digest)> = match self.archived(record).await? {
            Some(archived) => {
                let named = |digest| (format!("document {digest}"), digest);
                archived.documents.into_iter().map(named).collect()
            }
            None => {
                let known = self.documents_at(version).await?;
                known.into_iter().map(|(key, digest)| (key.to_string(), digest)).collect()
            }
        };
        let mut documents: Vec<Document> = Vec::with_capacity(digests.len());
        for (name, digest) in digests {
            documents.push(content(&*self.ports.store, &name, digest).await?);
        }
        let mut configuration = Configuration { version, ..Configuration::default() };
        configuration.add(documents.into_iter());
        Ok(configuration)
    }

    /// Which documents there were at a version of the configuration's stream, by
    /// content.
    pub(crate) async fn documents_at(
        &self,
        version: Version,
    ) -> Result<BTreeMap<DocumentKey, Digest>, EngineError> {
        let stream = StreamId::configuration();
        let mut digests: BTreeMap<DocumentKey, Digest> = BTreeMap::new();
        let mut from = Version(1);
        while from <= version {
            let page = self.ports.store.read(&stream, from, EVENTS_AT_ONCE).await?;
            let Some(last) = page.last() else {
                let what = format!("event {} of the stream {stream}", from.0);
                return Err(EngineError::not_found(what));
            };
            from = last.version.next();
            for record in page.into_iter().filter(|record| record.version <= version) {
                let body = &record.event.body;
                let key = || serde_json::from_value(body.get("key").cloned().unwrap_or_default());
                match record.event.kind.as_str() {
                    "document-applied" => {
                        let digest = body.get("digest").cloned().unwrap_or_default();
                        let digest = serde_json::from_value(digest).map_err(EngineError::bug)?;
                        digests.insert(key().map_err(EngineError::bug)?, digest);
                    }
                    "document-removed" => {
                        digests.remove(&key().map_err(EngineError::bug)?);
                    }
                    _ => {}
                }
            }
        }
        Ok(digests)
    }

    /// The journal's events of a deployment, in their order.
    pub(crate) async fn events_of(
        &self,
        record: &DeploymentRecord,
    ) -> Result<Vec<EventRecord>, EngineError> {
        let mut events = self.chain_of(record).await?;
        let id = Some(&*record.id.0);
        events.retain(|event| event.event.body.get("deployment").and_then(Value::as_str) == id);
        Ok(events)
    }

    /// The events of its environment's stream from its first to its last: also those
    /// of others in between, without which it would be no chain.
    pub(crate) async fn chain_of(
        &self,
        record: &DeploymentRecord,
    ) -> Result<Vec<EventRecord>, EngineError> {
        let what = || EngineError::not_found(format!("events of deployment {}", record.id));
        if let Some(archived) = self.archived(record).await? {
            let events = archived.events.ok_or_else(what)?;
            return content(&*self.ports.store, "events", events).await;
        }
        let first: Option<Version> =
            get(&*self.ports.store, EVENTS, record.id.0.as_bytes()).await?;
        let mut from = first.ok_or_else(what)?;
        let stream = StreamId::environment(&record.environment);
        let (mut events, mut read) = (Vec::new(), 0usize);
        loop {
            let page = self.ports.store.read(&stream, from, EVENTS_AT_ONCE).await?;
            let Some(last) = page.last() else { return Ok(events) };
            from = last.version.next();
            read = read.saturating_add(page.len());
            for event in page {
                let body = &event.event.body;
                let its = body.get("deployment").and_then(Value::as_str) == Some(&*record.id.0);
                // What comes later is of drift, and not the deployment's work.
                let ended = matches!(
                    event.event.kind.as_str(),
                    "deployment-ended" | "deployment-superseded"
                );
                events.push(event);
                if its && ended {
                    return Ok(events);
                }
            }
            if read > EVENTS_MAX {
                return Err(what());
            }
        }
    }
}
