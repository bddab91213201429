//! Replica sets: as many pods as wanted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::conditions::drop_condition;
use super::writes::{adopt, controlled, is_active, is_ready, pod_of, until_available};
use super::{Again, MANAGER, set_condition};
use crate::cluster::Cluster;
use crate::json;
use crate::storage::Key;

/// Before creating pods is tried again that was refused.
const RETRY: Duration = Duration::from_millis(500);

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let set = cluster.get(&key.resource, &key.namespace, &key.name)?;
    adopt(cluster, "pods", &set);
    let mut pods = active(cluster, &set);
    let mut failure = None;
    if !json::is_deleting(&set) {
        let wanted = json::int(&set, "/spec/replicas").unwrap_or(1);
        let have = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        if have < wanted {
            failure = grow(cluster, key, &set, wanted - have);
        } else if have > wanted {
            shrink(cluster, &set, &mut pods, have - wanted);
        }
        pods = active(cluster, &set);
    }
    let again = write_status(cluster, key, &set, &pods, failure.as_deref());
    if failure.is_some() {
        return Some(RETRY);
    }
    again
}

fn active(cluster: &Cluster, set: &Value) -> Vec<Arc<Value>> {
    controlled(cluster, "pods", set).into_iter().filter(|pod| is_active(pod)).collect()
}

fn grow(cluster: &Cluster, key: &Key, set: &Value, by: i64) -> Option<String> {
    let template = set.pointer("/spec/template").unwrap_or(&Value::Null);
    for _ in 0..by {
        let mut pod = pod_of(set, template);
        let prefix = format!("{}-", key.name);
        json::put(&mut pod, &["metadata", "generateName"], prefix);
        match cluster.make(MANAGER, "pods", &key.namespace, pod) {
            Ok(pod) => {
                let message = format!("Created pod: {}", json::name(&pod));
                cluster.tell("replicaset-controller", set, "Normal", "SuccessfulCreate", &message);
            }
            Err(error) => {
                let message = format!("Error creating: {}", error.message);
                cluster.tell("replicaset-controller", set, "Warning", "FailedCreate", &message);
                return Some(error.message);
            }
        }
    }
    None
}

/// Removes the least useful pods: not scheduled, not ready, youngest first.
fn shrink(cluster: &Cluster, set: &Value, pods: &mut [Arc<Value>], by: i64) {
    pods.sort_by_key(|pod| {
        let version: u64 = json::text(pod, "/metadata/resourceVersion").parse().unwrap_or_default();
        (
            !json::text(pod, "/spec/nodeName").is_empty(),
            json::text(pod, "/status/phase") == "Running",
            is_ready(pod),
            std::cmp::Reverse(json::text(pod, "/metadata/creationTimestamp").to_owned()),
            std::cmp::Reverse(version),
        )
    });
    for pod in pods.iter().take(usize::try_from(by).unwrap_or_default()) {
        let key = Key::new("pods", json::namespace(pod), json::name(pod));
        cluster.drop_object(&key, "Background");
        let message = format!("Deleted pod: {}", json::name(pod));
        cluster.tell("replicaset-controller", set, "Normal", "SuccessfulDelete", &message);
    }
}

fn write_status(
    cluster: &Cluster,
    key: &Key,
    set: &Value,
    pods: &[Arc<Value>],
    failure: Option<&str>,
) -> Again {
    let min_ready = json::int(set, "/spec/minReadySeconds").unwrap_or_default();
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let waits: Vec<i64> = pods.iter().filter_map(|pod| until_available(pod, min_ready)).collect();
    let available = waits.iter().filter(|left| **left == 0).count();
    let generation = json::int(set, "/metadata/generation").unwrap_or_default();
    cluster.set_status(MANAGER, key, |status| {
        json::put(status, &["replicas"], pods.len());
        for (field, count) in [
            ("fullyLabeledReplicas", pods.len()),
            ("readyReplicas", ready),
            ("availableReplicas", available),
        ] {
            if count == 0 {
                json::take(status, &[field]);
            } else {
                json::put(status, &[field], json!(count));
            }
        }
        json::put(status, &["observedGeneration"], generation);
        let is_known = json::items(status, "/conditions")
            .iter()
            .any(|condition| json::text(condition, "/type") == "ReplicaFailure");
        match failure {
            // The first refusal is kept: every further one names another pod,
            // and a change of the status would bring the next one at once.
            Some(_) if is_known => {}
            Some(why) => set_condition(status, "ReplicaFailure", "True", "FailedCreate", why),
            None => drop_condition(status, "ReplicaFailure"),
        }
    });
    waits
        .into_iter()
        .filter(|left| *left > 0)
        .min()
        .and_then(|left| u64::try_from(left).ok())
        .map(Duration::from_secs)
}
