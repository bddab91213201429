//! Stateful sets: pods with names of their own, one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::revisions::{self, Revision};
use super::writes::{adopt, controlled, is_active, is_ready, pod_of, until_available};
use super::{Again, MANAGER};
use crate::cluster::Cluster;
use crate::json::{self, text};
use crate::random::template_hash;
use crate::storage::Key;

const REVISION: &str = "controller-revision-hash";
const TELLER: &str = "statefulset-controller";
/// Before creating a pod is tried again that was refused.
const RETRY: Duration = Duration::from_millis(500);

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let set = cluster.get(&key.resource, &key.namespace, &key.name)?;
    let template = set.pointer("/spec/template").unwrap_or(&Value::Null);
    let hash = template_hash(template);
    let revision = format!("{}-{hash}", key.name);
    let of_template = Revision { labels: "controller.kubernetes.io/hash", hash: &hash };
    revisions::record(cluster, &set, of_template);
    adopt(cluster, "pods", &set);
    let mut again = None;
    if !json::is_deleting(&set) && !step(cluster, key, &set, &revision) {
        again = Some(RETRY);
    }
    write_status(cluster, key, &set, &revision).or(again)
}

fn ordinals(cluster: &Cluster, set: &Value) -> BTreeMap<i64, Arc<Value>> {
    controlled(cluster, "pods", set)
        .into_iter()
        .filter_map(|pod| {
            let number = json::name(&pod).rsplit('-').next()?.parse().ok()?;
            Some((number, pod))
        })
        .collect()
}

/// One step towards what is wanted. Says whether it worked.
fn step(cluster: &Cluster, key: &Key, set: &Value, revision: &str) -> bool {
    let wanted = json::int(set, "/spec/replicas").unwrap_or(1);
    let start = json::int(set, "/spec/ordinals/start").unwrap_or_default();
    let is_parallel = text(set, "/spec/podManagementPolicy") == "Parallel";
    let pods = ordinals(cluster, set);
    for number in start..start + wanted {
        match pods.get(&number) {
            None => {
                if !create(cluster, key, set, number, revision) {
                    return false;
                }
                if !is_parallel {
                    return true;
                }
            }
            Some(pod) if matches!(text(pod, "/status/phase"), "Failed" | "Succeeded") => {
                remove(cluster, set, pod);
                return true;
            }
            Some(pod) if !is_parallel && (json::is_deleting(pod) || !is_ready(pod)) => {
                // A broken pod of an older template may be replaced, though.
                if text_label(pod) == revision || json::is_deleting(pod) {
                    return true;
                }
                break;
            }
            Some(_) => {}
        }
    }
    let excess: Vec<_> =
        pods.iter().rev().filter(|(number, _)| **number >= start + wanted).collect();
    if let Some((_, last)) = excess.first() {
        if is_parallel {
            excess.iter().for_each(|(_, pod)| remove(cluster, set, pod));
        } else if !json::is_deleting(last) {
            remove(cluster, set, last);
        }
        return true;
    }
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return true;
    }
    let partition = json::int(set, "/spec/updateStrategy/rollingUpdate/partition");
    for (number, pod) in pods.iter().rev() {
        if *number < partition.unwrap_or_default() {
            break;
        }
        if json::is_deleting(pod) {
            return true;
        }
        if text_label(pod) != revision {
            remove(cluster, set, pod);
            return true;
        }
        if !is_ready(pod) {
            return true;
        }
    }
    true
}

fn text_label(pod: &Value) -> &str {
    text(pod, "/metadata/labels/controller-revision-hash")
}

fn remove(cluster: &Cluster, set: &Value, pod: &Value) {
    if json::is_deleting(pod) {
        return;
    }
    let key = Key::new("pods", json::namespace(pod), json::name(pod));
    cluster.drop_object(&key, "Background");
    let message =
        format!("delete Pod {} in StatefulSet {} successful", json::name(pod), json::name(set));
    cluster.tell(TELLER, set, "Normal", "SuccessfulDelete", &message);
}

fn create(cluster: &Cluster, key: &Key, set: &Value, number: i64, revision: &str) -> bool {
    let template = set.pointer("/spec/template").unwrap_or(&Value::Null);
    let name = format!("{}-{number}", key.name);
    let mut pod = pod_of(set, template);
    json::put(&mut pod, &["metadata", "name"], name.as_str());
    let labels = json::slot(&mut pod, &["metadata", "labels"]);
    json::put(labels, &["statefulset.kubernetes.io/pod-name"], name.as_str());
    json::put(labels, &["apps.kubernetes.io/pod-index"], number.to_string());
    json::put(labels, &[REVISION], revision);
    json::put(&mut pod, &["spec", "hostname"], name.as_str());
    let service = text(set, "/spec/serviceName");
    if !service.is_empty() {
        json::put(&mut pod, &["spec", "subdomain"], service);
    }
    let mut volumes = json::items(&pod, "/spec/volumes").to_vec();
    for claim in json::items(set, "/spec/volumeClaimTemplates") {
        let volume = json::name(claim).to_owned();
        let claim_name = format!("{volume}-{name}");
        let labels = set.pointer("/spec/selector/matchLabels").cloned();
        let object = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim_name, "labels": labels}, "spec": claim.get("spec")});
        cluster.ensure(MANAGER, "persistentvolumeclaims", &key.namespace, object);
        volumes.retain(|known| text(known, "/name") != volume);
        volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim_name}}));
    }
    if !volumes.is_empty() {
        json::put(&mut pod, &["spec", "volumes"], volumes);
    }
    match cluster.make(MANAGER, "pods", &key.namespace, pod) {
        Ok(_) => {
            let message = format!("create Pod {name} in StatefulSet {} successful", key.name);
            cluster.tell(TELLER, set, "Normal", "SuccessfulCreate", &message);
            true
        }
        Err(error) => {
            let message = format!(
                "create Pod {name} in StatefulSet {} failed error: {}",
                key.name, error.message
            );
            cluster.tell(TELLER, set, "Warning", "FailedCreate", &message);
            false
        }
    }
}

fn write_status(cluster: &Cluster, key: &Key, set: &Value, revision: &str) -> Again {
    let pods: Vec<_> = ordinals(cluster, set).into_values().collect();
    let min_ready = json::int(set, "/spec/minReadySeconds").unwrap_or_default();
    let wanted = json::int(set, "/spec/replicas").unwrap_or(1);
    let count = |test: &dyn Fn(&Value) -> bool| -> i64 {
        let found = pods.iter().filter(|pod| is_active(pod) && test(pod)).count();
        i64::try_from(found).unwrap_or(i64::MAX)
    };
    let all = count(&|_| true);
    let ready = count(&is_ready);
    let updated = count(&|pod| text_label(pod) == revision);
    let available = count(&|pod| until_available(pod, min_ready) == Some(0));
    let generation = json::int(set, "/metadata/generation").unwrap_or_default();
    cluster.set_status(MANAGER, key, |status| {
        let current = match text(status, "/currentRevision") {
            "" => revision.to_owned(),
            _ if updated == wanted && all == wanted && ready == wanted => revision.to_owned(),
            known => known.to_owned(),
        };
        let current_count = count(&|pod| text_label(pod) == current);
        json::put(status, &["observedGeneration"], generation);
        json::put(status, &["replicas"], all);
        json::put(status, &["availableReplicas"], available);
        json::put(status, &["collisionCount"], 0);
        json::put(status, &["currentRevision"], current);
        json::put(status, &["updateRevision"], revision);
        for (field, number) in [
            ("readyReplicas", ready),
            ("currentReplicas", current_count),
            ("updatedReplicas", updated),
        ] {
            if number == 0 {
                json::take(status, &[field]);
            } else {
                json::put(status, &[field], number);
            }
        }
    });
    pods.iter()
        .filter_map(|pod| until_available(pod, min_ready))
        .filter(|left| *left > 0)
        .min()
        .and_then(|left| u64::try_from(left).ok())
        .map(Duration::from_secs)
}
