//! Objects without what says nothing: what servers add, nulls, and, of live objects,
//! what servers fill in where nobody has said anything.

use serde_json::{Map, Value, json};

use super::object::{group, kind};
use super::pods::{self, each, unless};
use crate::compare::OF_SERVERS;

/// Annotations that tools and servers write for themselves. The first holds a copy of
/// the object, of a Secret with its values.
const NOTED: [&str; 8] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "deprecated.daemonset.template.generation",
];

/// Finalizers that servers add.
const FINALIZERS: [&str; 3] = [
    "kubernetes.io/pvc-protection",
    "kubernetes.io/pv-protection",
    "service.kubernetes.io/load-balancer-cleanup",
];

/// An object without what says nothing.
pub(super) fn quieted(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object.get("metadata");
    let is_live = ["uid", "resourceVersion", "managedFields"]
        .iter()
        .any(|field| metadata.is_some_and(|metadata| metadata.get(*field).is_some()));
    drop_nulls(&mut object);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        quiet_metadata(metadata);
    }
    if let Some(pod) = pods::spec_mut(&mut object) {
        pods::settle(pod);
    }
    if is_live {
        without_defaults(&mut object);
    }
    object
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn quiet_metadata(metadata: &mut Map<String, Value>) {
    // That it is being deleted is asked for later.
    for field in OF_SERVERS.iter().filter(|field| **field != "deletionTimestamp") {
        metadata.remove(*field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !NOTED.contains(&key.as_str()));
    }
    if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|one| one.as_str().is_none_or(|one| !FINALIZERS.contains(&one)));
    }
    for field in ["annotations", "labels"] {
        unless(metadata, field, &json!({}));
    }
    unless(metadata, "finalizers", &json!([]));
}

fn without_defaults(object: &mut Value) {
    let of = (group(object).to_owned(), kind(object).to_owned());
    if let Some(pod) = pods::spec_mut(object) {
        pods::without_defaults(pod);
    }
    if let Some(template) = object.pointer_mut("/spec/template/metadata") {
        let template = template.as_object_mut();
        if let Some(template) = template {
            template.remove("creationTimestamp");
        }
    }
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for (field, default) in defaults(&of.0, &of.1) {
        unless(spec, field, &default);
    }
    match (of.0.as_str(), of.1.as_str()) {
        ("", "Service") => service(spec),
        ("apps", "StatefulSet") => each(spec, &["volumeClaimTemplates"], &mut claim),
        _ => {}
    }
}

/// What servers fill in, by group and kind.
fn defaults(group: &str, kind: &str) -> Vec<(&'static str, Value)> {
    let rolling = |update: Value| json!({"type": "RollingUpdate", "rollingUpdate": update});
    match (group, kind) {
        ("apps", "Deployment") => vec![
            ("progressDeadlineSeconds", json!(600)),
            ("revisionHistoryLimit", json!(10)),
            ("strategy", rolling(json!({"maxSurge": "25%", "maxUnavailable": "25%"}))),
        ],
        ("apps", "StatefulSet") => vec![
            ("podManagementPolicy", json!("OrderedReady")),
            ("revisionHistoryLimit", json!(10)),
            ("updateStrategy", rolling(json!({"partition": 0}))),
            (
                "persistentVolumeClaimRetentionPolicy",
                json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
            ),
        ],
        ("apps", "DaemonSet") => vec![
            ("revisionHistoryLimit", json!(10)),
            ("updateStrategy", rolling(json!({"maxSurge": 0, "maxUnavailable": 1}))),
        ],
        ("batch", "CronJob") => vec![
            ("concurrencyPolicy", json!("Allow")),
            ("suspend", json!(false)),
            ("successfulJobsHistoryLimit", json!(3)),
            ("failedJobsHistoryLimit", json!(1)),
        ],
        ("", "PersistentVolumeClaim") => vec![("volumeMode", json!("Filesystem"))],
        ("", "Service") => vec![
            ("type", json!("ClusterIP")),
            ("sessionAffinity", json!("None")),
            ("internalTrafficPolicy", json!("Cluster")),
            ("externalTrafficPolicy", json!("Cluster")),
            ("allocateLoadBalancerNodePorts", json!(true)),
            ("ipFamilyPolicy", json!("SingleStack")),
        ],
        _ => Vec::new(),
    }
}

/// Addresses are given by the server, but for "none".
fn service(spec: &mut Map<String, Value>) {
    if spec.get("clusterIP") != Some(&json!("None")) {
        spec.remove("clusterIP");
    }
    if !spec.contains_key("ipFamilyPolicy") {
        spec.remove("ipFamilies");
    }
    spec.remove("clusterIPs");
    each(spec, &["ports"], &mut |port| {
        unless(port, "protocol", &json!("TCP"));
        if port.get("targetPort") == port.get("port") {
            port.remove("targetPort");
        }
    });
}

fn claim(template: &mut Map<String, Value>) {
    for field in ["apiVersion", "kind", "status"] {
        template.remove(field);
    }
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        unless(spec, "volumeMode", &json!("Filesystem"));
    }
}
