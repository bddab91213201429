//! Rendered objects, without what says nothing about them: what a server adds,
//! and what says which deployment of which environment they are of.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::resources::{in_words, replaced};
use crate::plan::{Manifests, Plan};
use crate::ports::ObjectRef;

/// Fields of metadata that a server writes.
pub(crate) const OF_SERVERS: [&str; 7] = [
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Labels and annotations that templaters add: names of what is compared, and a
/// checksum of what is compared itself.
pub(crate) const OWN: [&str; 4] = [
    "deployd.dev/application",
    "deployd.dev/environment",
    "deployd.dev/workload",
    "deployd.dev/config-checksum",
];

/// A label that tells environments apart, and that others than us use, too.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// Maps of labels and annotations, wherever they are in an object.
const LABELS: [&str; 4] = ["labels", "annotations", "matchLabels", "selector"];

/// Objects by names for people; the namespace is in a name where it is not that
/// of the environment, so that objects of two environments meet.
pub(super) fn documents(plan: &Plan, manifests: &Manifests) -> BTreeMap<String, Value> {
    let instance = format!("{}-{}", plan.environment.application, plan.environment.environment);
    let mut documents = BTreeMap::new();
    for manifest in manifests.all() {
        let Some(reference) = ObjectRef::of(&manifest.object) else { continue };
        let mut object = replaced(&manifest.object, &|text| in_words(plan, text));
        quieten(&mut object);
        without_own(&mut object, &instance);
        documents.insert(name(&reference, &manifests.namespace), object);
    }
    documents
}

fn name(reference: &ObjectRef, usual: &str) -> String {
    let ObjectRef { api_version, kind, namespace, name } = reference;
    let namespace = namespace.as_deref().filter(|namespace| *namespace != usual);
    // Kinds of different groups may have the same name.
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = match group {
        "" | "apps" | "batch" => kind.clone(),
        group => format!("{kind}.{group}"),
    };
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// Takes away what a server writes.
fn quieten(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        OF_SERVERS.iter().for_each(|field| {
            metadata.remove(*field);
        });
    }
}

fn without_own(value: &mut Value, instance: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| without_own(item, instance)),
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                if let Some(labels) =
                    value.as_object_mut().filter(|_| LABELS.contains(&key.as_str()))
                {
                    clear(labels, instance);
                }
                without_own(value, instance);
            }
        }
        _ => {}
    }
}

fn clear(labels: &mut Map<String, Value>, instance: &str) {
    labels.retain(|key, value| {
        let is_instance = key == INSTANCE && value.as_str() == Some(instance);
        !is_instance && !OWN.contains(&key.as_str())
    });
}
