//! Which pods belong to an object's current version. During a rolling update
//! the pods of the old one may be ailing too; that is why there is a new one.

use serde_json::Value;

use crate::fields::{
    annotation, is_leaving, is_owned_by, kind, label, observed, text, text_or_empty, uid,
};

const REVISION: &str = "deployment.kubernetes.io/revision";
const DAEMON_GENERATION: &str = "deprecated.daemonset.template.generation";
const POD_GENERATION: &str = "pod-template-generation";
const REVISION_HASH: &str = "controller-revision-hash";
const TEMPLATE_HASH: &str = "pod-template-hash";
/// The same of a Rollout's replica sets.
const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";

/// An object's current version.
#[derive(Debug, Default)]
pub(crate) struct Family<'a> {
    /// Its replica set, for deployments and rollouts.
    pub(crate) replica_set: Option<&'a Value>,
    /// Its pods, without those on their way out.
    pub(crate) pods: Vec<&'a Value>,
}

/// The family of an object, from all replica sets and pods of its namespace.
/// Empty while the controller has not seen the object as it is now: what is
/// there then belongs to the version before.
pub(crate) fn family<'a>(
    object: &'a Value,
    replica_sets: impl Iterator<Item = &'a Value>,
    pods: impl Iterator<Item = &'a Value>,
) -> Family<'a> {
    if kind(object) == "Pod" {
        return Family { replica_set: None, pods: vec![object] };
    }
    if kind(object) != "Job" && !observed(object) {
        return Family::default();
    }
    let replica_set = match kind(object) {
        "Deployment" => current_replica_set(object, replica_sets),
        "Rollout" => replica_set_of_rollout(object, replica_sets),
        _ => None,
    };
    let owner = match kind(object) {
        "Deployment" | "Rollout" => replica_set.map(uid).unwrap_or_default(),
        _ => uid(object),
    };
    let is_own =
        |pod: &&Value| is_owned_by(pod, owner) && !is_leaving(pod) && is_current(object, pod);
    let mut pods: Vec<&Value> = pods.filter(is_own).collect();
    pods.sort_by_key(|pod| text_or_empty(pod, "/metadata/name"));
    Family { replica_set, pods }
}

fn current_replica_set<'a>(
    deployment: &'a Value,
    replica_sets: impl Iterator<Item = &'a Value>,
) -> Option<&'a Value> {
    let owned: Vec<&Value> = replica_sets.filter(|set| is_owned_by(set, uid(deployment))).collect();
    if let Some(revision) = annotation(deployment, REVISION) {
        let current = owned.iter().find(|set| annotation(set, REVISION) == Some(revision));
        if let Some(current) = current {
            return Some(current);
        }
    }
    let wanted = deployment.pointer("/spec/template").map(without_hash);
    let same = |set: &&&Value| set.pointer("/spec/template").map(without_hash) == wanted;
    owned.iter().find(same).copied()
}

/// A rollout says by its hash which version is its current one.
fn replica_set_of_rollout<'a>(
    rollout: &Value,
    mut replica_sets: impl Iterator<Item = &'a Value>,
) -> Option<&'a Value> {
    let current = text(rollout, "/status/currentPodHash")?;
    let is_it =
        |set: &&Value| is_owned_by(set, uid(rollout)) && label(set, ROLLOUT_HASH) == Some(current);
    replica_sets.find(is_it)
}

/// A template without the label that the controller adds to it.
fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    if let Some(metadata) = template.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
    template
}

/// Whether a pod is of the object's current version, as far as it can be told.
fn is_current(object: &Value, pod: &Value) -> bool {
    match kind(object) {
        "StatefulSet" => match text(object, "/status/updateRevision") {
            Some(revision) => label(pod, REVISION_HASH).is_none_or(|hash| hash == revision),
            None => true,
        },
        "DaemonSet" => match (annotation(object, DAEMON_GENERATION), label(pod, POD_GENERATION)) {
            (Some(wanted), Some(found)) => wanted == found,
            _ => true,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn replica_set(uid: &str, revision: &str, image: &str) -> Value {
        json!({"kind": "ReplicaSet", "metadata": {"name": uid, "uid": uid,
            "annotations": {REVISION: revision}, "ownerReferences": [{"uid": "d"}]},
            "spec": {"template": {"metadata": {"labels": {"app": "a", TEMPLATE_HASH: uid}},
                "spec": {"image": image}}}})
    }

    fn pod(name: &str, owner: &str) -> Value {
        json!({"kind": "Pod", "metadata": {"name": name, "ownerReferences": [{"uid": owner}]}})
    }

    fn deployment(revision: Option<&str>, observed: i64) -> Value {
        let mut object = json!({"kind": "Deployment",
            "metadata": {"uid": "d", "generation": 2},
            "spec": {"template": {"metadata": {"labels": {"app": "a"}}, "spec": {"image": "new"}}},
            "status": {"observedGeneration": observed}});
        if let Some(revision) = revision {
            object["metadata"]["annotations"] = json!({REVISION: revision});
        }
        object
    }

    #[test]
    fn deployments_own_pods_through_their_current_replica_set() {
        let sets = [replica_set("r1", "1", "old"), replica_set("r2", "2", "new")];
        let mut leaving = pod("c", "r2");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let pods = [pod("a", "r1"), pod("b", "r2"), leaving, pod("x", "other")];
        for object in [deployment(Some("2"), 2), deployment(None, 2)] {
            let found = family(&object, sets.iter(), pods.iter());
            assert_eq!(found.replica_set, Some(&sets[1]));
            assert_eq!(found.pods, [&pods[1]]);
        }
        let unseen = deployment(Some("1"), 1);
        assert!(family(&unseen, sets.iter(), pods.iter()).pods.is_empty());
    }

    #[test]
    fn stateful_sets_know_their_update_revision() {
        let object = json!({"kind": "StatefulSet", "metadata": {"uid": "s"},
            "status": {"updateRevision": "new"}});
        let mut new = pod("a-1", "s");
        new["metadata"]["labels"] = json!({REVISION_HASH: "new"});
        let mut old = pod("a-0", "s");
        old["metadata"]["labels"] = json!({REVISION_HASH: "old"});
        let pods = [new.clone(), old];
        assert_eq!(family(&object, [].iter(), pods.iter()).pods, [&new]);
    }

    #[test]
    fn rollouts_know_the_hash_of_their_current_version() {
        let set = |uid: &str, owner: &str| {
            json!({"kind": "ReplicaSet", "metadata": {"name": uid, "uid": uid,
                "labels": {ROLLOUT_HASH: uid}, "ownerReferences": [{"uid": owner}]}})
        };
        let rollout = |observed: &str| {
            json!({"kind": "Rollout", "metadata": {"uid": "r", "generation": 2},
                "status": {"observedGeneration": observed, "currentPodHash": "new"}})
        };
        let sets = [set("old", "r"), set("new", "other"), set("new", "r")];
        let pods = [pod("a", "old"), pod("b", "new")];
        let object = rollout("2");
        let found = family(&object, sets.iter(), pods.iter());
        assert_eq!((found.replica_set, found.pods), (Some(&sets[2]), vec![&pods[1]]));
        let unseen = rollout("1");
        assert!(family(&unseen, sets.iter(), pods.iter()).pods.is_empty());
    }

    #[test]
    fn a_pod_is_its_own_family() {
        let object = pod("a", "nobody");
        assert_eq!(family(&object, [].iter(), [].iter()).pods, [&object]);
    }
}
