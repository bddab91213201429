//! The status of resource quotas.

use serde_json::{Map, Value};

use super::{Again, MANAGER};
use crate::admission::quota_used;
use crate::cluster::Cluster;
use crate::json;
use crate::storage::Key;

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let quota = cluster.get("resourcequotas", &key.namespace, &key.name)?;
    let hard = quota.pointer("/spec/hard").cloned().unwrap_or_default();
    let used: Map<String, Value> = cluster
        .read(|store| quota_used(store, &quota))
        .into_iter()
        .map(|(name, size)| {
            let like = hard.get(&name).and_then(Value::as_str).unwrap_or_default();
            let shown = size.shown_like(like);
            (name, Value::from(shown))
        })
        .collect();
    cluster.set_status(MANAGER, key, |status| {
        json::put(status, &["hard"], hard);
        json::put(status, &["used"], used);
    });
    None
}
