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

/// The oldest events that go when there are too many.
const EVENTS_DROPPED: usize = MOST_EVENTS / 10;

/// Keeps the number of events within bounds.
pub(crate) fn after_create(store: &mut Store, resource: &Resource, object: &Value) {
    if resource.kind != "Event" || store.count("events") <= MOST_EVENTS {
        return;
    }
    // Many at once: to look for the oldest with each event would cost more than
    // all else that a busy cluster does.
    let mut oldest: Vec<(String, Key)> = store
        .list("events", "")
        .filter(|event| json::uid(event) != json::uid(object))
        .map(|event| {
            let key = Key::new("events", json::namespace(event), json::name(event));
            (json::text(event, "/metadata/creationTimestamp").to_owned(), key)
        })
        .collect();
    oldest.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (_, key) in oldest.iter().take(EVENTS_DROPPED) {
        store.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Registry;

    #[test]
    fn the_oldest_events_go_and_the_newest_stay() {
        let registry = Registry::new();
        let resource = registry.find("", "v1", "events").unwrap();
        let mut store = Store::default();
        let mut kept = 0;
        for number in 0..=MOST_EVENTS {
            let name = format!("event-{number}");
            let event = json!({"metadata": {
                "namespace": "shop", "name": name, "uid": name,
                "creationTimestamp": format!("2026-01-01T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60),
            }});
            let event = store.put(Key::new("events", "shop", &name), event).unwrap();
            after_create(&mut store, &resource, &event);
            kept = store.count("events");
        }
        assert_eq!(kept, MOST_EVENTS + 1 - EVENTS_DROPPED);
        assert!(store.get("events", "shop", &format!("event-{MOST_EVENTS}")).is_some());
        assert!(store.get("events", "shop", &format!("event-{}", EVENTS_DROPPED - 1)).is_none());
        assert!(store.get("events", "shop", &format!("event-{EVENTS_DROPPED}")).is_some());
    }
}
