//! Where kinds have their pods, and what servers add to them.

use serde_json::{Map, Value, json};

/// The pod's specification in an object; none in kinds without pods.
pub(super) fn spec_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let pointer = match super::object::kind(object) {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => "/spec/template/spec",
        _ => return None,
    };
    object.pointer_mut(pointer)?.as_object_mut()
}

/// Takes a field away that has its default.
pub(super) fn unless(fields: &mut Map<String, Value>, field: &str, default: &Value) {
    if fields.get(field) == Some(default) {
        fields.remove(field);
    }
}

/// What is the same written in several ways: numbers as quantities, and empty lists.
pub(super) fn settle(pod: &mut Map<String, Value>) {
    without_empty(pod, &["volumes", "initContainers", "imagePullSecrets", "tolerations"]);
    each(pod, &["containers", "initContainers"], &mut |container| {
        without_empty(container, &["env", "envFrom", "volumeMounts", "ports", "command", "args"]);
        let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else {
            return;
        };
        for quantities in resources.values_mut().filter_map(Value::as_object_mut) {
            for quantity in quantities.values_mut().filter(|quantity| quantity.is_number()) {
                *quantity = Value::String(quantity.to_string());
            }
        }
    });
}

/// Takes away what an API server fills in.
pub(super) fn without_defaults(pod: &mut Map<String, Value>) {
    for (field, default) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("securityContext", json!({})),
    ] {
        unless(pod, field, &default);
    }
    if pod.get("serviceAccount") == pod.get("serviceAccountName") {
        pod.remove("serviceAccount");
    }
    each(pod, &["containers", "initContainers"], &mut container);
    each(pod, &["volumes"], &mut |volume| {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                unless(source, "defaultMode", &json!(420));
            }
        }
        if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
            unless(path, "type", &json!(""));
        }
    });
}

fn container(container: &mut Map<String, Value>) {
    for (field, default) in [
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("resources", json!({})),
    ] {
        unless(container, field, &default);
    }
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let newest = is_newest(image);
    unless(container, "imagePullPolicy", &json!(if newest { "Always" } else { "IfNotPresent" }));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else { continue };
        for (field, default) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            unless(probe, field, &json!(default));
        }
        if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            unless(get, "scheme", &json!("HTTP"));
        }
    }
    each(container, &["ports"], &mut |port| unless(port, "protocol", &json!("TCP")));
    each(container, &["env"], &mut |variable| {
        let of = variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef"));
        if let Some(of) = of.and_then(Value::as_object_mut) {
            unless(of, "apiVersion", &json!("v1"));
        }
    });
}

/// Whether an image has no tag, or the one that a server pulls each time.
fn is_newest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        _ if last.contains('@') => false,
        Some((_, tag)) => tag == "latest",
        None => true,
    }
}

/// Calls back for each object of lists.
pub(super) fn each(
    of: &mut Map<String, Value>,
    lists: &[&str],
    change: &mut dyn FnMut(&mut Map<String, Value>),
) {
    for list in lists {
        let items = of.get_mut(*list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
            change(item);
        }
    }
}

fn without_empty(fields: &mut Map<String, Value>, lists: &[&str]) {
    for list in lists {
        unless(fields, list, &json!([]));
    }
}
