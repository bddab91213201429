//! Second Ingresses with the canary annotations of ingress-nginx.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::name::copy_name;
use super::parts::{is, name, namespace, text};
use super::tracks::WorkloadTracks;
use crate::plan::Manifests;

/// What the names of ingress-nginx' annotations begin with.
const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// The annotation that named the class before there was a field for it.
const CLASS: &str = "kubernetes.io/ingress.class";

/// Whether an Ingress is for ingress-nginx.
pub(super) fn is_nginx(object: &Value) -> bool {
    let class = match text(object, "/spec/ingressClassName") {
        "" => text(object, "/metadata/annotations/kubernetes.io~1ingress.class"),
        class => class,
    };
    class == "nginx"
}

/// Whether an object is an Ingress with a path to one of these Services.
pub(super) fn leads_to(
    manifests: &Manifests,
    object: &Value,
    here: &str,
    services: &BTreeSet<&str>,
) -> bool {
    is(object, "networking.k8s.io", "Ingress")
        && namespace(manifests, object) == here
        && !rules_to(object, services, "").is_empty()
}

/// The name of a track's Ingress beside one that leads to a workload; one that
/// leads to others as well may get a second one for each.
pub(super) fn canary_name(
    object: &Value,
    services: &BTreeSet<&str>,
    workload: &str,
    track: &str,
) -> String {
    if is_theirs_alone(object, services) {
        return copy_name(name(object), track);
    }
    copy_name(&format!("{}-{workload}", name(object)), track)
}

/// The second Ingress: the same hosts and paths, as far as they lead to these
/// Services. Annotations that are not for ingress-nginx stay away: others who read
/// Ingresses (for names, for certificates) would do their work twice.
pub(super) fn canary(
    object: &Value,
    services: &BTreeSet<&str>,
    workload: &str,
    track: &str,
    tracks: &WorkloadTracks,
    weights: &BTreeMap<&str, u8>,
) -> Value {
    let mut annotations: Map<String, Value> = Map::new();
    let before = object.pointer("/metadata/annotations").and_then(Value::as_object);
    for (key, value) in before.into_iter().flatten() {
        if key.starts_with(PREFIX) || key == CLASS {
            annotations.insert(key.clone(), value.clone());
        }
    }
    let mut put = |key: &str, value: String| {
        annotations.insert(format!("{PREFIX}{key}"), value.into());
    };
    put("canary", "true".to_owned());
    put("canary-weight", weights.get(track).copied().unwrap_or(0).to_string());
    if let Some(header) = tracks.headers.iter().find(|header| header.track == track) {
        put("canary-by-header", header.name.clone());
        if let Some(value) = &header.value {
            put("canary-by-header-value", value.clone());
        }
        if let Some(pattern) = &header.pattern {
            // There it is enough that a part fits.
            put("canary-by-header-pattern", format!("^(?:{pattern})$"));
        }
    }
    let mut found = object.clone();
    let mut metadata = json!({
        "name": canary_name(object, services, workload, track),
        "annotations": annotations,
    });
    for key in ["namespace", "labels"] {
        if let Some(value) = object.pointer(&format!("/metadata/{key}")) {
            super::parts::put(&mut metadata, &[], key, value.clone());
        }
    }
    let mut spec = json!({"rules": rules_to(object, services, track)});
    if let Some(class) = object.pointer("/spec/ingressClassName") {
        super::parts::put(&mut spec, &[], "ingressClassName", class.clone());
    }
    if let Some(fields) = found.as_object_mut() {
        fields.insert("metadata".to_owned(), metadata);
        fields.insert("spec".to_owned(), spec);
    }
    found
}

/// Rules with those paths that lead to these Services, to their copies for a track.
fn rules_to(object: &Value, services: &BTreeSet<&str>, track: &str) -> Vec<Value> {
    let rules = object.pointer("/spec/rules").and_then(Value::as_array);
    let of_rule = |rule: &Value| {
        let paths: Vec<Value> = paths(rule)
            .iter()
            .filter(|path| services.contains(text(path, "/backend/service/name")))
            .map(|path| {
                let mut path = path.clone();
                if let (Some(found), false) =
                    (path.pointer_mut("/backend/service/name"), track.is_empty())
                {
                    *found = copy_name(found.as_str().unwrap_or_default(), track).into();
                }
                path
            })
            .collect();
        let mut rule = rule.clone();
        *rule.pointer_mut("/http/paths")? = Value::Array(paths);
        Some(rule)
    };
    let rules = rules.into_iter().flatten().filter_map(of_rule);
    rules.filter(|rule| !paths(rule).is_empty()).collect()
}

fn paths(rule: &Value) -> &[Value] {
    rule.pointer("/http/paths").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is_theirs_alone(object: &Value, services: &BTreeSet<&str>) -> bool {
    let rules = object.pointer("/spec/rules").and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .flat_map(paths)
        .all(|path| services.contains(text(path, "/backend/service/name")))
}
