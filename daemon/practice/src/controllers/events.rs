//! Events about objects.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::json;
use crate::random;
use crate::storage::Key;

impl Cluster {
    /// Tells an event about an object; told again, it is counted.
    pub(crate) fn tell(&self, from: &str, about: &Value, kind: &str, reason: &str, message: &str) {
        self.tell_part(from, about, "", kind, reason, message);
    }

    /// Tells an event about a part of an object, such as one container.
    pub(crate) fn tell_part(
        &self,
        from: &str,
        about: &Value,
        part: &str,
        kind: &str,
        reason: &str,
        message: &str,
    ) {
        let namespace = match json::namespace(about) {
            "" => "default",
            namespace => namespace,
        };
        let now = crate::time::now();
        let hash = random::hash(&json!([json::uid(about), part, reason, message, from]));
        let name = format!("{}.{hash:016x}", json::name(about));
        let key = Key::new("events", namespace, &name);
        if self.get("events", namespace, &name).is_some() {
            self.edit(from, &key, "", |event| {
                let count = json::int(event, "/count").unwrap_or(1) + 1;
                json::put(event, &["count"], count);
                json::put(event, &["lastTimestamp"], now);
            });
            return;
        }
        let mut involved = json!({
            "kind": json::text(about, "/kind"),
            "apiVersion": json::text(about, "/apiVersion"),
            "name": json::name(about),
            "uid": json::uid(about),
            "resourceVersion": json::text(about, "/metadata/resourceVersion"),
        });
        if !json::namespace(about).is_empty() {
            json::put(&mut involved, &["namespace"], namespace);
        }
        if !part.is_empty() {
            json::put(&mut involved, &["fieldPath"], part);
        }
        let mut event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name},
            "involvedObject": involved,
            "reason": reason, "message": message, "type": kind,
            "source": {"component": from},
            "reportingComponent": from, "reportingInstance": "",
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        if from == "kubelet" {
            let node = self.options.node.as_str();
            json::put(&mut event, &["source", "host"], node);
            json::put(&mut event, &["reportingInstance"], node);
        }
        // A namespace on its way out takes no events; nobody would read them.
        if let Err(error) = self.make(from, "events", namespace, event) {
            tracing::trace!(message = %error.message, "an event was refused");
        }
    }
}
