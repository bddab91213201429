//! Endpoints and endpoint slices of services, from their ready pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::writes::{controlled_by, is_ready};
use super::{Again, MANAGER};
use crate::cluster::Cluster;
use crate::json::{self, text};
use crate::selectors::Labels;
use crate::storage::Key;

const SLICES: &str = "endpointslices.discovery.k8s.io";

/// The pods behind a service, with whether each is ready.
pub(crate) fn pods_of(cluster: &Cluster, service: &Value) -> Vec<(Arc<Value>, bool)> {
    let Some(selector) = json::object(service, "/spec/selector") else {
        return Vec::new();
    };
    let selector = Labels::from_object(&json!({"matchLabels": selector}));
    if selector.is_empty() {
        return Vec::new();
    }
    cluster
        .list("pods", json::namespace(service))
        .into_iter()
        .filter(|pod| selector.fits(pod) && !text(pod, "/status/podIP").is_empty())
        .filter(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"))
        .map(|pod| {
            let ready = is_ready(&pod) && !json::is_deleting(&pod);
            (pod, ready)
        })
        .collect()
}

/// The number of a service's port on a pod.
fn target(port: &Value, pod: Option<&Value>) -> Option<i64> {
    match port.get("targetPort") {
        Some(Value::String(name)) => json::items(pod?, "/spec/containers")
            .iter()
            .flat_map(|container| json::items(container, "/ports"))
            .find(|found| text(found, "/name") == name)
            .and_then(|found| json::int(found, "/containerPort")),
        Some(Value::Number(number)) => number.as_i64(),
        _ => json::int(port, "/port"),
    }
}

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let Some(service) = cluster.get("services", &key.namespace, &key.name) else {
        let place = Key::new("endpoints", &key.namespace, &key.name);
        cluster.drop_object(&place, "Background");
        return None;
    };
    if json::is_deleting(&service) {
        return None;
    }
    if text(&service, "/spec/type") == "LoadBalancer"
        && !json::has(&service, "/status/loadBalancer/ingress")
    {
        cluster.set_status(MANAGER, key, |status| {
            let place = json!([{"ip": "127.0.0.1", "ipMode": "VIP"}]);
            json::put(status, &["loadBalancer", "ingress"], place);
        });
    }
    if json::object(&service, "/spec/selector").is_none_or(|s| s.is_empty()) {
        return None;
    }
    let pods = pods_of(cluster, &service);
    let first = pods.first().map(|(pod, _)| &**pod);
    let ports: Vec<Value> = json::items(&service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let mut found = json!({"port": target(port, first)?,
                "protocol": text(port, "/protocol")});
            if !text(port, "/name").is_empty() {
                json::put(&mut found, &["name"], text(port, "/name"));
            }
            Some(found)
        })
        .collect();
    write_endpoints(cluster, key, &service, &pods, &ports);
    write_slice(cluster, key, &service, &pods, ports);
    None
}

fn reference(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": json::namespace(pod), "name": json::name(pod),
        "uid": json::uid(pod)})
}

fn write_endpoints(
    cluster: &Cluster,
    key: &Key,
    service: &Value,
    pods: &[(Arc<Value>, bool)],
    ports: &[Value],
) {
    let addresses = |wanted: bool| -> Vec<Value> {
        pods.iter()
            .filter(|(pod, ready)| *ready == wanted && !json::is_deleting(pod))
            .map(|(pod, _)| {
                json!({"ip": text(pod, "/status/podIP"), "nodeName": text(pod, "/spec/nodeName"),
                    "targetRef": reference(pod)})
            })
            .collect()
    };
    let mut subset = json!({"ports": ports});
    for (field, wanted) in [("addresses", true), ("notReadyAddresses", false)] {
        let found = addresses(wanted);
        if !found.is_empty() {
            json::put(&mut subset, &[field], found);
        }
    }
    let has_any = subset.as_object().is_some_and(|fields| fields.len() > 1);
    let subsets = if has_any { json!([subset]) } else { Value::Null };
    let labels = service.pointer("/metadata/labels").cloned();
    let place = Key::new("endpoints", &key.namespace, &key.name);
    if cluster.get("endpoints", &key.namespace, &key.name).is_none() {
        let object = json!({"apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": key.name, "labels": labels}, "subsets": subsets});
        cluster.ensure(MANAGER, "endpoints", &key.namespace, object);
    } else {
        cluster.edit(MANAGER, &place, "", |object| {
            json::put(object, &["subsets"], subsets);
        });
    }
}

fn write_slice(
    cluster: &Cluster,
    key: &Key,
    service: &Value,
    pods: &[(Arc<Value>, bool)],
    ports: Vec<Value>,
) {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|(pod, ready)| {
            json!({"addresses": [text(pod, "/status/podIP")],
                "conditions": {"ready": ready, "serving": is_ready(pod),
                    "terminating": json::is_deleting(pod)},
                "nodeName": text(pod, "/spec/nodeName"), "targetRef": reference(pod)})
        })
        .collect();
    let hash = crate::random::template_hash(&json!(json::uid(service)));
    let suffix: String = hash.chars().take(5).collect();
    let name = format!("{}-{suffix}", key.name);
    let place = Key::new(SLICES, &key.namespace, &name);
    if cluster.get(SLICES, &key.namespace, &name).is_none() {
        let object = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": name, "generateName": format!("{}-", key.name),
                "ownerReferences": controlled_by(service),
                "labels": {"kubernetes.io/service-name": key.name,
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports});
        cluster.ensure(MANAGER, SLICES, &key.namespace, object);
    } else {
        cluster.edit(MANAGER, &place, "", |object| {
            json::put(object, &["endpoints"], endpoints);
            json::put(object, &["ports"], ports);
        });
    }
}
