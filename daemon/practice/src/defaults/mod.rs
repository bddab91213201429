//! What an object gets where its author was silent.

mod network;
mod pod;
mod workload;

pub(crate) use pod::pod_alone;
use serde_json::{Value, json};

use crate::json::{self, put, put_default};
use crate::resources::Resource;
use crate::schema::Type;

/// Fills in the defaults of an object.
pub(crate) fn fill(object: &mut Value, resource: &Resource) {
    if !resource.builtin {
        custom(object, &resource.ty);
        return;
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => pod_alone(object),
        ("", "PodTemplate") => pod::template(json::slot(object, &["template"])),
        ("", "ReplicationController") => {
            put_default(object, &["spec", "replicas"], 1);
            pod::template(json::slot(object, &["spec", "template"]));
        }
        ("", "Service") => network::service(object),
        ("", "Secret") => secret(object),
        ("", "Namespace") => namespace(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("apps", "Deployment") => workload::deployment(object),
        ("apps", "ReplicaSet") => workload::replica_set(object),
        ("apps", "StatefulSet") => workload::stateful_set(object),
        ("apps", "DaemonSet") => workload::daemon_set(object),
        ("batch", "Job") => workload::job(json::slot(object, &["spec"])),
        ("batch", "CronJob") => workload::cron_job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(object),
        ("networking.k8s.io", "NetworkPolicy") => network::policy(object),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(object),
        ("apiextensions.k8s.io", _) => definition(object),
        _ => {}
    }
}

/// Secrets take plain text too, and keep it encoded.
fn secret(object: &mut Value) {
    use base64::Engine as _;
    put_default(object, &["type"], "Opaque");
    let Some(Value::Object(plain)) = json::take(object, &["stringData"]) else {
        return;
    };
    for (key, value) in plain {
        let text = value.as_str().unwrap_or_default();
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        put(object, &["data", &key], encoded);
    }
}

fn namespace(object: &mut Value) {
    if !json::is_deleting(object) {
        put_default(object, &["spec", "finalizers"], json!(["kubernetes"]));
        put_default(object, &["status", "phase"], "Active");
    }
    let name = json::name(object).to_owned();
    put(object, &["metadata", "labels", "kubernetes.io/metadata.name"], name);
}

fn claim(object: &mut Value) {
    put_default(object, &["spec", "volumeMode"], "Filesystem");
    put_default(object, &["spec", "storageClassName"], "standard");
    put_default(object, &["status", "phase"], "Pending");
}

fn autoscaler(object: &mut Value) {
    put_default(object, &["spec", "minReplicas"], 1);
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    put_default(object, &["spec", "metrics"], cpu);
}

fn binding(object: &mut Value) {
    const RBAC: &str = "rbac.authorization.k8s.io";
    if json::text(object, "/roleRef/apiGroup").is_empty() {
        put(object, &["roleRef", "apiGroup"], RBAC);
    }
    for subject in json::list_mut(object, &["subjects"]).into_iter().flatten() {
        if matches!(json::text(subject, "/kind"), "User" | "Group") {
            put_default(subject, &["apiGroup"], RBAC);
        }
    }
}

fn definition(object: &mut Value) {
    let kind = json::text(object, "/spec/names/kind").to_owned();
    put_default(object, &["spec", "names", "singular"], kind.to_lowercase());
    put_default(object, &["spec", "names", "listKind"], format!("{kind}List"));
    put_default(object, &["spec", "conversion"], json!({"strategy": "None"}));
}

/// The defaults that a custom resource's schema declares.
fn custom(value: &mut Value, ty: &Type) {
    match (ty, value) {
        (Type::Struct(known), Value::Object(entries)) => {
            for (name, field) in &known.fields {
                let is_missing = entries.get(name).is_none_or(|v| v.is_null() && !field.nullable);
                if is_missing && let Some(default) = &field.default {
                    entries.insert(name.clone(), default.clone());
                }
                if let Some(below) = entries.get_mut(name) {
                    custom(below, &field.ty);
                }
            }
        }
        (Type::Map { of, .. }, Value::Object(entries)) => {
            entries.values_mut().for_each(|below| custom(below, of));
        }
        (Type::List { of, .. }, Value::Array(items)) => {
            items.iter_mut().for_each(|item| custom(item, of));
        }
        _ => {}
    }
}
