//! Objects that are not taken over.

use serde_json::Value;

use super::object::{is, items, name, text};

/// Kinds that servers and controllers make, and nobody writes.
const MADE_BY_OTHERS: [(&str, &str); 8] = [
    ("", "Endpoints"),
    ("", "Event"),
    ("apps", "ControllerRevision"),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    ("metrics.k8s.io", "PodMetrics"),
    ("cilium.io", "CiliumEndpoint"),
];

/// ConfigMaps that are in each namespace by themselves.
const OF_NAMESPACES: [&str; 3] =
    ["kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt"];

/// Why an object is not ours to say; none where it is.
pub(super) fn why(object: &Value) -> Option<&'static str> {
    let has = |found: &[(&str, &str)]| {
        found.iter().any(|(group_of, kind_of)| is(object, group_of, kind_of))
    };
    if has(&MADE_BY_OTHERS) {
        return Some("servers and controllers make it");
    }
    let owners = items(object, "/metadata/ownerReferences");
    if owners.iter().any(|owner| owner.get("controller") == Some(&Value::Bool(true))) {
        return Some("it belongs to another object, which makes it");
    }
    if is(object, "", "ServiceAccount") && name(object) == "default" {
        return Some("each namespace has it by itself");
    }
    if is(object, "", "ConfigMap") && OF_NAMESPACES.contains(&name(object)) {
        return Some("each namespace has it by itself");
    }
    if object.pointer("/metadata/annotations/helm.sh~1hook").is_some() {
        return Some("it is a hook of Helm, which has run it, and is no part of the release");
    }
    if is(object, "", "Secret") {
        let secret_type = text(object, "/type").unwrap_or_default();
        return match secret_type {
            "helm.sh/release.v1" => Some("it is Helm's record of a release"),
            "kubernetes.io/service-account-token" => Some("the cluster makes it for an account"),
            "bootstrap.kubernetes.io/token" => Some("the cluster makes it for its nodes"),
            _ => None,
        };
    }
    None
}

/// Whether a claim is one that a StatefulSet among the sources has made of a template,
/// as `data-cache-0`.
pub(super) fn is_of_a_template(claim: &Value, sources: &[super::Source]) -> bool {
    let Some((stem, number)) = name(claim).rsplit_once('-') else { return false };
    is(claim, "", "PersistentVolumeClaim")
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && sources.iter().map(|source| &source.object).any(|object| {
            is(object, "apps", "StatefulSet")
                && items(object, "/spec/volumeClaimTemplates").iter().any(|template| {
                    let template = text(template, "/metadata/name").unwrap_or_default();
                    stem == format!("{template}-{}", name(object))
                })
        })
}

/// Why an object can't be carried over, and what to do; none where it can.
pub(super) fn impossible(object: &Value) -> Option<(&'static str, &'static str)> {
    let is_terminating = object.pointer("/metadata/deletionTimestamp").is_some();
    if is_terminating {
        return Some(("it is being deleted", "nothing"));
    }
    if text(object, "/metadata/generateName").is_some() && name(object).is_empty() {
        return Some(("it has no name, but one that a server makes up", "give it a name"));
    }
    None
}
