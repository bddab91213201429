//! A Deployment, StatefulSet or DaemonSet as a Score document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::container::{self, Role};
use super::names::{Names, is_label};
use super::object::{group, items, kind, text};
use super::volumes::{Offered, Volumes};
use crate::score::{Before, BeforeReady, Container, SCORE_VERSION, Workload, WorkloadMetadata};

/// Annotations that mean something to deployd stay where they are.
const OWN: &str = "deployd.dev/";

/// A controller that was read.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) workload: Workload,
    /// What Score can't say: see `adopted.rs` of the templater `score-k8s`.
    pub(super) kept: Map<String, Value>,
    /// The fields of that.
    pub(super) besides: Vec<String>,
    pub(super) replicas: Option<u32>,
    /// The objects that it mounts by way of resources: kind and name.
    pub(super) uses: BTreeSet<(String, String)>,
}

/// Whether it runs pods that Score can say.
pub(super) fn is_controller(object: &Value) -> bool {
    group(object) == "apps" && matches!(kind(object), "Deployment" | "StatefulSet" | "DaemonSet")
}

/// Kinds and names of what others scale.
pub(super) fn scaled(others: &[super::Source]) -> BTreeSet<(String, String)> {
    let targets = others.iter().filter_map(|source| {
        let usual = match kind(&source.object) {
            "HorizontalPodAutoscaler" => None,
            "ScaledObject" => Some("Deployment"),
            _ => return None,
        };
        let of = source.object.pointer("/spec/scaleTargetRef")?;
        let kind = of.get("kind").and_then(Value::as_str).or(usual)?;
        Some((kind.to_owned(), of.get("name").and_then(Value::as_str)?.to_owned()))
    });
    targets.collect()
}

/// Takes the number of pods away; whether there was one.
pub(super) fn without_replicas(object: &mut Value) -> bool {
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    spec.is_some_and(|spec| spec.remove("replicas").is_some())
}

/// Reads a controller that Score calls `called`. Fails where it has no containers that
/// Score could say: the field, and why.
pub(super) fn take(
    object: &Value,
    called: &str,
    offered: &Offered,
) -> Result<Taken, (String, String)> {
    const POD: &str = "/spec/template/spec";
    let pod = object.pointer(POD).filter(|pod| pod.is_object());
    let pod = pod.ok_or_else(|| wrong("spec.template.spec", "it has no pods"))?;
    let lists = [
        ("initContainers", items(pod, "/initContainers")),
        ("containers", items(pod, "/containers")),
    ];
    if items(pod, "/containers").is_empty() {
        return Err(wrong("spec.template.spec.containers", "it has no containers"));
    }
    let all = || lists.iter().flat_map(|(_, list)| list.iter());
    let mounted: BTreeSet<String> = all().flat_map(container::mounted).collect();
    let volumes = Volumes::of(pod, &mounted, offered);
    let keys = keys(all())?;
    let mut containers: BTreeMap<String, Container> = BTreeMap::new();
    let mut kept = Map::new();
    let mut besides = volumes.besides.clone();
    for (field, list) in lists {
        let mut items = Vec::new();
        for source in list {
            let called = text(source, "/name").and_then(|name| keys.get(name));
            let Some(key) = called else { continue };
            let role = role(field, source);
            let ports = ports(source);
            let taken =
                container::take(source, key, role, &ports, &volumes).map_err(|(of, why)| {
                    wrong(&format!("spec.template.spec.{field}[{key}].{of}"), why)
                })?;
            besides.extend(
                taken.besides.iter().map(|of| {
                    format!("spec.template.spec.{}", of.replacen("containers", field, 1))
                }),
            );
            items.push(taken.kept);
            containers.insert(key.clone(), taken.container);
        }
        if !is_plain(&items) {
            kept.insert(field.to_owned(), items.into());
        }
    }
    in_order(items(pod, "/initContainers"), items(pod, "/containers"), &keys, &mut containers);
    if !volumes.kept.is_empty() {
        kept.insert("volumes".to_owned(), volumes.kept.into());
    }

    let mut rest = object.clone();
    let replicas = replicas(&mut rest);
    if replicas.is_none() {
        kept.insert("leavesReplicas".to_owned(), true.into());
    }
    let annotations = annotations(&mut rest);
    if let Some(pod) = rest.pointer_mut(POD).and_then(Value::as_object_mut) {
        for field in ["containers", "initContainers", "volumes"] {
            pod.remove(field);
        }
        besides.extend(pod.keys().map(|field| format!("spec.template.spec.{field}")));
    }
    if let Some(metadata) = rest.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("namespace");
        let said = ["name"];
        let more = metadata.keys().filter(|field| !said.contains(&field.as_str()));
        besides.extend(more.map(|field| format!("metadata.{field}")));
    }
    if let Some(spec) = rest.get("spec").and_then(Value::as_object) {
        let more = spec.keys().filter(|field| *field != "template");
        besides.extend(more.map(|field| format!("spec.{field}")));
    }
    if let Some(metadata) = rest.pointer("/spec/template/metadata").and_then(Value::as_object) {
        besides.extend(metadata.keys().map(|field| format!("spec.template.metadata.{field}")));
    }
    besides.sort();
    kept.insert("object".to_owned(), rest);
    let metadata =
        WorkloadMetadata { name: called.to_owned(), annotations, other: BTreeMap::new() };
    let workload = Workload {
        api_version: SCORE_VERSION.to_owned(),
        metadata,
        service: None,
        containers,
        resources: BTreeMap::new(),
    };
    Ok(Taken { workload, kept, besides, replicas, uses: volumes.uses })
}

fn wrong(field: &str, why: &str) -> (String, String) {
    (field.to_owned(), why.to_owned())
}

/// The names that containers have in Score, by their own.
fn keys<'v>(
    all: impl Iterator<Item = &'v Value>,
) -> Result<BTreeMap<&'v str, String>, (String, String)> {
    let mut names = Names::default();
    let mut keys = BTreeMap::new();
    let (fitting, others): (Vec<&Value>, Vec<&Value>) =
        all.partition(|source| text(source, "/name").is_some_and(is_label));
    for source in fitting.into_iter().chain(others) {
        let name = text(source, "/name");
        let name = name.ok_or_else(|| wrong("spec.template.spec.containers", "one has no name"))?;
        if keys.insert(name, names.unique(name)).is_some() {
            let why = format!("two are called {name}");
            return Err(wrong("spec.template.spec.containers", &why));
        }
    }
    Ok(keys)
}

fn role(list: &str, source: &Value) -> Role {
    match (list, text(source, "/restartPolicy")) {
        ("initContainers", Some("Always")) => Role::Sidecar,
        ("initContainers", _) => Role::Init,
        _ => Role::Main,
    }
}

/// Ports of a container by their names.
fn ports(source: &Value) -> BTreeMap<&str, u16> {
    let ports = items(source, "/ports").iter().filter_map(|port| {
        let number = port.get("containerPort")?.as_u64()?;
        Some((text(port, "/name")?, u16::try_from(number).ok()?))
    });
    ports.collect()
}

/// Init containers run one after the other, before the others.
fn in_order(
    init: &[Value],
    main: &[Value],
    keys: &BTreeMap<&str, String>,
    containers: &mut BTreeMap<String, Container>,
) {
    let key = |source: &Value| text(source, "/name").and_then(|name| keys.get(name)).cloned();
    let after = init.iter().skip(1).chain(main.first());
    for (source, next) in init.iter().zip(after) {
        let (Some(this), Some(next)) = (key(source), key(next)) else { continue };
        let ready = match role("initContainers", source) {
            Role::Sidecar => BeforeReady::Started,
            _ => BeforeReady::Complete,
        };
        if let Some(container) = containers.get_mut(&this) {
            container.before.insert(next, Before { ready });
        }
    }
}

/// Whether a list says no more than Score does, in the order of the names.
fn is_plain(items: &[Value]) -> bool {
    let names: Option<Vec<&str>> = items
        .iter()
        .map(|item| item.as_object().filter(|item| item.len() == 1)?.get("score")?.as_str())
        .collect();
    names.is_some_and(|names| names.is_sorted())
}

/// The number of pods, taken out of the object.
fn replicas(object: &mut Value) -> Option<u32> {
    let spec = object.get_mut("spec")?.as_object_mut()?;
    let replicas = spec.get("replicas")?.as_u64().and_then(|found| u32::try_from(found).ok())?;
    spec.remove("replicas");
    Some(replicas)
}

/// The annotations, taken out of the object, unless some mean something to deployd.
fn annotations(object: &mut Value) -> BTreeMap<String, String> {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return BTreeMap::new();
    };
    let found = metadata.get("annotations").and_then(Value::as_object);
    let texts: Option<BTreeMap<String, String>> = found.and_then(|found| {
        let text = |(key, value): (&String, &Value)| {
            let own = key.contains(OWN);
            Some((key.clone(), value.as_str().filter(|_| !own)?.to_owned()))
        };
        found.iter().map(text).collect()
    });
    if texts.is_some() {
        metadata.remove("annotations");
    }
    texts.unwrap_or_default()
}
