//! What is applied in a rehearsal: the objects of the plan, with what the practice
//! cluster can't have taken from them.
//!
//! Containers do as the scenario says, and nothing by themselves, so that what they
//! need of configuration, volumes and nodes is left out: it may be somebody else's,
//! and is not there. What is divided and rolled stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::plan::{Manifests, ObjectOwner};
use deployd_core::resolve::known_now;
use deployd_core::rollout::Version;
use deployd_practice::Practice;
use serde_json::{Map, Value, json};

/// The label that objects of a workload have, as the planner knows them by.
pub(super) const OF_WORKLOAD: &str = "deployd.dev/workload";

/// The labels by which a rehearsal knows pods: their workload, and their version.
pub(super) const WORKLOAD: &str = "rehearsal.deployd.dev/workload";
pub(super) const VERSION: &str = "rehearsal.deployd.dev/version";

/// The label of pods that end by themselves.
pub(super) const ENDS: &str = "rehearsal.deployd.dev/ends";

/// What stands where an output is not known yet: a name that fits everywhere.
const KNOWN_LATER: &str = "known-later";

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// The class of the practice cluster's Gateways.
const GATEWAY_CLASS: &str = "practice";

/// The value of [`VERSION`].
pub(super) fn label_of(version: Version) -> &'static str {
    match version {
        Version::New => "new",
        Version::Current => "current",
    }
}

/// What is applied of some manifests.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared {
    pub(super) namespace: String,
    pub(super) objects: Vec<Value>,
    /// What is left out.
    pub(super) notes: BTreeSet<String>,
}

/// What is applied of the manifests that run, and of those that are rolled out. A
/// workload that is in both as it is runs on; where nothing differs, all of it is
/// taken for new, since who rehearses wants to see a rollout.
pub(super) fn prepared(
    practice: &Practice,
    new: &Manifests,
    current: Option<&Manifests>,
) -> (Prepared, Option<Prepared>) {
    let before = current.map(|current| prepare(practice, current, |_| Version::Current));
    let is_as_it_is = |name: &str| current.is_some_and(|it| of(it, name) == of(new, name));
    let owners = new.objects.iter().map(|manifest| &manifest.owner);
    let is_changed = owners.filter_map(workload_of).any(|name| !is_as_it_is(name));
    let version = |name: &str| match is_changed && is_as_it_is(name) {
        true => Version::Current,
        false => Version::New,
    };
    let mut after = prepare(practice, new, version);
    if !is_changed {
        after.notes.insert(
            "no workload differs from what runs: it is rehearsed as if all were new".to_owned(),
        );
    }
    (after, before)
}

/// The workload that an object is of.
pub(super) fn workload_of(owner: &ObjectOwner) -> Option<&str> {
    match owner {
        ObjectOwner::Workload(name) => Some(name),
        ObjectOwner::Resource(_) | ObjectOwner::Environment => None,
    }
}

fn of(manifests: &Manifests, workload: &str) -> Vec<Value> {
    manifests.of(|owner| matches!(owner, ObjectOwner::Workload(name) if name == workload))
}

fn prepare(
    practice: &Practice,
    manifests: &Manifests,
    version: impl Fn(&str) -> Version,
) -> Prepared {
    let namespace = known_now(&manifests.namespace, KNOWN_LATER);
    let mut prepared = Prepared { namespace: namespace.clone(), ..Prepared::default() };
    for manifest in &manifests.objects {
        let mut object = manifest.object.clone();
        name_unknown(&mut object);
        if let Some(note) = left_out(practice, manifests, &object) {
            prepared.notes.extend(note);
            continue;
        }
        let workload = workload_of(&manifest.owner);
        mark(&mut object, workload);
        simplify(&mut object, workload.map(|name| (name, version(name))));
        prepared.objects.push(object);
    }
    let around = around(&prepared.objects, &namespace);
    prepared.objects.splice(0..0, around);
    prepared
}

/// What is not known yet gets a name.
fn name_unknown(value: &mut Value) {
    match value {
        Value::String(text) => *text = known_now(text, KNOWN_LATER),
        Value::Array(items) => items.iter_mut().for_each(name_unknown),
        Value::Object(fields) => fields.values_mut().for_each(name_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether an object is left out, and what to say of it.
fn left_out(practice: &Practice, manifests: &Manifests, object: &Value) -> Option<Option<String>> {
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    // Quotas ask of pods what is left out of them.
    if version == "v1" && matches!(kind, "ResourceQuota" | "LimitRange") {
        return Some(None);
    }
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let is_defined = |other: &Value| {
        text(other, "/kind") == "CustomResourceDefinition"
            && text(other, "/spec/group") == group
            && text(other, "/spec/names/kind") == kind
    };
    let is_known = practice.serves(version, kind)
        || manifests.objects.iter().any(|manifest| is_defined(&manifest.object));
    (!is_known).then(|| {
        let name = text(object, "/metadata/name");
        Some(format!(
            "{kind} {name} is left out: the cluster of rehearsals does not know {version}"
        ))
    })
}

/// Whose an object is, as the planner sees it.
fn mark(object: &mut Value, workload: Option<&str>) {
    match workload {
        Some(name) => set(object, &["metadata", "labels", OF_WORKLOAD], json!(name)),
        None => {
            if let Some(Value::Object(labels)) = object.pointer_mut("/metadata/labels") {
                labels.remove(OF_WORKLOAD);
            }
        }
    }
}

fn simplify(object: &mut Value, of: Option<(&str, Version)>) {
    let pod = match text(object, "/kind") {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        "Pod" => "",
        "PersistentVolumeClaim" => return take(object, "/spec", &["storageClassName"]),
        "Gateway" => return set(object, &["spec", "gatewayClassName"], json!(GATEWAY_CLASS)),
        _ => return,
    };
    let ends = matches!(text(object, "/kind"), "Job" | "CronJob");
    // The practice cluster tells times of conditions by the clock on the wall.
    take(object, "/spec", &["minReadySeconds", "volumeClaimTemplates"]);
    let Some(pod) = object.pointer_mut(pod) else { return };
    if let Some((workload, version)) = of {
        set(pod, &["metadata", "labels", WORKLOAD], json!(workload));
        set(pod, &["metadata", "labels", VERSION], json!(label_of(version)));
    }
    if ends {
        set(pod, &["metadata", "labels", ENDS], json!("true"));
    }
    let Some(Value::Object(spec)) = pod.pointer_mut("/spec") else { return };
    spec.retain(|field, _| matches!(field.as_str(), "containers" | "restartPolicy"));
    let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Value::Object(fields) = container {
            fields.retain(|field, _| matches!(field.as_str(), "name" | "image" | "ports"));
        }
    }
}

/// What has to be there for these objects and is somebody else's: their namespaces,
/// and the Gateways that routes name.
fn around(objects: &[Value], namespace: &str) -> Vec<Value> {
    let mut namespaces: BTreeSet<&str> = BTreeSet::from([namespace]);
    namespaces.extend(objects.iter().map(|it| text(it, "/metadata/namespace")));
    let mut gateways: BTreeMap<(&str, &str), BTreeMap<String, Value>> = BTreeMap::new();
    let routes = objects.iter().filter(|it| text(it, "/apiVersion").starts_with(GATEWAY_API));
    for route in routes {
        let own = match text(route, "/metadata/namespace") {
            "" => namespace,
            own => own,
        };
        let parents = route.pointer("/spec/parentRefs").and_then(Value::as_array);
        for parent in parents.into_iter().flatten() {
            if !matches!(text(parent, "/kind"), "" | "Gateway") {
                continue;
            }
            let place = match text(parent, "/namespace") {
                "" => own,
                named => named,
            };
            namespaces.insert(place);
            let listeners = gateways.entry((place, text(parent, "/name"))).or_default();
            let port = parent.get("port").and_then(Value::as_u64).unwrap_or(80);
            let name = match text(parent, "/sectionName") {
                "" => format!("http-{port}"),
                section => section.to_owned(),
            };
            let everybody = json!({"namespaces": {"from": "All"}});
            let listener =
                json!({"name": name, "port": port, "protocol": "HTTP", "allowedRoutes": everybody});
            listeners.insert(name, listener);
        }
    }
    let has = |kind: &str, place: &str, name: &str| {
        objects.iter().any(|it| {
            let own = text(it, "/metadata/namespace");
            text(it, "/kind") == kind
                && text(it, "/metadata/name") == name
                && (own == place || (own.is_empty() && (place == namespace || kind == "Namespace")))
        })
    };
    let mut found: Vec<Value> = namespaces
        .iter()
        .filter(|name| !name.is_empty() && !has("Namespace", "", name))
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .collect();
    let missing = gateways.iter().filter(|((place, name), _)| !has("Gateway", place, name));
    found.extend(missing.map(|((place, name), listeners)| {
        let listeners: Vec<&Value> = listeners.values().collect();
        json!({"apiVersion": format!("{GATEWAY_API}/v1"), "kind": "Gateway",
            "metadata": {"name": name, "namespace": place},
            "spec": {"gatewayClassName": GATEWAY_CLASS, "listeners": listeners}})
    }));
    found
}

/// A text in a document; empty when there is none.
pub(super) fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn take(document: &mut Value, pointer: &str, fields: &[&str]) {
    if let Some(Value::Object(found)) = document.pointer_mut(pointer) {
        for field in fields {
            found.remove(*field);
        }
    }
}

fn set(document: &mut Value, path: &[&str], value: Value) {
    let mut place = document;
    for field in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(fields) = place else { return };
        place = fields.entry((*field).to_owned()).or_insert(Value::Null);
    }
    *place = value;
}
