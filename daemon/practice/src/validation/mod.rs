//! What an object must satisfy to be stored.

mod custom;
mod labels;
pub(crate) mod names;
mod network;
mod pod;
mod rest;
mod workload;

use serde_json::Value;

use crate::json;
use crate::resources::Resource;
use crate::status::Cause;

/// The complaints about an object; `old` is what it replaces.
pub(crate) fn complaints(object: &Value, old: Option<&Value>, resource: &Resource) -> Vec<Cause> {
    let mut found = Vec::new();
    metadata(object, old, resource, &mut found);
    if !resource.builtin {
        custom::check(object, &resource.ty, "", &mut found);
        return found;
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => pod::check(object, old, &mut found),
        ("", "Service") => network::service(object, old, &mut found),
        ("", "ConfigMap") => rest::config_map(object, old, &mut found),
        ("", "Secret") => rest::secret(object, old, &mut found),
        ("", "PersistentVolumeClaim") => rest::claim(object, old, &mut found),
        ("", "ResourceQuota") => rest::quota(object, &mut found),
        ("apps", "Deployment") => workload::deployment(object, old, &mut found),
        ("apps", "ReplicaSet") => workload::replica_set(object, old, &mut found),
        ("apps", "StatefulSet") => workload::stateful_set(object, old, &mut found),
        ("apps", "DaemonSet") => workload::daemon_set(object, old, &mut found),
        ("batch", "Job") => workload::job(object, old, &mut found),
        ("batch", "CronJob") => workload::cron_job(object, &mut found),
        ("networking.k8s.io", "Ingress") => network::ingress(object, &mut found),
        ("autoscaling", _) => rest::autoscaler(object, &mut found),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            rest::binding(object, old, &mut found);
        }
        ("rbac.authorization.k8s.io", _) => rest::role(object, &mut found),
        ("apiextensions.k8s.io", _) => rest::definition(object, &mut found),
        _ => {}
    }
    found
}

fn metadata(object: &Value, old: Option<&Value>, resource: &Resource, found: &mut Vec<Cause>) {
    let name = json::name(object);
    let field = "metadata.name";
    if old.is_none() {
        let complaint = match (resource.group.as_str(), resource.kind.as_str()) {
            ("", "Namespace") => names::label(name),
            ("", "Service") => names::label_1035(name),
            ("rbac.authorization.k8s.io", _) => names::path_segment(name),
            ("apps", "StatefulSet") => names::label(name).or_else(|| names::subdomain(name)),
            _ => names::subdomain(name),
        };
        if name.is_empty() {
            found.push(Cause::required(field, "name or generateName is required"));
        } else if let Some(complaint) = complaint {
            found.push(Cause::invalid(field, &Value::from(name), &complaint));
        }
    }
    labels::labels(object, "metadata.labels", "/metadata/labels", found);
    labels::annotations(object, "metadata.annotations", "/metadata/annotations", found);
    for (index, owner) in json::items(object, "/metadata/ownerReferences").iter().enumerate() {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if json::text(owner, &format!("/{key}")).is_empty() {
                let field = format!("metadata.ownerReferences[{index}].{key}");
                found.push(Cause::invalid(field, &Value::from(""), "must not be empty"));
            }
        }
    }
    for finalizer in json::items(object, "/metadata/finalizers") {
        let text = finalizer.as_str().unwrap_or_default();
        if let Some(complaint) = names::qualified(text) {
            found.push(Cause::invalid("metadata.finalizers", finalizer, &complaint));
        } else if !text.contains('/')
            && !["orphan", "foregroundDeletion", "kubernetes"].contains(&text)
        {
            found.push(Cause::invalid(
                "metadata.finalizers",
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
}

/// A field that must stay as it was.
fn immutable(object: &Value, old: Option<&Value>, pointer: &str, found: &mut Vec<Cause>) {
    let Some(old) = old else { return };
    let nothing = Value::Null;
    let (was, is) =
        (old.pointer(pointer).unwrap_or(&nothing), object.pointer(pointer).unwrap_or(&nothing));
    if was != is {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        found.push(Cause::invalid(field, is, "field is immutable"));
    }
}

/// A number that must not be negative.
fn not_negative(object: &Value, pointer: &str, found: &mut Vec<Cause>) {
    if json::int(object, pointer).is_some_and(|number| number < 0) {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        let value = object.pointer(pointer).unwrap_or(&Value::Null);
        found.push(Cause::invalid(field, value, "must be greater than or equal to 0"));
    }
}
