//! Custom resource definitions: names accepted, established, removed.

use serde_json::json;

use super::{Again, condition, set_condition};
use crate::cluster::Cluster;
use crate::json;
use crate::storage::Key;

const MANAGER: &str = "kube-apiserver";

/// The finalizer that waits for the objects of the definition to go.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Has a definition served at once, in a cluster that nobody looks at yet.
pub(crate) fn establish(cluster: &Cluster, key: &Key) {
    // Names, then the definition itself; the controller would take two turns.
    for _ in 0..2 {
        reconcile(cluster, key);
    }
}

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let Some(definition) = cluster.get(&key.resource, "", &key.name) else {
        cluster.registry_mut(|registry| registry.forget(&key.name));
        return None;
    };
    let is = |kind: &str| {
        condition(&definition, kind).is_some_and(|c| json::text(c, "/status") == "True")
    };
    if json::is_deleting(&definition) {
        return remove(cluster, key);
    }
    if !is("NamesAccepted") {
        let names = definition.pointer("/spec/names").cloned().unwrap_or_default();
        cluster.set_status(MANAGER, key, |status| {
            json::put(status, &["acceptedNames"], names);
            set_condition(status, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
            set_condition(
                status,
                "Established",
                "False",
                "Installing",
                "the initial names have been accepted",
            );
        });
        // This change brings the definition here again.
        return None;
    }
    cluster.registry_mut(|registry| registry.define(&definition));
    if is("Established") {
        return None;
    }
    cluster.edit(MANAGER, key, "", |definition| {
        json::put(definition, &["metadata", "finalizers"], json!([CLEANUP]));
    });
    cluster.set_status(MANAGER, key, |status| {
        set_condition(
            status,
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        );
    });
    None
}

fn remove(cluster: &Cluster, key: &Key) -> Again {
    let objects = cluster.list(&key.name, "");
    for object in &objects {
        if !json::is_deleting(object) {
            let key = Key::new(&key.name, json::namespace(object), json::name(object));
            cluster.drop_object(&key, "Background");
        }
    }
    if !cluster.list(&key.name, "").is_empty() {
        cluster.set_status(MANAGER, key, |status| {
            set_condition(
                status,
                "Terminating",
                "True",
                "InstanceDeletionInProgress",
                "CustomResource deletion is in progress",
            );
        });
        return None;
    }
    cluster.registry_mut(|registry| registry.forget(&key.name));
    cluster.edit(MANAGER, key, "", |definition| {
        if let Some(all) = json::list_mut(definition, &["metadata", "finalizers"]) {
            all.retain(|finalizer| finalizer != CLEANUP);
        }
    });
    None
}
