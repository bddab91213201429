//! The workers there are: woken, begun by a start, ended by a stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deployd_core::EnvironmentId;
use deployd_core::deployment::projection::{ENVIRONMENTS, EnvironmentHead};
use deployd_core::ports::Order;
use deployd_core::seeded::{Bug, seeded};
use tokio::sync::Notify;

use super::supervise;
use crate::records::{SCAN_MAX, decode};
use crate::{EngineError, Inner};

/// How long a stop waits for what runs. Longer work is resumed by the next start.
const STOP_WAIT: Duration = Duration::from_secs(20);

/// The workers there are.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    bells: Mutex<BTreeMap<EnvironmentId, Arc<Notify>>>,
    stopping: AtomicBool,
}

impl Workers {
    /// Has an environment looked at: by its worker, or by a new one.
    pub(crate) fn wake(&self, engine: &Arc<Inner>, id: &EnvironmentId) {
        if self.is_stopping() {
            return;
        }
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(id) {
            bell.notify_one();
            return;
        }
        let bell = Arc::new(Notify::new());
        bells.insert(id.clone(), bell.clone());
        engine.tasks.spawn(supervise(engine.clone(), id.clone(), bell));
    }

    /// Has every environment looked at in which something goes on or waits: what
    /// calendars say may be something else now.
    pub(crate) fn ring(&self) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in bells.values() {
            bell.notify_one();
        }
    }

    /// Whether nothing new should begin.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// How many environments are being worked on.
    pub(crate) fn busy(&self) -> u64 {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Takes a worker off that has nothing left to do; false when it was rung
    /// for meanwhile.
    pub(super) fn leave(&self, id: &EnvironmentId, bell: &Arc<Notify>) -> bool {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        // A bell that was rung while nobody waited keeps one permit.
        let mut rung = std::pin::pin!(bell.notified());
        if rung.as_mut().enable() && !self.is_stopping() {
            return false;
        }
        bells.remove(id);
        true
    }

    /// Has every worker look that nothing new should begin.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.ring();
    }
}

/// Goes on with what the last process left, in every environment.
pub(crate) async fn start(engine: &Arc<Inner>) -> Result<(), EngineError> {
    let range = deployd_core::ports::KeyRange { start: Vec::new(), end: None };
    let page = engine.ports.store.scan(ENVIRONMENTS, range, Order::Ascending, SCAN_MAX).await?;
    for (key, bytes) in &page.entries {
        // One record that can't be read must not keep all others from going on.
        let read = || -> Result<(EnvironmentId, EnvironmentHead), EngineError> {
            let text = String::from_utf8_lossy(key).into_owned();
            let id = text.try_into().map_err(EngineError::bug)?;
            Ok((id, decode("environment", bytes)?))
        };
        match read() {
            Ok((id, head)) => {
                if head.active.is_some() || !head.queue.is_empty() {
                    engine.workers.wake(engine, &id);
                }
            }
            Err(error) if seeded(Bug::PoisonRecord) => return Err(error),
            Err(error) => tracing::error!(
                environment = %String::from_utf8_lossy(key), %error,
                "an environment is set aside: its record can't be read"
            ),
        }
    }
    Ok(())
}

/// Stops all tasks, and waits for what runs, within a bound.
pub(crate) async fn stop(engine: &Arc<Inner>) {
    engine.workers.stop();
    engine.outbox.ring();
    engine.expiry.ring();
    engine.aftercare.ring();
    engine.flow.ring();
    engine.reading.ring();
    engine.drift.ring();
    let mut tasks = engine.tasks.take();
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WAIT, all_ended).await.is_err() {
        tracing::warn!("what still runs will be resumed by the next start");
    }
}
