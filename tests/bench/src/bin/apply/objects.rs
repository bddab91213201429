//! What is applied: the kinds that applications are made of, most of them small.
//! Deployments ask for no pods: how those fare is not what is measured.

use serde_json::{Value, json};

/// So many objects, of which nothing names a namespace.
pub(crate) fn objects(count: usize) -> Vec<Value> {
    (0..count).map(object).collect()
}

fn object(number: usize) -> Value {
    let name = format!("object-{number:03}");
    match number % 20 {
        0 => deployment(&name),
        1..=3 => json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(&name),
            "spec": {"selector": {"app": name}, "ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
                {"name": "metrics", "port": 9090, "targetPort": 9090, "protocol": "TCP"}]},
        }),
        4..=6 => json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata(&name), "type": "Opaque",
            "data": {"user": "c2hvcA==", "password": "bm90IHRoaXMgb25l"},
        }),
        7 => json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(&name),
        }),
        _ => json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&name),
            "data": {"LOG_LEVEL": "info", "settings.yaml": "cache:\n  size: 64\n".repeat(20)},
        }),
    }
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"app": name, "team": "shop", "app.kubernetes.io/managed-by": "deployd"},
        "annotations": {"example.com/owner": "shop@example.com"},
    })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(name),
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "main",
                    "image": "registry.example.com/shop/web:1.2.3",
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    "env": [
                        {"name": "LOG_LEVEL", "value": "info"},
                        {"name": "PASSWORD", "valueFrom": {"secretKeyRef":
                            {"name": "object-004", "key": "password"}}},
                    ],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
                    "resources": {
                        "requests": {"cpu": "100m", "memory": "64Mi"},
                        "limits": {"memory": "128Mi"},
                    },
                }]},
            },
        },
    })
}
