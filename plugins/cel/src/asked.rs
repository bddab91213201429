//! What a rule is asked for: parts of the input, with their places.

use serde::Deserialize;
use serde_json::Value;

/// Which parts of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Each {
    #[default]
    Input,
    Container,
    Pod,
    Object,
    Artifact,
    Resource,
    Plugin,
    Workload,
}

/// A part of the input.
pub(crate) struct Asked<'a> {
    /// Where it is, as a JSON pointer.
    pub(crate) path: String,
    /// Names that expressions call it, and what it is in, by.
    pub(crate) named: Vec<(&'static str, &'a Value)>,
}

/// Where the spec of a pod is in an object of a kind that makes pods.
fn pod_of(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("/spec"),
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "Job"
        | "ReplicationController" => Some("/spec/template/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

/// All such parts, in the order of the input.
pub(crate) fn all(each: Each, input: &Value) -> Vec<Asked<'_>> {
    match each {
        Each::Input => vec![Asked { path: String::new(), named: Vec::new() }],
        Each::Object => children(input, "objects", "object"),
        Each::Artifact => children(input, "artifacts", "artifact"),
        Each::Resource => children(input, "resources", "resource"),
        Each::Plugin => children(input, "plugins", "plugin"),
        Each::Workload => children(input, "workloads", "workload"),
        Each::Pod => pods(input),
        Each::Container => containers(input),
    }
}

/// Elements of a list, or values of a map.
fn children<'a>(input: &'a Value, field: &str, name: &'static str) -> Vec<Asked<'a>> {
    let asked = |key: &str, value: &'a Value| Asked {
        path: format!("/{field}/{}", key.replace('~', "~0").replace('/', "~1")),
        named: vec![(name, value)],
    };
    match input.get(field) {
        Some(Value::Array(list)) => {
            list.iter().enumerate().map(|(at, value)| asked(&at.to_string(), value)).collect()
        }
        Some(Value::Object(map)) => map.iter().map(|(key, value)| asked(key, value)).collect(),
        _ => Vec::new(),
    }
}

fn pods(input: &Value) -> Vec<Asked<'_>> {
    let objects = children(input, "objects", "object");
    objects
        .into_iter()
        .filter_map(|mut asked| {
            let (_, object) = asked.named.first()?;
            let below = pod_of(object.get("kind")?.as_str()?)?;
            let pod = object.pointer(below)?;
            asked.path.push_str(below);
            asked.named.push(("pod", pod));
            Some(asked)
        })
        .collect()
}

fn containers(input: &Value) -> Vec<Asked<'_>> {
    let mut found = Vec::new();
    for pod in pods(input) {
        let Some((_, spec)) = pod.named.last() else { continue };
        for list in ["initContainers", "containers"] {
            let containers = spec.get(list).and_then(Value::as_array).into_iter().flatten();
            for (at, container) in containers.enumerate() {
                let mut named = pod.named.clone();
                named.push(("container", container));
                found.push(Asked { path: format!("{}/{list}/{at}", pod.path), named });
            }
        }
    }
    found
}
