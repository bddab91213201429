//! Environments as they are now: read from their parts, and remembered while
//! they are worked on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use deployd_core::EnvironmentId;
use deployd_core::deployment::projection::{
    ENVIRONMENTS, EnvironmentHead, RESOURCES, environment_key, resource_keys, uid_of,
};
use deployd_core::deployment::{EnvironmentState, Shared};
use deployd_core::journal::{StreamId, Version};
use deployd_core::ports::{Order, Store, StoreError};

use crate::records::{SCAN_MAX, decode, deployment, get, head_of_deployment};
use crate::{EngineError, Inner};

/// How often the parts of an environment are read anew because an event came
/// between two of them. While it is worked on its state is remembered, and
/// nothing is read: this many in a row means a storm.
const READS_MAX: usize = 20;

/// An environment, and the version of its stream that it is of.
#[derive(Debug, Clone, Default)]
pub(crate) struct EnvironmentEntry {
    pub(crate) version: Version,
    pub(crate) state: EnvironmentState,
}

/// States of environments that are worked on, as the last append left them.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<HashMap<EnvironmentId, Arc<EnvironmentEntry>>>);

impl Remembered {
    fn get(&self, id: &EnvironmentId) -> Option<Arc<EnvironmentEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn put(&self, id: &EnvironmentId, entry: Arc<EnvironmentEntry>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), entry);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    pub(crate) fn forget(&self, id: &EnvironmentId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Inner {
    /// An environment; empty when nothing ever happened in it.
    pub(crate) async fn environment(
        &self,
        id: &EnvironmentId,
    ) -> Result<Arc<EnvironmentEntry>, EngineError> {
        let store = &*self.ports.store;
        if let Some(known) = self.environments.get(id) {
            // Whoever else appends, or was cut off between the append and
            // remembering it, has changed the head.
            let head = store.head(&StreamId::environment(id)).await?;
            if head.version == known.version {
                return Ok(known);
            }
        }
        for _ in 0..READS_MAX {
            let Some(head) = head(store, id).await? else { return Ok(Arc::default()) };
            let version = head.version;
            let state = read(store, id, head.clone()).await;
            // The parts are read one by one: only what did not change in
            // between is of one version, and only then an error says anything.
            if self::head(store, id).await? == Some(head) {
                return Ok(Arc::new(EnvironmentEntry { version, state: state? }));
            }
        }
        Err(EngineError::Store(StoreError::Busy))
    }
}

async fn head(
    store: &dyn Store,
    id: &EnvironmentId,
) -> Result<Option<EnvironmentHead>, EngineError> {
    get(store, ENVIRONMENTS, &environment_key(id)).await
}

async fn read(
    store: &dyn Store,
    id: &EnvironmentId,
    head: EnvironmentHead,
) -> Result<EnvironmentState, EngineError> {
    let active = match &head.active {
        Some(active) => Some(deployment(store, active).await?),
        None => None,
    };
    let mut queue = Vec::with_capacity(head.queue.len());
    for id in &head.queue {
        queue.push(head_of_deployment(store, id).await?);
    }
    let page = store.scan(RESOURCES, resource_keys(id), Order::Ascending, SCAN_MAX).await?;
    let mut resources = BTreeMap::new();
    for (key, bytes) in &page.entries {
        let uid = uid_of(key).ok_or_else(|| EngineError::bug("a resource without a uid"))?;
        resources.insert(uid, decode::<Shared<_>>("resource", bytes)?);
    }
    head.state(active, queue, resources)
        .ok_or_else(|| EngineError::bug(format!("a part of environment {id} is missing")))
}
