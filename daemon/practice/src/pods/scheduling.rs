//! Which pods the node takes.

use serde_json::Value;

use super::run::Run;
use crate::behaviour::Behaviour;
use crate::cluster::Cluster;
use crate::controllers::set_condition;
use crate::json::{self, text};
use crate::quantity::Quantity;
use crate::storage::Key;

const SCHEDULER: &str = "default-scheduler";
const HOPELESS: &str =
    " preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

/// Why no node takes a pod, if none does.
pub(super) fn obstacle(
    cluster: &Cluster,
    pod: &Value,
    decided: Option<&Behaviour>,
) -> Option<String> {
    if !text(pod, "/spec/nodeName").is_empty() {
        return None;
    }
    if let Some(Behaviour::Unschedulable { reason }) = decided {
        return Some(format!("0/1 nodes are available: {reason}"));
    }
    let node = cluster.get("nodes", "", &cluster.options.node)?;
    let labels = json::object(&node, "/metadata/labels");
    let differs = json::object(pod, "/spec/nodeSelector")
        .into_iter()
        .flatten()
        .any(|(key, value)| labels.and_then(|labels| labels.get(key)) != Some(value));
    if differs {
        return Some(format!(
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.{HOPELESS}"
        ));
    }
    for name in ["cpu", "memory"] {
        let asked = json::items(pod, "/spec/containers")
            .iter()
            .filter_map(|c| Quantity::read(c.pointer(&format!("/resources/requests/{name}"))?))
            .fold(Quantity::default(), Quantity::plus);
        let has = node.pointer(&format!("/status/allocatable/{name}"));
        if has.and_then(Quantity::read).is_some_and(|has| asked > has) {
            return Some(format!("0/1 nodes are available: 1 Insufficient {name}.{HOPELESS}"));
        }
    }
    let missing = json::items(pod, "/spec/volumes")
        .iter()
        .map(|volume| text(volume, "/persistentVolumeClaim/claimName"))
        .filter(|claim| !claim.is_empty())
        .find_map(|claim| {
            match cluster.get("persistentvolumeclaims", json::namespace(pod), claim) {
                None => Some(format!("persistentvolumeclaim \"{claim}\" not found.")),
                Some(found) if text(&found, "/status/phase") != "Bound" => {
                    Some("pod has unbound immediate PersistentVolumeClaims.".to_owned())
                }
                Some(_) => None,
            }
        })?;
    Some(format!("0/1 nodes are available: {missing}{HOPELESS}"))
}

/// Puts a pod on the node, or tells why not. Says whether it is there now.
pub(super) fn schedule(
    cluster: &Cluster,
    key: &Key,
    pod: &Value,
    run: &mut Run,
    obstacle: Option<String>,
) -> bool {
    if let Some(why) = obstacle {
        if run.obstacle.as_ref() != Some(&why) {
            cluster.tell(SCHEDULER, pod, "Warning", "FailedScheduling", &why);
            cluster.set_status(SCHEDULER, key, |status| {
                set_condition(status, "PodScheduled", "False", "Unschedulable", &why);
            });
            run.obstacle = Some(why);
        }
        return false;
    }
    run.obstacle = None;
    run.start_time = crate::time::now();
    if !text(pod, "/spec/nodeName").is_empty() {
        return true;
    }
    let node = cluster.options.node.as_str();
    cluster.edit(SCHEDULER, key, "binding", |pod| {
        json::put(pod, &["spec", "nodeName"], node);
    });
    let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
    cluster.tell(SCHEDULER, pod, "Normal", "Scheduled", &message);
    true
}
