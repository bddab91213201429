//! Objects that are carried as they are, by a resource definition.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::escape::{document, has_template};
use super::object::{group, is, is_here, kind, name, text};
use super::{Options, route, secrets};
use crate::secret::has_marker;

/// Where objects of the environment go.
const NAMESPACE: &str = "${resources.k8s-namespace.name}";

/// Kinds of the cluster as a whole, as far as they are met here.
const OF_THE_CLUSTER: [&str; 13] = [
    "APIService",
    "ClusterIssuer",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
];

/// What a definition says of an object.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) resource_type: &'static str,
    /// For the driver `template`.
    pub(super) inputs: BTreeMap<String, Value>,
    /// What a workload asks for.
    pub(super) params: BTreeMap<String, Value>,
}

/// The type of the resource that an object is.
fn resource_type(object: &Value) -> &'static str {
    match (group(object), kind(object)) {
        ("", "PersistentVolumeClaim") => "volume",
        ("", "ConfigMap") => "config",
        ("", "Secret") => "secret",
        _ if route::is_route(object) => "route",
        _ => "kubernetes-object",
    }
}

/// Has a definition carry an object. Fails where none can: why, and what to do.
pub(super) fn carry(object: &Value, options: &Options) -> Result<Carried, (String, String)> {
    if has_mark(object) {
        return Err((
            "a text in it looks like a reference to a secret, which nobody may write".to_owned(),
            "leave it to who applies it now, or change the text".to_owned(),
        ));
    }
    let mut params = BTreeMap::new();
    let mut wanted = match is(object, "", "Secret") {
        true => secrets::without_values(object)?,
        false => object.clone(),
    };
    // What says no namespace goes to the environment's by itself.
    if let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut)
        && is_here(object, &options.namespace)
    {
        metadata.remove("namespace");
    }
    let mut templated = document(&wanted);
    let mut values = None;
    if is(object, "", "Secret") {
        // Its keys are all that is a template in it.
        if has_template(&templated) {
            return Err((
                "its labels or annotations hold a template".to_owned(),
                "leave it to who applies it now".to_owned(),
            ));
        }
        secrets::refer(&mut templated, object);
    } else if has_template(&wanted) {
        values = Some(templated);
        templated = Value::Null;
    } else if let Some((found, template)) = route::params(object, templated.clone()) {
        (params, templated) = (found, template);
    }
    let manifest = match &values {
        // Given as a value, it is rendered by nobody.
        Some(_) => json!("{{ values.object }}"),
        None => {
            let here = is_here(object, &options.namespace) && !is_of_the_cluster(object);
            if let (true, Some(metadata)) =
                (here, templated.get_mut("metadata").and_then(Value::as_object_mut))
            {
                metadata.insert("namespace".to_owned(), NAMESPACE.into());
            }
            templated
        }
    };
    let mut inputs = BTreeMap::from([("manifests".to_owned(), json!([manifest]))]);
    inputs.extend(values.map(|object| ("values".to_owned(), json!({"object": object}))));
    let outputs = outputs(object, !params.is_empty());
    if !outputs.is_empty() {
        inputs.insert("outputs".to_owned(), Value::Object(outputs));
    }
    Ok(Carried { resource_type: resource_type(object), inputs, params })
}

/// What Score documents can refer to.
fn outputs(object: &Value, has_params: bool) -> Map<String, Value> {
    let name = name(object);
    let source = match resource_type(object) {
        "volume" => json!(name),
        "config" => json!({"configMap": {"name": name}}),
        "secret" => json!({"secret": {"secretName": name}}),
        "route" if has_params => {
            let scheme = if object.pointer("/spec/tls").is_some() { "https" } else { "http" };
            let url = format!("{scheme}://{{{{ params.host }}}}{{{{ params.path }}}}");
            return Map::from_iter([("url".to_owned(), url.into())]);
        }
        _ => return Map::new(),
    };
    Map::from_iter([("name".to_owned(), name.into()), ("source".to_owned(), source)])
}

fn is_of_the_cluster(object: &Value) -> bool {
    OF_THE_CLUSTER.contains(&kind(object))
}

fn has_mark(value: &Value) -> bool {
    match value {
        Value::String(text) => has_marker(text),
        Value::Array(items) => items.iter().any(has_mark),
        Value::Object(fields) => {
            fields.iter().any(|(key, field)| has_marker(key) || has_mark(field))
        }
        _ => false,
    }
}

/// What whoever takes it over should know: the field, why, and what to do.
pub(super) fn caution(
    object: &Value,
    options: &Options,
) -> Option<(&'static str, &'static str, &'static str)> {
    if is_of_the_cluster(object) {
        return Some((
            "",
            "it is of the whole cluster, and would go with this environment",
            "keep it in one environment only, or leave it to who looks after the cluster: remove its definition and its line in the application",
        ));
    }
    if !is_here(object, &options.namespace) {
        return Some((
            "metadata.namespace",
            "it is in another namespace than the environment",
            "look whether it belongs to another environment; here it stays where it is",
        ));
    }
    if is(object, "batch", "Job") {
        return Some((
            "",
            "a Job runs once, and can't be changed",
            "if it belongs to each version, make its container one of the Score document with the annotation `job.deployd.dev/NAME: before`, and remove this definition",
        ));
    }
    let is_pod = is(object, "", "Pod") || text(object, "/kind") == Some("ReplicaSet");
    is_pod.then_some((
        "",
        "nobody makes its pods anew but who has made it",
        "make a Deployment of it, and propose again",
    ))
}
