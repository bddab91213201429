//! Journals that a plugin has read a secret's value.

use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::Actor;
use deployd_core::audit::marks;
use deployd_core::journal::{NewEvent, StreamId};
use deployd_core::ports::{Append, Batch, Clock, Store, StoreError};
use deployd_host::{Audit, Reveal};
use serde_json::json;

/// How often somebody else may append to the stream first.
const TRIES: usize = 20;

/// Appends to the journal's stream about access.
pub(crate) struct JournalAudit {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Audit for JournalAudit {
    async fn revealed(&self, reveal: &Reveal) -> Result<(), String> {
        let body = json!({
            "type": "secret-revealed",
            "plugin": reveal.plugin,
            "scope": reveal.scope,
            "resource": reveal.resource,
            "name": reveal.name,
            "secret": reveal.secret,
        });
        let stream = StreamId::access();
        for _ in 0..TRIES {
            let head = self.store.head(&stream).await.map_err(|error| error.to_string())?;
            let event = NewEvent {
                at: self.clock.now(),
                actor: Actor::deployd(),
                kind: "secret-revealed".to_owned(),
                body: body.clone(),
                source: None,
            };
            let append = Append {
                stream: stream.clone(),
                expect: head.version,
                fence: None,
                events: vec![event],
            };
            let puts =
                marks(&stream, head.version, &append.events).map_err(|error| error.to_string())?;
            let batch = Batch { appends: vec![append], puts, ..Batch::default() };
            match self.store.append(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the journal is busy".to_owned())
    }
}
