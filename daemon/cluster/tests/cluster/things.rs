//! Objects that behave on a real cluster as on the practice cluster.

use serde_json::{Value, json};

/// Small, and has a shell. `DEPLOYD_TEST_IMAGE` names another.
pub(crate) fn image() -> String {
    std::env::var("DEPLOYD_TEST_IMAGE").unwrap_or_else(|_| "busybox:1.36".to_owned())
}

/// The template of pods of an app that run a command.
pub(crate) fn template(app: &str, command: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main",
                "image": image(),
                "command": ["sh", "-c", command],
            }],
        },
    })
}

fn workload(kind: &str, app: &str, command: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": app},
        "spec": {
            "selector": {"matchLabels": {"app": app}},
            "template": template(app, command),
        },
    })
}

pub(crate) const SLEEP: &str = "echo started; sleep 100000";

pub(crate) fn deployment(app: &str) -> Value {
    workload("Deployment", app, SLEEP)
}

pub(crate) fn deployment_running(app: &str, command: &str) -> Value {
    workload("Deployment", app, command)
}

pub(crate) fn stateful_set(app: &str, replicas: u32) -> Value {
    let mut object = workload("StatefulSet", app, SLEEP);
    object["spec"]["serviceName"] = json!(app);
    object["spec"]["replicas"] = json!(replicas);
    object
}

pub(crate) fn daemon_set(app: &str) -> Value {
    workload("DaemonSet", app, SLEEP)
}

pub(crate) fn job(app: &str, command: &str) -> Value {
    let mut template = template(app, command);
    template["spec"]["restartPolicy"] = json!("Never");
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": app},
        "spec": {"backoffLimit": 0, "template": template},
    })
}

pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub(crate) fn service(app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": app},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80}]},
    })
}

pub(crate) fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    })
}

/// A definition with its own group, and an object of it.
pub(crate) fn widgets(group: &str) -> (Value, Value) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}}}],
        },
    });
    let widget = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Widget",
        "metadata": {"name": "one"}, "spec": {"size": 1},
    });
    (definition, widget)
}
