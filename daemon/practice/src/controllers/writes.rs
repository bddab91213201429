//! How the cluster's own parts write: through the same operations as clients,
//! under their own names.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::json;
use crate::ops::{Change, DeleteOptions, WriteOptions};
use crate::selectors::Labels;
use crate::status::{ApiError, ApiResult};
use crate::storage::Key;

impl Cluster {
    /// Changes an object's status.
    pub(crate) fn set_status(&self, manager: &str, key: &Key, change: impl FnOnce(&mut Value)) {
        self.edit(manager, key, "status", |object| {
            change(json::slot(object, &["status"]));
        });
    }

    /// Changes an object.
    pub(crate) fn edit(
        &self,
        manager: &str,
        key: &Key,
        subresource: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let Some(resource) = self.resource(&key.resource) else {
            return;
        };
        let at = Change {
            resource: &resource,
            namespace: &key.namespace,
            name: &key.name,
            subresource,
            is_put: false,
        };
        let result = self.update(at, &WriteOptions::by(manager), |old| {
            let mut new = old.clone();
            change(&mut new);
            Ok(new)
        });
        if let Err(error) = result
            && error.code != 404
        {
            tracing::debug!(?key, manager, message = %error.message, "a controller's write was refused");
        }
    }

    /// Creates an object.
    pub(crate) fn make(
        &self,
        manager: &str,
        storage: &str,
        namespace: &str,
        object: Value,
    ) -> ApiResult<Arc<Value>> {
        let resource = self.resource(storage).ok_or_else(ApiError::no_such_path)?;
        let written = self.create(&resource, namespace, object, &WriteOptions::by(manager))?;
        Ok(written.object)
    }

    /// Creates an object unless it is there.
    pub(crate) fn ensure(&self, manager: &str, storage: &str, namespace: &str, object: Value) {
        if self.get(storage, namespace, json::name(&object)).is_some() {
            return;
        }
        if let Err(error) = self.make(manager, storage, namespace, object) {
            tracing::debug!(storage, namespace, message = %error.message, "a controller's object was refused");
        }
    }

    /// Deletes an object, with a propagation policy or none.
    pub(crate) fn drop_object(&self, key: &Key, propagation: &str) {
        let Some(resource) = self.resource(&key.resource) else {
            return;
        };
        let options =
            DeleteOptions { propagation: propagation.to_owned(), ..DeleteOptions::default() };
        // Gone already is as good.
        let _ = self.delete(&resource, &key.namespace, &key.name, &options);
    }
}

/// The reference of a controller to put into what it makes.
pub(crate) fn controlled_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": json::text(owner, "/apiVersion"),
        "kind": json::text(owner, "/kind"),
        "name": json::name(owner),
        "uid": json::uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// Whether an object is controlled by another.
pub(crate) fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    json::items(object, "/metadata/ownerReferences").iter().any(|reference| {
        json::flag(reference, "/controller") && json::uid(owner) == json::text(reference, "/uid")
    })
}

/// The objects of a resource that another controls.
pub(crate) fn controlled(cluster: &Cluster, storage: &str, owner: &Value) -> Vec<Arc<Value>> {
    cluster.read(|store| {
        store
            .owned_by(json::uid(owner))
            .into_iter()
            .filter(|key| &*key.resource == storage)
            .filter_map(|key| store.get(storage, &key.namespace, &key.name))
            .filter(|object| is_controlled_by(object, owner))
            .collect()
    })
}

/// Takes what nobody controls and the owner's selector fits, as controllers
/// do with what an earlier owner of the name left behind.
pub(crate) fn adopt(cluster: &Cluster, storage: &str, owner: &Value) {
    if json::is_deleting(owner) {
        return;
    }
    let loose: Vec<_> = cluster
        .list(storage, json::namespace(owner))
        .into_iter()
        .filter(|object| {
            !json::is_deleting(object)
                && !json::items(object, "/metadata/ownerReferences")
                    .iter()
                    .any(|reference| json::flag(reference, "/controller"))
        })
        .collect();
    if loose.is_empty() {
        return;
    }
    let selector = Labels::from_object(owner.pointer("/spec/selector").unwrap_or(&Value::Null));
    for object in loose.iter().filter(|object| !selector.is_empty() && selector.fits(object)) {
        let key = Key::new(storage, json::namespace(object), json::name(object));
        cluster.edit(super::MANAGER, &key, "", |object| {
            let mut owners = json::items(object, "/metadata/ownerReferences").to_vec();
            owners.extend(controlled_by(owner).as_array().into_iter().flatten().cloned());
            json::put(object, &["metadata", "ownerReferences"], owners);
        });
    }
}

/// A pod from a template.
pub(crate) fn pod_of(owner: &Value, template: &Value) -> Value {
    let mut metadata = json!({"ownerReferences": controlled_by(owner)});
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{field}")) {
            json::put(&mut metadata, &[field], value.clone());
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": template.get("spec").cloned().unwrap_or_default()})
}

/// Whether a pod counts: it is not on its way out and has not ended.
pub(crate) fn is_active(pod: &Value) -> bool {
    !json::is_deleting(pod) && !matches!(json::text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    super::condition(pod, "Ready").is_some_and(|c| json::text(c, "/status") == "True")
}

/// Seconds until a ready pod counts as available; zero when it does.
pub(crate) fn until_available(pod: &Value, min_ready: i64) -> Option<i64> {
    if !is_ready(pod) {
        return None;
    }
    let since = super::condition(pod, "Ready")
        .and_then(|c| crate::time::seconds_since(json::text(c, "/lastTransitionTime")));
    Some((min_ready - since.unwrap_or_default()).max(0))
}
