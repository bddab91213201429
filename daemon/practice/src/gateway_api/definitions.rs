//! The custom resource definitions of the Gateway API's standard channel, with the
//! fields that are in use; expressions that relate fields to each other are left out.

use serde_json::{Value, json};

use super::GROUP;

/// The release that they follow.
const RELEASE: &str = "v1.3.0";

/// All of them.
pub(super) fn all() -> [Value; 3] {
    let column =
        |name: &str, kind: &str, path: &str| json!({"name": name, "type": kind, "jsonPath": path});
    let age = column("Age", "date", ".metadata.creationTimestamp");
    [
        definition(
            "GatewayClass",
            "gatewayclasses",
            "gc",
            "Cluster",
            &class(),
            &[column("Controller", "string", ".spec.controllerName"), age.clone()],
        ),
        definition(
            "Gateway",
            "gateways",
            "gtw",
            "Namespaced",
            &gateway(),
            &[
                column("Class", "string", ".spec.gatewayClassName"),
                column("Address", "string", ".status.addresses[*].value"),
                column(
                    "Programmed",
                    "string",
                    ".status.conditions[?(@.type==\"Programmed\")].status",
                ),
                age.clone(),
            ],
        ),
        definition(
            "HTTPRoute",
            "httproutes",
            "",
            "Namespaced",
            &route(),
            &[column("Hostnames", "string", ".spec.hostnames"), age],
        ),
    ]
}

fn definition(
    kind: &str,
    plural: &str,
    short: &str,
    scope: &str,
    spec: &Value,
    columns: &[Value],
) -> Value {
    let singular = kind.to_lowercase();
    let short: Vec<&str> = Some(short).filter(|short| !short.is_empty()).into_iter().collect();
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}"), "annotations": {
            "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/3328",
            "gateway.networking.k8s.io/bundle-version": RELEASE,
            "gateway.networking.k8s.io/channel": "standard"}},
        "spec": {"group": GROUP, "scope": scope,
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": singular, "shortNames": short, "categories": ["gateway-api"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}}, "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"],
                    "properties": {"spec": spec, "status": {"type": "object",
                        "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 253})
}

fn port() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 65535})
}

fn hostname() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 253,
        "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"})
}

/// An object of which nobody here looks at the parts.
fn anything() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn list(of: &Value, most: usize) -> Value {
    json!({"type": "array", "maxItems": most, "x-kubernetes-list-type": "atomic", "items": of})
}

fn class() -> Value {
    json!({"type": "object", "required": ["controllerName"], "properties": {
        "controllerName": name(), "description": text(), "parametersRef": anything()}})
}

fn gateway() -> Value {
    let from =
        json!({"type": "string", "default": "Same", "enum": ["All", "Selector", "Same", "None"]});
    let listener = json!({"type": "object", "required": ["name", "port", "protocol"], "properties": {
        "name": name(), "hostname": hostname(), "port": port(), "protocol": text(),
        "tls": anything(),
        "allowedRoutes": {"type": "object", "default": {"namespaces": {"from": "Same"}},
            "properties": {"kinds": list(&anything(), 8),
                "namespaces": {"type": "object", "default": {"from": "Same"}, "properties": {
                    "from": from, "selector": anything()}}}}}});
    json!({"type": "object", "required": ["gatewayClassName", "listeners"], "properties": {
        "gatewayClassName": name(), "addresses": list(&anything(), 16),
        "infrastructure": anything(),
        "listeners": {"type": "array", "minItems": 1, "maxItems": 64, "items": listener,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}}})
}

/// References to a Service, with the defaults of the API.
fn backend() -> Value {
    json!({"group": {"type": "string", "default": ""},
        "kind": {"type": "string", "default": "Service"},
        "name": name(), "namespace": name(), "port": port()})
}

fn filter() -> Value {
    json!({"type": "object", "required": ["type"], "properties": {
        "type": {"type": "string", "enum": ["RequestHeaderModifier", "ResponseHeaderModifier",
            "RequestMirror", "RequestRedirect", "URLRewrite", "ExtensionRef"]},
        "requestMirror": {"type": "object", "required": ["backendRef"], "properties": {
            "backendRef": {"type": "object", "required": ["name"], "properties": backend()},
            "percent": {"type": "integer", "minimum": 0, "maximum": 100},
            "fraction": anything()}},
        "requestHeaderModifier": anything(), "responseHeaderModifier": anything(),
        "requestRedirect": anything(), "urlRewrite": anything(), "extensionRef": anything()}})
}

/// A condition on a header or a parameter.
fn condition() -> Value {
    json!({"type": "array", "maxItems": 16, "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name", "value"], "properties": {
            "type": {"type": "string", "default": "Exact", "enum": ["Exact", "RegularExpression"]},
            "name": {"type": "string", "minLength": 1, "maxLength": 256},
            "value": {"type": "string", "minLength": 1, "maxLength": 4096}}}})
}

fn route() -> Value {
    let parent = json!({"type": "object", "required": ["name"], "properties": {
        "group": {"type": "string", "default": GROUP},
        "kind": {"type": "string", "default": "Gateway"},
        "name": name(), "namespace": name(), "port": port(), "sectionName": name()}});
    let everything = json!({"path": {"type": "PathPrefix", "value": "/"}});
    let wanted = json!({"type": "object", "properties": {
        "path": {"type": "object", "default": {"type": "PathPrefix", "value": "/"}, "properties": {
            "type": {"type": "string", "default": "PathPrefix",
                "enum": ["Exact", "PathPrefix", "RegularExpression"]},
            "value": {"type": "string", "default": "/", "maxLength": 1024}}},
        "headers": condition(), "queryParams": condition(),
        "method": {"type": "string", "enum": ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT",
            "OPTIONS", "TRACE", "PATCH"]}}});
    let mut backend = backend();
    for (key, field) in [
        ("weight", json!({"type": "integer", "default": 1, "minimum": 0, "maximum": 1_000_000})),
        ("filters", list(&filter(), 16)),
    ] {
        crate::json::put(&mut backend, &[key], field);
    }
    let backend = json!({"type": "object", "required": ["name"], "properties": backend});
    let mut matches = list(&wanted, 64);
    crate::json::put(&mut matches, &["default"], json!([everything]));
    let rule = json!({"type": "object", "properties": {
        "name": name(), "matches": matches, "filters": list(&filter(), 16),
        "backendRefs": list(&backend, 16), "timeouts": anything(), "retry": anything(),
        "sessionPersistence": anything()}});
    let mut rules = list(&rule, 16);
    crate::json::put(&mut rules, &["default"], json!([{"matches": [everything]}]));
    json!({"type": "object", "properties": {
        "parentRefs": list(&parent, 32), "hostnames": list(&hostname(), 16), "rules": rules}})
}
