//! What the cluster adds to or refuses of an object because of others.

mod limits;
mod pod;
mod quota;
mod service;

pub(crate) use quota::{check as quota, check_update as quota_update, used as quota_used};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::json;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult, Named};
use crate::storage::{Key, MOST_EVENTS, Store};

/// Nothing is created in a namespace that is not there, or on its way out.
pub(crate) fn namespace(
    store: &Store,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> ApiResult<()> {
    let namespaces = Named { group: "", resource: "namespaces", kind: "Namespace" };
    let Some(found) = store.get("namespaces", "", namespace) else {
        return Err(ApiError::not_found(namespaces, namespace));
    };
    if !json::is_deleting(&found) {
        return Ok(());
    }
    let mut error = ApiError::forbidden(
        resource.named(),
        name,
        &format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        ),
    );
    if let Some(details) = &mut error.details {
        let cause = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        json::put(details, &["causes"], cause);
    }
    Err(error)
}

/// Completes an object that is being created.
pub(crate) fn prepare(
    cluster: &Cluster,
    store: &Store,
    resource: &Resource,
    object: &mut Value,
) -> ApiResult<()> {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => {
            limits::fill(store, object);
            pod::prepare(cluster, store, resource, object)?;
            limits::check(store, resource, object)?;
        }
        ("", "Service") => service::allocate(store, resource, object)?,
        ("batch", "Job") => job(object),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {}
        ("apiextensions.k8s.io", _) => {
            let stored: Vec<Value> = json::items(object, "/spec/versions")
                .iter()
                .filter(|version| json::flag(version, "/storage"))
                .filter_map(|version| version.get("name").cloned())
                .collect();
            json::put(object, &["status", "storedVersions"], stored);
        }
        _ => {}
    }
    Ok(())
}

/// A job gets a selector for its own pods.
fn job(object: &mut Value) {
    if json::flag(object, "/spec/manualSelector") {
        return;
    }
    let (uid, name) = (json::uid(object).to_owned(), json::name(object).to_owned());
    let labels = json::slot(object, &["spec", "template", "metadata", "labels"]);
    for prefix in ["", "batch.kubernetes.io/"] {
        json::put(labels, &[&format!("{prefix}controller-uid")], uid.as_str());
        json::put(labels, &[&format!("{prefix}job-name")], name.as_str());
    }
    json::put(
        object,
        &["spec", "selector"],
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
}

/// Completes an object that is being replaced with what was allocated for it.
pub(crate) fn carry_over(
    cluster: &Cluster,
    store: &Store,
    resource: &Resource,
    object: &mut Value,
    old: &Value,
) -> ApiResult<()> {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Service") => {
            service::keep(object, old);
            service::allocate(store, resource, object)?;
        }
        ("", "Pod") => pod::keep(cluster, object, old),
        ("batch", "Job") if !json::flag(object, "/spec/manualSelector") => {
            // What the server generated need not be sent again.
            for path in
                [["spec", "selector"].as_slice(), &["spec", "template", "metadata", "labels"]]
            {
                let was = old.pointer(&format!("/{}", path.join("/"))).cloned();
                if let Some(was) = was {
                    json::put_default(object, path, was);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Keeps the number of events within bounds.
pub(crate) fn after_create(store: &mut Store, resource: &Resource, object: &Value) {
    if resource.kind != "Event" || store.count("events") <= MOST_EVENTS {
        return;
    }
    let oldest = store
        .list("events", "")
        .min_by_key(|event| json::text(event, "/metadata/creationTimestamp").to_owned())
        .filter(|event| json::uid(event) != json::uid(object))
        .map(|event| Key::new("events", json::namespace(event), json::name(event)));
    if let Some(oldest) = oldest {
        store.remove(&oldest);
    }
}
