//! Daemon sets: one pod on the one node.

use std::time::Duration;

use serde_json::{Value, json};

use super::revisions::{self, Revision};
use super::writes::{adopt, controlled, is_active, is_ready, pod_of};
use super::{Again, MANAGER};
use crate::cluster::Cluster;
use crate::json::{self, text};
use crate::random::template_hash;
use crate::storage::Key;

const TELLER: &str = "daemonset-controller";
/// Before creating a pod is tried again that was refused.
const RETRY: Duration = Duration::from_millis(500);

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let set = cluster.get(&key.resource, &key.namespace, &key.name)?;
    let template = set.pointer("/spec/template").unwrap_or(&Value::Null);
    let hash = template_hash(template);
    let of_template = Revision { labels: "controller-revision-hash", hash: &hash };
    revisions::record(cluster, &set, of_template);
    adopt(cluster, "pods", &set);
    let pods = controlled(cluster, "pods", &set);
    let current = |pod: &Value| text(pod, "/metadata/labels/controller-revision-hash") == hash;
    let mut again = None;
    if !json::is_deleting(&set) {
        let active: Vec<_> = pods.iter().filter(|pod| is_active(pod)).collect();
        if active.is_empty() && !pods.iter().any(|pod| json::is_deleting(pod)) {
            let mut pod = pod_of(&set, template);
            let labels = json::slot(&mut pod, &["metadata", "labels"]);
            json::put(labels, &["controller-revision-hash"], hash.as_str());
            let generation = json::int(&set, "/metadata/generation").unwrap_or(1);
            json::put(labels, &["pod-template-generation"], generation.to_string());
            json::put(&mut pod, &["metadata", "generateName"], format!("{}-", key.name));
            match cluster.make(MANAGER, "pods", &key.namespace, pod) {
                Ok(pod) => {
                    let message = format!("Created pod: {}", json::name(&pod));
                    cluster.tell(TELLER, &set, "Normal", "SuccessfulCreate", &message);
                }
                Err(error) => {
                    let message = format!("Error creating: {}", error.message);
                    cluster.tell(TELLER, &set, "Warning", "FailedCreate", &message);
                    again = Some(RETRY);
                }
            }
        } else if text(&set, "/spec/updateStrategy/type") == "RollingUpdate" {
            for pod in active.iter().filter(|pod| !current(pod)) {
                let key = Key::new("pods", json::namespace(pod), json::name(pod));
                cluster.drop_object(&key, "Background");
                let message = format!("Deleted pod: {}", json::name(pod));
                cluster.tell(TELLER, &set, "Normal", "SuccessfulDelete", &message);
            }
        }
    }
    let pods: Vec<_> =
        controlled(cluster, "pods", &set).into_iter().filter(|pod| is_active(pod)).collect();
    let count = |test: &dyn Fn(&Value) -> bool| pods.iter().filter(|pod| test(pod)).count();
    let ready = count(&is_ready);
    let updated = count(&|pod| current(pod));
    let generation = json::int(&set, "/metadata/generation").unwrap_or_default();
    cluster.set_status(MANAGER, key, |status| {
        json::put(status, &["currentNumberScheduled"], pods.len().min(1));
        json::put(status, &["desiredNumberScheduled"], 1);
        json::put(status, &["numberMisscheduled"], 0);
        json::put(status, &["numberReady"], ready);
        json::put(status, &["observedGeneration"], generation);
        for (field, number) in [
            ("numberAvailable", ready),
            ("updatedNumberScheduled", updated),
            ("numberUnavailable", 1_usize.saturating_sub(ready)),
        ] {
            if number == 0 {
                json::take(status, &[field]);
            } else {
                json::put(status, &[field], json!(number));
            }
        }
    });
    again
}
