//! Watching a deployment: level-triggered. Whoever watches is woken by any
//! change, and reads what is new; a wake-up that is missed costs nothing.

use deployd_core::DeploymentId;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::views::{RolloutView, WatchUpdate};
use futures::Stream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::pods::again_in;
use crate::rollout::Standing;
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
    /// Whether how its rollout stands is told as well, for which pods are counted.
    with_rollout: bool,
    /// The rollout that goes on, as it was told last.
    rollout: Option<Told>,
    line: u64,
    ended: bool,
}

/// A rollout as it was told.
struct Told {
    standing: Standing,
    view: RolloutView,
}

impl Engine {
    /// Updates of a deployment: its record and its whole log first, then what
    /// is new; and how its rollout stands. Ends after the record that has an outcome.
    pub fn watch(
        &self,
        id: &DeploymentId,
    ) -> impl Stream<Item = Result<WatchUpdate, EngineError>> + Send + use<> {
        self.watching(id, true)
    }

    /// The same without how its rollout stands: nothing is asked of its cluster.
    pub fn watch_record(
        &self,
        id: &DeploymentId,
    ) -> impl Stream<Item = Result<WatchUpdate, EngineError>> + Send + use<> {
        self.watching(id, false)
    }

    fn watching(
        &self,
        id: &DeploymentId,
        with_rollout: bool,
    ) -> impl Stream<Item = Result<WatchUpdate, EngineError>> + Send + use<> {
        let watching = Watching {
            engine: self.clone(),
            id: id.clone(),
            changes: self.inner.changes.subscribe(),
            seen: None,
            with_rollout,
            rollout: None,
            line: 0,
            ended: false,
        };
        futures::stream::try_unfold(watching, |mut watching| async move {
            loop {
                if watching.ended {
                    return Ok(None);
                }
                watching.changes.mark_unchanged();
                let update = Box::pin(watching.read()).await?;
                if update.record.is_some() || !update.logs.is_empty() {
                    return Ok(Some((update, watching)));
                }
                // It may have ended with a log of just so many full updates.
                if watching.ended {
                    return Ok(None);
                }
                if !watching.changed().await
                    && let Some(update) = Box::pin(watching.count_again()).await?
                {
                    return Ok(Some((update, watching)));
                }
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
        let rollout = match self.with_rollout {
            // Boxed, since each watch would be as large as both.
            true => Box::pin(self.tell(&record)).await?,
            false => None,
        };
        self.seen = Some(record.clone());
        Ok(WatchUpdate { record: Some(Box::new(record)), rollout, logs })
    }

    async fn tell(
        &mut self,
        record: &DeploymentRecord,
    ) -> Result<Option<Box<RolloutView>>, EngineError> {
        let inner = &self.engine.inner;
        let standing = inner.standing(record).await?;
        let view = inner.with_pods(&standing).await;
        self.rollout = standing.has_pods().then(|| Told { standing, view: view.clone() });
        Ok(Some(view).filter(|view| !view.is_empty()).map(Box::new))
    }

    /// Waits for a change; no when it is time to count pods again, which nobody
    /// announces.
    async fn changed(&mut self) -> bool {
        // The sender lives as long as the engine, which is ours.
        let changed = self.changes.changed();
        match &self.rollout {
            Some(told) => timeout(again_in(&told.view), changed).await.is_ok(),
            None => {
                let _ = changed.await;
                true
            }
        }
    }

    /// The rollout with the pods that are ready now; nothing where they are the same.
    async fn count_again(&mut self) -> Result<Option<WatchUpdate>, EngineError> {
        let (Some(told), Some(record)) = (&self.rollout, self.seen.clone()) else {
            return Ok(None);
        };
        let now = self.engine.inner.with_pods(&told.standing).await;
        if now.has_pods_like(&told.view) {
            return Ok(None);
        }
        // Times that are left are others by now.
        let rollout = self.tell(&record).await?;
        Ok(Some(WatchUpdate { record: None, rollout, logs: Vec::new() }))
    }
}
