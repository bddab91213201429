//! What the baseline sees of a workload.

use crate::container;
use crate::job::{Job, Jobs};
use crate::order::{self, Role};
use crate::payload::Payload;
use crate::score::Workload;
use crate::volumes::Volumes;
use deployd_plugin_sdk::templater::Input;
use deployd_plugin_sdk::{Fault, Scope, name};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const REPLICAS: &str = "deployd.dev/replicas";

/// Tells pods that serve everybody from copies of them that are tried out; whoever
/// copies a workload for a rollout writes another value.
const TRACK: (&str, &str) = ("deployd.dev/track", "stable");

/// One workload, as the baseline sees it.
#[derive(Serialize)]
pub(crate) struct Context<'a> {
    name: &'a str,
    metadata: Metadata<'a>,
    annotations: &'a BTreeMap<String, String>,
    labels: Map<String, Value>,
    selector: Map<String, Value>,
    replicas: u32,
    #[serde(rename = "initContainers")]
    init_containers: Vec<Value>,
    containers: Vec<Value>,
    volumes: Vec<Value>,
    jobs: Vec<Job>,
    ports: Vec<Port<'a>>,
    config_map: Value,
    secret: Value,
    checksum: Value,
    resources: &'a Map<String, Value>,
}

/// A Score document's metadata, as it is.
#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    annotations: &'a BTreeMap<String, String>,
    #[serde(flatten)]
    other: &'a Map<String, Value>,
}

/// A port of the service.
#[derive(Serialize)]
struct Port<'a> {
    name: &'a str,
    port: u16,
    target_port: u16,
    protocol: &'a str,
}

/// The context of one workload; `path` is where it stands in the input.
pub(crate) fn context<'a>(
    path: &str,
    workload: &'a Workload,
    input: &Input<Value>,
) -> Result<Context<'a>, Fault> {
    let name = &workload.metadata.name;
    let mut payload = Payload::new(name);
    let mut volumes = Volumes::default();
    let mut main = Vec::new();
    let mut init = Vec::new();
    let once = Jobs::of(path, workload)?;
    let mut jobs = Vec::new();
    let selector = selector(name, &input.scope);
    let labels = labels(name, &selector, &input.scope);
    let path_of_containers = format!("{path}/containers");
    for (key, container, role) in order::of(&path_of_containers, &workload.containers)? {
        let path = format!("{path_of_containers}/{key}");
        if once.has(key) {
            let mut volumes = Volumes::default();
            let role = Role::Init;
            let object =
                container::kubernetes(&path, key, container, role, &mut payload, &mut volumes)?;
            let mut labels = labels.clone();
            labels.remove(TRACK.0);
            jobs.push(once.job(key, object, volumes.into_list(&payload), labels));
            continue;
        }
        let object =
            container::kubernetes(&path, key, container, role, &mut payload, &mut volumes)?;
        if role == Role::Main { &mut main } else { &mut init }.push(object);
    }
    if main.is_empty() {
        return Err(Fault::invalid(path_of_containers, "at least one container"));
    }
    let annotations = &workload.metadata.annotations;
    Ok(Context {
        name,
        metadata: Metadata { name, annotations, other: &workload.metadata.other },
        annotations,
        labels,
        selector,
        replicas: replicas(path, workload, &input.values)?,
        init_containers: init,
        containers: main,
        config_map: payload.config_map(),
        secret: payload.secret(),
        checksum: payload.checksum(),
        volumes: volumes.into_list(&payload),
        jobs,
        ports: ports(workload),
        resources: &workload.resources,
    })
}

/// Never changes for a workload: Kubernetes refuses another selector.
fn selector(workload: &str, scope: &Scope) -> Map<String, Value> {
    let instance = name::dns_label(&format!("{}-{}", scope.application, scope.environment));
    Map::from_iter([
        ("app.kubernetes.io/name".to_owned(), workload.into()),
        ("app.kubernetes.io/instance".to_owned(), instance.into()),
        (TRACK.0.to_owned(), TRACK.1.into()),
    ])
}

fn labels(workload: &str, selector: &Map<String, Value>, scope: &Scope) -> Map<String, Value> {
    let mut labels = selector.clone();
    let application = name::dns_label(&scope.application);
    for (key, value) in [
        ("app.kubernetes.io/part-of", application.clone()),
        ("app.kubernetes.io/managed-by", "deployd".to_owned()),
        ("deployd.dev/application", application),
        ("deployd.dev/environment", name::dns_label(&scope.environment)),
        ("deployd.dev/workload", workload.to_owned()),
    ] {
        labels.insert(key.to_owned(), value.into());
    }
    labels
}

/// The environment's values win over the developer's annotation.
fn replicas(path: &str, workload: &Workload, values: &Value) -> Result<u32, Fault> {
    let name = &workload.metadata.name;
    if let Some(value) = values.get("replicas").and_then(|replicas| replicas.get(name)) {
        return value.as_u64().and_then(|replicas| u32::try_from(replicas).ok()).ok_or_else(|| {
            Fault::invalid(format!("/values/replicas/{name}"), "a number, 0 or more")
        });
    }
    match workload.metadata.annotations.get(REPLICAS) {
        None => Ok(1),
        Some(text) => text.parse().map_err(|_| {
            let path = format!("{path}/metadata/annotations/deployd.dev~1replicas");
            Fault::invalid(path, "a number, 0 or more")
        }),
    }
}

fn ports(workload: &Workload) -> Vec<Port<'_>> {
    let ports = workload.service.ports.iter();
    ports
        .map(|(name, port)| Port {
            name,
            port: port.port,
            target_port: port.target_port.unwrap_or(port.port),
            protocol: port.protocol.as_deref().unwrap_or("TCP"),
        })
        .collect()
}
