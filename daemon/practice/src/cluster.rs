//! The cluster's state, shared by the API, the controllers and the gateway.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use serde_json::Value;
use tokio::sync::watch;

use crate::auth::Tokens;
use crate::behaviour::Behaviours;
use crate::faults::Faults;
use crate::logs::Logs;
use crate::options::PracticeOptions;
use crate::requests::Requests;
use crate::resources::{Registry, Resource};
use crate::storage::Store;

/// Everything a cluster is.
#[derive(Debug)]
pub(crate) struct Cluster {
    store: Mutex<Store>,
    registry: RwLock<Registry>,
    version: watch::Sender<u64>,
    /// The settings.
    pub(crate) options: PracticeOptions,
    /// The token that clients must send.
    pub(crate) token: String,
    /// The tokens of service accounts.
    pub(crate) tokens: Tokens,
    /// What tests decided about pods.
    pub(crate) behaviours: Behaviours,
    /// What tests decided about the API.
    pub(crate) faults: Faults,
    /// The requests that came.
    pub(crate) requests: Requests,
    /// What containers wrote.
    pub(crate) logs: Logs,
    /// Where the gateway listens.
    pub(crate) gateway: OnceLock<SocketAddr>,
    /// Where the API listens.
    pub(crate) api: OnceLock<SocketAddr>,
}

impl Cluster {
    /// An empty cluster.
    pub(crate) fn new(options: PracticeOptions) -> Self {
        let token = options.token.clone().unwrap_or_else(crate::random::token);
        Self {
            store: Mutex::default(),
            registry: RwLock::new(Registry::new()),
            version: watch::Sender::new(0),
            options,
            token,
            tokens: Tokens::default(),
            behaviours: Behaviours::default(),
            faults: Faults::default(),
            requests: Requests::default(),
            logs: Logs::default(),
            gateway: OnceLock::new(),
            api: OnceLock::new(),
        }
    }

    /// Reads the store.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the store, and wakes whoever waits for changes.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.lock();
        let before = store.version();
        let result = change(&mut store);
        let after = store.version();
        drop(store);
        if after != before {
            self.version.send_if_modified(|known| {
                let is_newer = after > *known;
                *known = (*known).max(after);
                is_newer
            });
        }
        result
    }

    /// A receiver of the newest resource version.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Reads the registry of resources.
    pub(crate) fn registry<T>(&self, look: impl FnOnce(&Registry) -> T) -> T {
        look(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the registry of resources.
    pub(crate) fn registry_mut<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> T {
        change(&mut self.registry.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// A built-in or custom resource by where it is stored.
    pub(crate) fn resource(&self, storage: &str) -> Option<Arc<Resource>> {
        self.registry(|registry| registry.stored_as(storage))
    }

    /// An object.
    pub(crate) fn get(&self, storage: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.read(|store| store.get(storage, namespace, name))
    }

    /// The objects of a resource in a namespace, or in all.
    pub(crate) fn list(&self, storage: &str, namespace: &str) -> Vec<Arc<Value>> {
        self.read(|store| store.list(storage, namespace).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
