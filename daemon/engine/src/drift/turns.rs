//! One comparison per environment at a time, and the end of all of them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deployd_core::EnvironmentId;
use tokio::sync::Notify;

use crate::EngineError;

/// Which environments are compared just now.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    under_way: Mutex<HashSet<EnvironmentId>>,
    stop: Notify,
}

/// The turn of one comparison, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    id: EnvironmentId,
}

impl Turns {
    /// Begins to compare an environment. Refused while somebody else does: two
    /// would ask the same servers the same, and the later one would be told what
    /// the other has found as nothing new.
    pub(super) fn begin(&self, id: &EnvironmentId) -> Result<Turn<'_>, EngineError> {
        if self.under_way().insert(id.clone()) {
            return Ok(Turn { turns: self, id: id.clone() });
        }
        Err(EngineError::Conflict {
            message: format!(
                "{id} is being compared already; ask for what came of it when that has ended"
            ),
        })
    }

    /// Ends the checks that come by themselves.
    pub(crate) fn ring(&self) {
        self.stop.notify_one();
    }

    /// Waits for the end of them.
    pub(super) async fn end(&self) {
        self.stop.notified().await;
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<EnvironmentId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.under_way().remove(&self.id);
    }
}
