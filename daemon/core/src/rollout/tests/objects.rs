//! Manifests of two versions.

use serde_json::{Value, json};

use crate::plan::{Manifest, Manifests, ObjectOwner};

/// A workload as score-k8s renders it, but for the order of its objects.
pub(super) fn workload(name: &str, version: &str, replicas: u32) -> Vec<Manifest> {
    let selector = json!({"app.kubernetes.io/name": name, "deployd.dev/track": "stable"});
    let mut labels = selector.clone();
    labels["team"] = json!("shop");
    let metadata = |name: String| json!({"name": name, "labels": labels});
    let objects = [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(format!("{name}-files")),
            "data": {"version": version}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(format!("{name}-secrets")),
            "stringData": {"key": version}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(name.to_owned()),
            "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(name.to_owned()),
            "spec": {"replicas": replicas, "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": labels}, "spec": {
                    "topologySpreadConstraints": [{"labelSelector": {"matchLabels": selector}}],
                    "containers": [{"name": "main", "image": format!("shop/{name}:{version}"),
                        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef":
                            {"name": format!("{name}-secrets"), "key": "key"}}}],
                        "envFrom": [{"configMapRef": {"name": "shared"}}]}],
                    "volumes": [{"name": "files", "configMap": {"name": format!("{name}-files")}}]}}}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(name.to_owned()),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}}}),
    ];
    let owner = ObjectOwner::Workload(name.to_owned());
    objects.into_iter().map(|object| Manifest { owner: owner.clone(), object }).collect()
}

/// Workloads `web` and `api`.
pub(super) fn manifests(version: &str, routes: &[Value]) -> Manifests {
    let mut objects: Vec<Manifest> = routes
        .iter()
        .map(|route| Manifest { owner: ObjectOwner::Environment, object: route.clone() })
        .collect();
    objects.extend(workload("web", version, 3));
    objects.extend(workload("api", version, 2));
    Manifests { namespace: "shop".to_owned(), objects, jobs: Vec::new() }
}

/// A route that leads to both workloads.
pub(super) fn route() -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "shop"}, "spec": {"parentRefs": [{"name": "public"}],
            "hostnames": ["shop.example.com"], "rules": [
                {"name": "api", "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
                    "backendRefs": [{"name": "api", "port": 80}]},
                {"backendRefs": [{"name": "web", "port": 80}]}]}})
}

/// An Ingress that leads to both workloads.
pub(super) fn ingress() -> Value {
    let path = |path: &str, service: &str| {
        json!({"path": path, "pathType": "Prefix",
        "backend": {"service": {"name": service, "port": {"number": 80}}}})
    };
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop",
            "annotations": {"nginx.ingress.kubernetes.io/affinity": "cookie",
                "cert-manager.io/cluster-issuer": "letsencrypt"}},
        "spec": {"ingressClassName": "nginx", "tls": [{"secretName": "tls"}], "rules": [
            {"host": "shop.example.com", "http": {"paths": [path("/api", "api"), path("/", "web")]}}]}})
}

/// The only object of a kind and name.
pub(super) fn one<'a>(objects: &'a [Manifest], kind: &str, name: &str) -> &'a Value {
    let found: Vec<&Value> = objects
        .iter()
        .map(|it| &it.object)
        .filter(|it| it["kind"] == kind && it["metadata"]["name"] == name)
        .collect();
    assert_eq!(found.len(), 1, "{kind} {name} in {:?}", names(objects));
    found[0]
}

/// Kinds and names.
pub(super) fn names(objects: &[Manifest]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects
        .iter()
        .map(|it| format!("{} {}", text(&it.object["kind"]), text(&it.object["metadata"]["name"])))
        .collect()
}
