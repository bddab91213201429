//! Volume claims: bound at once to a volume made for them.

use serde_json::{Value, json};

use super::{Again, MANAGER};
use crate::cluster::Cluster;
use crate::json;
use crate::storage::Key;

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let Some(claim) = cluster.get("persistentvolumeclaims", &key.namespace, &key.name) else {
        reclaim(cluster, key);
        return None;
    };
    if json::is_deleting(&claim) || json::text(&claim, "/status/phase") == "Bound" {
        return None;
    }
    let class = json::text(&claim, "/spec/storageClassName");
    if cluster.get("storageclasses.storage.k8s.io", "", class).is_none() {
        cluster.tell(
            "persistentvolume-controller",
            &claim,
            "Warning",
            "ProvisioningFailed",
            &format!("storageclass.storage.k8s.io \"{class}\" not found"),
        );
        return None;
    }
    let volume = format!("pvc-{}", json::uid(&claim));
    let of = |pointer: &str| claim.pointer(pointer).cloned().unwrap_or(Value::Null);
    let capacity = json!({"storage": of("/spec/resources/requests/storage")});
    let object = json!({"apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": volume},
        "spec": {"accessModes": of("/spec/accessModes"), "capacity": capacity,
            "volumeMode": of("/spec/volumeMode"), "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": format!("/practice/{volume}"), "type": ""},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": key.namespace, "name": key.name, "uid": json::uid(&claim)}}});
    cluster.ensure(MANAGER, "persistentvolumes", "", object);
    let volume_key = Key::new("persistentvolumes", "", &volume);
    cluster.set_status(MANAGER, &volume_key, |status| {
        json::put(status, &["phase"], "Bound");
    });
    cluster.edit(MANAGER, key, "", |claim| {
        json::put(claim, &["spec", "volumeName"], volume.as_str());
        json::put(claim, &["metadata", "annotations", "pv.kubernetes.io/bind-completed"], "yes");
    });
    let modes = of("/spec/accessModes");
    cluster.set_status(MANAGER, key, |status| {
        json::put(status, &["phase"], "Bound");
        json::put(status, &["accessModes"], modes);
        json::put(status, &["capacity"], capacity);
    });
    None
}

/// Deletes the volumes whose claim is gone, unless they are to be kept.
fn reclaim(cluster: &Cluster, key: &Key) {
    for volume in cluster.list("persistentvolumes", "") {
        let is_of = json::text(&volume, "/spec/claimRef/namespace") == key.namespace
            && json::text(&volume, "/spec/claimRef/name") == key.name;
        if !is_of {
            continue;
        }
        let place = Key::new("persistentvolumes", "", json::name(&volume));
        if json::text(&volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
            cluster.drop_object(&place, "Background");
        } else {
            cluster.set_status(MANAGER, &place, |status| {
                json::put(status, &["phase"], "Released");
            });
        }
    }
}
