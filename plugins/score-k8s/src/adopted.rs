//! Workloads that were taken over: what Score says of them, put together with what
//! the cluster has besides, so that they look as they did.
//!
//! The rest of a workload stands in the environment's values, as `adopted.WORKLOAD`:
//!
//! | field | what it is |
//! | --- | --- |
//! | `object` | its Deployment, StatefulSet or DaemonSet, but for what Score says |
//! | `leavesReplicas` | whether somebody else says how many pods there are |
//! | `containers`, `initContainers`, `volumes` | lists in the order of the cluster's |
//! | `service` | an `object`, and a list of `ports` |
//!
//! An item of a list is `kept` as it is, or names what Score says (`score`: a
//! container, a variable, a port or a volume by its name, a mount by its path) and
//! what is different in it (`with`, a merge patch of RFC 7386). One of a container has
//! lists of its own: `env` and `volumeMounts`. What Score says and no list names comes
//! after the others; what Score says no more is gone.

use std::collections::BTreeMap;

use deployd_plugin_sdk::fit;
use minijinja::{Error, ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::baseline::merge;

/// What is kept of a workload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    object: Map<String, Value>,
    #[serde(default)]
    leaves_replicas: bool,
    #[serde(default)]
    containers: Vec<Item>,
    #[serde(default)]
    init_containers: Vec<Item>,
    #[serde(default)]
    volumes: Vec<Item>,
    service: Option<KeptService>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptService {
    object: Value,
    #[serde(default)]
    ports: Vec<Item>,
}

/// One of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Item {
    kept: Option<Value>,
    score: Option<String>,
    with: Map<String, Value>,
    env: Vec<Item>,
    volume_mounts: Vec<Item>,
}

/// What is read of a workload as baselines see it.
#[derive(Debug, Deserialize)]
struct Workload {
    annotations: Map<String, Value>,
    replicas: u32,
    #[serde(rename = "initContainers")]
    init_containers: Vec<Value>,
    containers: Vec<Value>,
    volumes: Vec<Value>,
    ports: Vec<Port>,
    checksum: Value,
}

#[derive(Debug, Deserialize)]
struct Port {
    name: Value,
    port: Value,
    target_port: Value,
    protocol: Value,
}

/// The Service, if there is one, and what runs the pods. Fails when the values have
/// another form, and names the place in them.
pub(crate) fn objects(workload: Value, kept: Value) -> Result<Value, Error> {
    let kept: Kept = fit("values/adopted", kept).map_err(|fault| refused(&fault))?;
    let workload: Workload = fit("workload", workload).map_err(|fault| refused(&fault))?;
    let service = service(&workload, &kept);
    Ok(service.into_iter().chain([controller(workload, kept)]).collect())
}

fn refused(fault: &deployd_plugin_sdk::Fault) -> Error {
    Error::new(ErrorKind::InvalidOperation, fault.to_string())
}

fn service(workload: &Workload, kept: &Kept) -> Option<Value> {
    let ports = workload.ports.iter().map(|port| {
        let Port { name, port, target_port, protocol } = port;
        json!({"name": name, "port": port, "targetPort": target_port, "protocol": protocol})
    });
    let ports: Vec<Value> = ports.collect();
    let mut object = match &kept.service {
        Some(service) => service.object.clone(),
        None if ports.is_empty() => return None,
        None => {
            let of = Value::Object(kept.object.clone());
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": of.pointer("/metadata/name")},
                "spec": {"selector": of.pointer("/spec/selector/matchLabels")},
            })
        }
    };
    let listed = kept.service.as_ref().map(|service| service.ports.as_slice());
    put(&mut object, "spec", "ports", listed_by(ports, "name", listed.unwrap_or_default(), plain));
    Some(object)
}

fn controller(workload: Workload, kept: Kept) -> Value {
    let renamed = names_of_volumes(&workload, &kept);
    let volumes = workload.volumes.into_iter().map(|mut volume| {
        if let Some(name) = text(&volume, "name").and_then(|name| renamed.get(name)) {
            let name = name.clone();
            set(&mut volume, "name", name.into());
        }
        volume
    });
    let volumes = listed_by(volumes.collect(), "name", &kept.volumes, plain);
    let containers = listed_by(workload.containers, "name", &kept.containers, container);
    let init = listed_by(workload.init_containers, "name", &kept.init_containers, container);

    let mut object = Value::Object(kept.object);
    let mut spec = field(&mut object, "spec");
    let mut template = field(&mut spec, "template");
    for (name, list) in [("initContainers", init), ("containers", containers), ("volumes", volumes)]
    {
        put(&mut template, "spec", name, list);
    }
    if !workload.checksum.is_null() {
        let checksum = json!({"annotations": {"deployd.dev/config-checksum": workload.checksum}});
        let metadata = field(&mut template, "metadata");
        set(&mut template, "metadata", merge(metadata, checksum));
    }
    set(&mut spec, "template", template);
    if !kept.leaves_replicas {
        set(&mut spec, "replicas", workload.replicas.into());
    }
    set(&mut object, "spec", spec);
    if !workload.annotations.is_empty() {
        let metadata = field(&mut object, "metadata");
        let annotations = json!({"annotations": workload.annotations});
        set(&mut object, "metadata", merge(metadata, annotations));
    }
    object
}

/// The names that volumes had, by those that Score's have: what their mounts say.
fn names_of_volumes(workload: &Workload, kept: &Kept) -> BTreeMap<String, String> {
    let lists = [
        (&workload.containers, &kept.containers),
        (&workload.init_containers, &kept.init_containers),
    ];
    let mut names = BTreeMap::new();
    for (container, item) in lists.into_iter().flat_map(|(containers, items)| {
        items.iter().filter_map(|item| Some((find(containers, "name", item)?, item)))
    }) {
        let mounts = container.get("volumeMounts").and_then(Value::as_array);
        for place in &item.volume_mounts {
            let mount = mounts.and_then(|mounts| find(mounts, "mountPath", place));
            let score = mount.and_then(|mount| text(mount, "name"));
            if let (Some(score), Some(name)) = (score, place.with.get("name")) {
                let name = name.as_str().unwrap_or_default();
                names.insert(score.to_owned(), name.to_owned());
            }
        }
    }
    names
}

/// Score's list in the order of another, with what is kept.
fn listed_by(
    given: Vec<Value>,
    key: &str,
    items: &[Item],
    patch: impl Fn(Value, &Item) -> Value,
) -> Vec<Value> {
    let mut given: Vec<Option<Value>> = given.into_iter().map(Some).collect();
    let mut list = Vec::new();
    for item in items {
        if let Some(kept) = &item.kept {
            list.push(kept.clone());
            continue;
        }
        let mut candidates = given.iter_mut();
        let found = candidates.find(|one| one.as_ref().is_some_and(|one| is(one, key, item)));
        if let Some(one) = found.and_then(Option::take) {
            list.push(patch(one, item));
        }
    }
    list.extend(given.into_iter().flatten());
    list
}

fn plain(one: Value, item: &Item) -> Value {
    merge(one, Value::Object(item.with.clone()))
}

fn container(mut one: Value, item: &Item) -> Value {
    let lists = [("env", "name", &item.env), ("volumeMounts", "mountPath", &item.volume_mounts)];
    let lists = lists.map(|(name, key, items)| {
        let Value::Array(given) = field(&mut one, name) else {
            return (name, listed_by(Vec::new(), key, items, plain));
        };
        (name, listed_by(given, key, items, plain))
    });
    let mut one = plain(one, item);
    for (name, list) in lists {
        if !list.is_empty() {
            set(&mut one, name, list.into());
        }
    }
    one
}

fn find<'a>(given: &'a [Value], key: &str, item: &Item) -> Option<&'a Value> {
    given.iter().find(|one| is(one, key, item))
}

fn is(one: &Value, key: &str, item: &Item) -> bool {
    item.score.is_some() && text(one, key) == item.score.as_deref()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// A field of an object, taken out of it; an empty object where it has none.
fn field(value: &mut Value, key: &str) -> Value {
    let field = value.as_object_mut().and_then(|fields| fields.remove(key));
    field.unwrap_or_else(|| json!({}))
}

fn set(value: &mut Value, key: &str, field: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(key.to_owned(), field);
    }
}

/// Puts a list into a field of a field, unless it is empty.
fn put(value: &mut Value, outer: &str, inner: &str, list: Vec<Value>) {
    if !list.is_empty() {
        let mut of = field(value, outer);
        set(&mut of, inner, list.into());
        set(value, outer, of);
    }
}
