//! The tasks of an engine, owned in one place, so that none outlives it; and
//! what wakes one that waits.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Tasks that run, until they are taken to be waited for or ended.
#[derive(Debug)]
pub(crate) struct Tasks(Mutex<Option<JoinSet<()>>>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }
}

impl Tasks {
    /// Begins a task; nothing happens once they were taken.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tasks) = tasks.as_mut() {
            // What has ended is let go here: the set would keep it for ever.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    /// Takes all of them; nothing new begins. To drop what is taken ends it.
    pub(crate) fn take(&self) -> JoinSet<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

/// Wakes the one task that waits for it, or else keeps it from waiting the next
/// time.
#[derive(Debug, Default)]
pub(crate) struct Bell(Notify);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }

    /// Until it is rung.
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}
