//! A view of the objects, for assertions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;

/// The objects of a cluster. Resources are named `deployments.apps`, or just
/// `pods` in the core group.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    cluster: &'a Arc<Cluster>,
}

impl<'a> Objects<'a> {
    pub(crate) fn new(cluster: &'a Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// An object; the namespace is empty for cluster-scoped ones.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.cluster.get(resource, namespace, name)
    }

    /// The objects of a resource in a namespace, or in all if it is empty.
    #[must_use]
    pub fn list(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        self.cluster.list(resource, namespace)
    }

    /// The events about an object: reason and message, in no order.
    #[must_use]
    pub fn events(&self, namespace: &str, name: &str) -> Vec<(String, String)> {
        self.cluster
            .list("events", namespace)
            .iter()
            .filter(|event| crate::json::text(event, "/involvedObject/name") == name)
            .map(|event| {
                let of = |pointer| crate::json::text(event, pointer).to_owned();
                (of("/reason"), of("/message"))
            })
            .collect()
    }

    /// The number of objects of a resource.
    #[must_use]
    pub fn count(&self, resource: &str) -> usize {
        self.cluster.read(|store| store.count(resource))
    }

    /// Waits until something holds of the objects, looking after every
    /// change. Says whether it came to hold in time.
    pub async fn wait_until(
        &self,
        at_most: Duration,
        mut holds: impl FnMut(Objects<'a>) -> bool,
    ) -> bool {
        let mut versions = self.cluster.versions();
        let wait = async {
            loop {
                versions.borrow_and_update();
                if holds(*self) {
                    return true;
                }
                if versions.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(at_most, wait).await.unwrap_or(false)
    }
}
