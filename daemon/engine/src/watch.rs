//! Watching a deployment: level-triggered. Whoever watches is woken by any
//! change, and reads what is new; a wake-up that is missed costs nothing.

use deployd_core::DeploymentId;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::views::WatchUpdate;
use futures::Stream;
use tokio::sync::watch;

use crate::{Engine, EngineError};

/// Lines of a log in one update.
const LINES_AT_ONCE: usize = 500;

/// That something has changed.
#[derive(Debug)]
pub(crate) struct Changes(watch::Sender<u64>);

impl Default for Changes {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Changes {
    pub(crate) fn announce(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

struct Watching {
    engine: Engine,
    id: DeploymentId,
    changes: watch::Receiver<u64>,
    seen: Option<DeploymentRecord>,
    line: u64,
    ended: bool,
}

impl Engine {
    /// Updates of a deployment: its record and its whole log first, then what
    /// is new. Ends after the record that has an outcome.
    pub fn watch(
        &self,
        id: &DeploymentId,
    ) -> impl Stream<Item = Result<WatchUpdate, EngineError>> + Send + use<> {
        let watching = Watching {
            engine: self.clone(),
            id: id.clone(),
            changes: self.inner.changes.subscribe(),
            seen: None,
            line: 0,
            ended: false,
        };
        futures::stream::try_unfold(watching, |mut watching| async move {
            loop {
                if watching.ended {
                    return Ok(None);
                }
                watching.changes.mark_unchanged();
                let update = watching.read().await?;
                if update.record.is_some() || !update.logs.is_empty() {
                    return Ok(Some((update, watching)));
                }
                // It may have ended with a log of just so many full updates.
                if watching.ended {
                    return Ok(None);
                }
                // The sender lives as long as the engine, which is ours.
                let _ = watching.changes.changed().await;
            }
        })
    }
}

impl Watching {
    async fn read(&mut self) -> Result<WatchUpdate, EngineError> {
        let record = self.engine.deployment(&self.id).await?;
        // After the record: what was logged before it was written is there.
        let logs = self.engine.logs(&self.id, self.line, LINES_AT_ONCE).await?;
        if let Some(last) = logs.last() {
            self.line = last.sequence;
        }
        self.ended = record.outcome.is_some() && logs.len() < LINES_AT_ONCE;
        let new = self.seen.as_ref() != Some(&record);
        if !new {
            return Ok(WatchUpdate { record: None, rollout: None, logs });
        }
        let rollout = Some(self.engine.inner.rollout_of(&record).await?);
        let rollout = rollout.filter(|rollout| !rollout.is_empty()).map(Box::new);
        self.seen = Some(record.clone());
        Ok(WatchUpdate { record: Some(Box::new(record)), rollout, logs })
    }
}
