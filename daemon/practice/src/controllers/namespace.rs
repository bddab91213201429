//! What every namespace gets, and how it ends.

use serde_json::json;

use super::{Again, MANAGER, set_condition};
use crate::cluster::Cluster;
use crate::json;
use crate::storage::Key;

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let namespace = cluster.get("namespaces", "", &key.name)?;
    if !json::is_deleting(&namespace) {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default"}});
        cluster.ensure(MANAGER, "serviceaccounts", &key.name, account);
        let roots = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "kube-root-ca.crt",
            "annotations": {"kubernetes.io/description":
                "Contains a CA bundle that can be used to verify the kube-apiserver."}},
            "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\npractice\n-----END CERTIFICATE-----\n"}});
        cluster.ensure(MANAGER, "configmaps", &key.name, roots);
        return None;
    }
    let mut left = 0;
    let mut held = 0;
    for resource in cluster.read(crate::storage::Store::resources) {
        let Some(found) = cluster.resource(&resource) else {
            continue;
        };
        if !found.namespaced {
            continue;
        }
        for object in cluster.list(&resource, &key.name) {
            left += 1;
            if json::is_deleting(&object) {
                held += usize::from(!json::items(&object, "/metadata/finalizers").is_empty());
            } else {
                let key = Key::new(&resource, &key.name, json::name(&object));
                cluster.drop_object(&key, "Background");
            }
        }
    }
    let gone = left > 0
        && cluster.read(|store| {
            store
                .resources()
                .iter()
                .all(|resource| store.list(resource, &key.name).next().is_none())
        });
    cluster.set_status(MANAGER, key, |status| {
        let flag = |is: bool| if is { "True" } else { "False" };
        set_condition(
            status,
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        );
        set_condition(
            status,
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        );
        let (reason, message) = match left {
            0 => ("ContentRemoved", "All content successfully removed".to_owned()),
            left => (
                "SomeResourcesRemain",
                format!("Some resources are remaining: {left} resource instances"),
            ),
        };
        set_condition(status, "NamespaceContentRemaining", flag(left > 0), reason, &message);
        let (reason, message) = match held {
            0 => (
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished".to_owned(),
            ),
            held => (
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {held} resource instances"),
            ),
        };
        set_condition(status, "NamespaceFinalizersRemaining", flag(held > 0), reason, &message);
    });
    if left == 0 || gone {
        cluster.edit(MANAGER, key, "finalize", |namespace| {
            json::put(namespace, &["spec", "finalizers"], json!([]));
        });
    }
    None
}
