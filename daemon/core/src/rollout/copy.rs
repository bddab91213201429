//! The copies that a track of a workload consists of.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::name::{STABLE, TRACK_LABEL, copy_name};
use super::parts::{Parts, field, name, put};
use crate::plan::Manifest;

/// Whoever has removed a copy wants it gone, whatever holds for its original.
const PRUNE: &str = "deployd.dev/prune";

/// What annotations that claim a name in DNS begin with: a copy claims none.
const DNS: &str = "external-dns.alpha.kubernetes.io/";

/// Fields of a Service by which it is reached from outside the cluster: each would
/// be refused twice, or cost another address.
const OUTSIDE: [&str; 9] = [
    "allocateLoadBalancerNodePorts",
    "clusterIPs",
    "externalIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "type",
];

/// All copies of a workload's objects for a track: configuration first, as it is
/// needed.
pub(super) fn copies(parts: &Parts<'_>, track: &str, replicas: Option<u32>) -> Vec<Manifest> {
    let renamed: BTreeSet<(&str, &str)> =
        parts.payload.iter().map(|it| (super::parts::kind(&it.object), name(&it.object))).collect();
    let same_owner =
        |original: &Manifest, object: Value| Manifest { owner: original.owner.clone(), object };
    let payload = parts.payload.iter().map(|it| same_owner(it, begun(&it.object, track)));
    let services = parts.services.iter().map(|it| same_owner(it, service(&it.object, track)));
    let deployment = deployment(&parts.deployment.object, track, replicas, &renamed);
    payload.chain(services).chain([same_owner(parts.deployment, deployment)]).collect()
}

/// A copy with its name and label.
pub(super) fn begun(object: &Value, track: &str) -> Value {
    let mut copy = object.clone();
    put(&mut copy, &["metadata"], "name", copy_name(name(object), track).into());
    put(&mut copy, &["metadata", "labels"], TRACK_LABEL, track.into());
    if let Some(metadata) = field(&mut copy, &["metadata"])
        && let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
    {
        annotations.retain(|key, _| key != PRUNE && !key.starts_with(DNS));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    copy
}

fn service(object: &Value, track: &str) -> Value {
    let mut copy = begun(object, track);
    if let Some(spec) = field(&mut copy, &["spec"]) {
        spec.retain(|key, _| !OUTSIDE.contains(&key.as_str()));
        // Without an address of its own it stays; any other can't be had twice.
        if spec.get("clusterIP").is_some_and(|address| address != "None") {
            spec.remove("clusterIP");
        }
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
    }
    put(&mut copy, &["spec", "selector"], TRACK_LABEL, track.into());
    copy
}

fn deployment(
    object: &Value,
    track: &str,
    replicas: Option<u32>,
    renamed: &BTreeSet<(&str, &str)>,
) -> Value {
    let mut copy = begun(object, track);
    put(&mut copy, &["spec", "selector", "matchLabels"], TRACK_LABEL, track.into());
    put(&mut copy, &["spec", "template", "metadata", "labels"], TRACK_LABEL, track.into());
    if let Some(replicas) = replicas {
        put(&mut copy, &["spec"], "replicas", replicas.into());
    }
    if let Some(pods) = copy.pointer_mut("/spec/template/spec") {
        rewrite(pods, track, renamed);
    }
    copy
}

/// Lets a pod's fields refer to the copies of ConfigMaps and Secrets, and to its own
/// track where it chooses its neighbours by labels.
pub(super) fn rewrite(value: &mut Value, track: &str, renamed: &BTreeSet<(&str, &str)>) {
    let rename = |kind: &str, name: &mut Value| {
        if let Some(text) = name.as_str()
            && renamed.contains(&(kind, text))
        {
            *name = json!(copy_name(text, track));
        }
    };
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, track, renamed)),
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                let kind = match key.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => Some("ConfigMap"),
                    "secret" | "secretRef" | "secretKeyRef" | "nodePublishSecretRef" => {
                        Some("Secret")
                    }
                    _ => None,
                };
                if let (Some(kind), Some(name)) = (kind, field.get_mut("name")) {
                    rename(kind, name);
                }
                match key.as_str() {
                    "secretName" => rename("Secret", field),
                    "imagePullSecrets" => field
                        .as_array_mut()
                        .into_iter()
                        .flatten()
                        .filter_map(|item| item.get_mut("name"))
                        .for_each(|name| rename("Secret", name)),
                    "matchLabels" => {
                        if let Some(label) = field.get_mut(TRACK_LABEL)
                            && label == STABLE
                        {
                            *label = json!(track);
                        }
                    }
                    _ => {}
                }
                rewrite(field, track, renamed);
            }
        }
        _ => {}
    }
}
