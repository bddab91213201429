//! Garbage collection by owner references.

use serde_json::{Value, json};

use super::{Again, MANAGER};
use crate::cluster::Cluster;
use crate::json;
use crate::ops::{FOREGROUND, ORPHAN};
use crate::storage::Key;

/// Where the owner of a reference lives, if its kind is known.
pub(super) fn owner_key(cluster: &Cluster, namespace: &str, owner: &Value) -> Option<Key> {
    let (group, version) = json::text(owner, "/apiVersion")
        .split_once('/')
        .unwrap_or(("", json::text(owner, "/apiVersion")));
    let kind = json::text(owner, "/kind");
    let resource = cluster.registry(|registry| {
        registry
            .all()
            .into_iter()
            .find(|r| r.group == group && r.version == version && r.kind == kind)
    })?;
    let namespace = if resource.namespaced { namespace } else { "" };
    Some(Key::new(&resource.storage, namespace, json::text(owner, "/name")))
}

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let object = cluster.get(&key.resource, &key.namespace, &key.name)?;
    let finalizers = json::items(&object, "/metadata/finalizers");
    let has = |wanted: &str| finalizers.iter().any(|finalizer| finalizer == wanted);
    if json::is_deleting(&object) {
        if has(ORPHAN) {
            orphan(cluster, key, &object);
        } else if has(FOREGROUND) {
            foreground(cluster, key, &object);
        }
        return None;
    }
    let owners = json::items(&object, "/metadata/ownerReferences");
    if owners.is_empty() {
        return None;
    }
    // A reference to a kind that nothing serves holds, as on a real server.
    let state = |owner: &Value| -> (bool, bool) {
        let Some(place) = owner_key(cluster, &key.namespace, owner) else {
            return (true, false);
        };
        match cluster.get(&place.resource, &place.namespace, &place.name) {
            Some(found) if json::uid(&found) == json::text(owner, "/uid") => {
                let waits = json::is_deleting(&found)
                    && json::items(&found, "/metadata/finalizers")
                        .iter()
                        .any(|finalizer| finalizer == FOREGROUND);
                (true, waits)
            }
            _ => (false, false),
        }
    };
    let states: Vec<(bool, bool)> = owners.iter().map(state).collect();
    let solid = states.iter().any(|(is_there, waits)| *is_there && !waits);
    if !solid {
        let waits = states.iter().any(|(_, waits)| *waits);
        let policy = if waits && has_blocking_dependents(cluster, &object) {
            "Foreground"
        } else {
            "Background"
        };
        cluster.drop_object(key, policy);
    } else if states.iter().any(|(is_there, waits)| !is_there || *waits) {
        let kept: Vec<Value> = owners
            .iter()
            .zip(&states)
            .filter(|(_, (is_there, waits))| *is_there && !waits)
            .map(|(owner, _)| owner.clone())
            .collect();
        cluster.edit(MANAGER, key, "", |object| {
            json::put(object, &["metadata", "ownerReferences"], kept);
        });
    }
    None
}

fn has_blocking_dependents(cluster: &Cluster, object: &Value) -> bool {
    !cluster.read(|store| store.owned_by(json::uid(object))).is_empty()
}

fn without(cluster: &Cluster, key: &Key, finalizer: &str) {
    cluster.edit(MANAGER, key, "", |object| {
        if let Some(all) = json::list_mut(object, &["metadata", "finalizers"]) {
            all.retain(|one| one != finalizer);
        }
    });
}

fn orphan(cluster: &Cluster, key: &Key, object: &Value) {
    let uid = json::uid(object).to_owned();
    for dependent in cluster.read(|store| store.owned_by(&uid)) {
        cluster.edit(MANAGER, &dependent, "", |object| {
            let kept: Vec<Value> = json::items(object, "/metadata/ownerReferences")
                .iter()
                .filter(|owner| json::text(owner, "/uid") != uid)
                .cloned()
                .collect();
            *json::slot(object, &["metadata", "ownerReferences"]) = json!(kept);
        });
    }
    without(cluster, key, ORPHAN);
}

fn foreground(cluster: &Cluster, key: &Key, object: &Value) {
    let uid = json::uid(object);
    let mut blocked = false;
    for dependent in cluster.read(|store| store.owned_by(uid)) {
        let Some(found) = cluster.get(&dependent.resource, &dependent.namespace, &dependent.name)
        else {
            continue;
        };
        if !json::is_deleting(&found) {
            let has_own = has_blocking_dependents(cluster, &found);
            cluster.drop_object(&dependent, if has_own { "Foreground" } else { "Background" });
        }
        let blocks = json::items(&found, "/metadata/ownerReferences").iter().any(|owner| {
            json::text(owner, "/uid") == uid && json::flag(owner, "/blockOwnerDeletion")
        });
        let is_left =
            cluster.get(&dependent.resource, &dependent.namespace, &dependent.name).is_some();
        blocked |= blocks && is_left;
    }
    if !blocked {
        without(cluster, key, FOREGROUND);
    }
}
