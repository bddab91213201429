//! Lists as tables, for `kubectl get`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::negotiation::metadata_of;
use crate::json::{self, int, items, text};
use crate::resources::Resource;

type Row = fn(&Value) -> Vec<Value>;

/// A table of one object.
pub(crate) fn of_object(object: &Value, resource: &Resource, include: &str) -> Value {
    let version = text(object, "/metadata/resourceVersion");
    table(resource, &[row(object, resource, include)], version)
}

/// A table of a list.
pub(crate) fn of_list(
    objects: &[Arc<Value>],
    resource: &Resource,
    include: &str,
    version: u64,
) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(object, resource, include)).collect();
    table(resource, &rows, &version.to_string())
}

fn table(resource: &Resource, rows: &[Value], version: &str) -> Value {
    let mut columns = vec![column("Name", "string", "name")];
    let is_event = resource.builtin && resource.kind == "Event";
    if is_event {
        columns.clear();
    }
    if resource.builtin {
        let (names, _) = columns_of(&resource.kind);
        columns.extend(names.iter().map(|name| column(name, "string", "")));
    } else {
        columns.extend(
            resource
                .columns
                .iter()
                .map(|own| column(text(own, "/name"), text(own, "/type"), text(own, "/format"))),
        );
    }
    let has_age = columns.iter().any(|c| text(c, "/name") == "Age");
    if !has_age && !is_event && resource.columns.is_empty() {
        columns.push(column("Age", "string", ""));
    }
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version}, "columnDefinitions": columns, "rows": rows})
}

fn column(name: &str, kind: &str, format: &str) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0})
}

fn row(object: &Value, resource: &Resource, include: &str) -> Value {
    let is_event = resource.builtin && resource.kind == "Event";
    let mut cells = Vec::new();
    if !is_event {
        cells.push(json!(json::name(object)));
    }
    if resource.builtin {
        let (_, of) = columns_of(&resource.kind);
        cells.extend(of(object));
    } else {
        cells.extend(resource.columns.iter().map(|own| {
            let path = text(own, "/jsonPath").trim_start_matches('.').replace('.', "/");
            let value = object.pointer(&format!("/{path}")).cloned();
            match (text(own, "/type"), value) {
                ("date", Some(value)) => age_of(value.as_str().unwrap_or_default()),
                (_, value) => value.unwrap_or(Value::Null),
            }
        }));
    }
    if !is_event && resource.columns.is_empty() {
        cells.push(age(object));
    }
    let mut row = json!({"cells": cells});
    match include {
        "None" => {}
        "Object" => json::put(&mut row, &["object"], object.clone()),
        _ => json::put(&mut row, &["object"], metadata_of(object)),
    }
    row
}

fn age(object: &Value) -> Value {
    age_of(text(object, "/metadata/creationTimestamp"))
}

fn age_of(time: &str) -> Value {
    let Some(seconds) = crate::time::seconds_since(time) else {
        return json!("<unknown>");
    };
    let seconds = seconds.max(0);
    json!(match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{}m{}s", seconds / 60, seconds % 60),
        120..10_800 => format!("{}m", seconds / 60),
        10_800..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    })
}

fn columns_of(kind: &str) -> (&'static [&'static str], Row) {
    match kind {
        "Pod" => (&["Ready", "Status", "Restarts"], pod),
        "Deployment" => (&["Ready", "Up-to-date", "Available"], |o| {
            let of = |name: &str| int(o, &format!("/status/{name}")).unwrap_or_default();
            let wanted = int(o, "/spec/replicas").unwrap_or_default();
            vec![
                json!(format!("{}/{wanted}", of("readyReplicas"))),
                json!(of("updatedReplicas")),
                json!(of("availableReplicas")),
            ]
        }),
        "ReplicaSet" => (&["Desired", "Current", "Ready"], |o| {
            vec![
                json!(int(o, "/spec/replicas").unwrap_or_default()),
                json!(int(o, "/status/replicas").unwrap_or_default()),
                json!(int(o, "/status/readyReplicas").unwrap_or_default()),
            ]
        }),
        "StatefulSet" => (&["Ready"], |o| {
            let ready = int(o, "/status/readyReplicas").unwrap_or_default();
            let wanted = int(o, "/spec/replicas").unwrap_or_default();
            vec![json!(format!("{ready}/{wanted}"))]
        }),
        "DaemonSet" => (&["Desired", "Current", "Ready"], |o| {
            ["desiredNumberScheduled", "currentNumberScheduled", "numberReady"]
                .iter()
                .map(|name| json!(int(o, &format!("/status/{name}")).unwrap_or_default()))
                .collect()
        }),
        "Job" => (&["Status", "Completions"], |o| {
            let done = int(o, "/status/succeeded").unwrap_or_default();
            let wanted = int(o, "/spec/completions").unwrap_or(1);
            let state = items(o, "/status/conditions")
                .iter()
                .rfind(|c| text(c, "/status") == "True")
                .map_or("Running", |c| text(c, "/type"));
            vec![json!(state), json!(format!("{done}/{wanted}"))]
        }),
        "Service" => (&["Type", "Cluster-IP", "External-IP", "Port(s)"], service),
        "Ingress" => (&["Class", "Hosts", "Address", "Ports"], |o| {
            let hosts: Vec<&str> =
                items(o, "/spec/rules").iter().map(|rule| text(rule, "/host")).collect();
            let address = items(o, "/status/loadBalancer/ingress")
                .first()
                .map_or("", |found| text(found, "/ip"));
            let class = match text(o, "/spec/ingressClassName") {
                "" => "<none>",
                class => class,
            };
            vec![json!(class), json!(hosts.join(",")), json!(address), json!("80")]
        }),
        "Namespace" | "PersistentVolumeClaim" => {
            (&["Status"], |o| vec![json!(text(o, "/status/phase"))])
        }
        "ConfigMap" | "Secret" => {
            (&["Data"], |o| vec![json!(json::object(o, "/data").map_or(0, |data| data.len()))])
        }
        "Node" => (&["Status", "Roles", "Version"], |o| {
            vec![
                json!("Ready"),
                json!("control-plane"),
                json!(text(o, "/status/nodeInfo/kubeletVersion")),
            ]
        }),
        "Event" => (&["Last Seen", "Type", "Reason", "Object", "Message"], |o| {
            let object = format!(
                "{}/{}",
                text(o, "/involvedObject/kind").to_lowercase(),
                text(o, "/involvedObject/name")
            );
            vec![
                age_of(text(o, "/lastTimestamp")),
                json!(text(o, "/type")),
                json!(text(o, "/reason")),
                json!(object),
                json!(text(o, "/message")),
            ]
        }),
        _ => (&[], |_| Vec::new()),
    }
}

fn pod(pod: &Value) -> Vec<Value> {
    let statuses = items(pod, "/status/containerStatuses");
    let ready = statuses.iter().filter(|s| json::flag(s, "/ready")).count();
    let restarts: i64 = statuses.iter().filter_map(|s| int(s, "/restartCount")).sum();
    let reason = statuses.iter().find_map(|status| {
        ["waiting", "terminated"].iter().find_map(|state| {
            let reason = text(status, &format!("/state/{state}/reason"));
            (!reason.is_empty()).then_some(reason)
        })
    });
    let status = if json::is_deleting(pod) {
        "Terminating"
    } else {
        reason.unwrap_or_else(|| text(pod, "/status/phase"))
    };
    let all = items(pod, "/spec/containers").len();
    vec![json!(format!("{ready}/{all}")), json!(status), json!(restarts.to_string())]
}

fn service(service: &Value) -> Vec<Value> {
    let ports: Vec<String> = items(service, "/spec/ports")
        .iter()
        .map(|port| {
            let node = int(port, "/nodePort").map_or_else(String::new, |n| format!(":{n}"));
            let number = int(port, "/port").unwrap_or_default();
            format!("{number}{node}/{}", text(port, "/protocol"))
        })
        .collect();
    vec![
        json!(text(service, "/spec/type")),
        json!(text(service, "/spec/clusterIP")),
        json!("<none>"),
        json!(ports.join(",")),
    ]
}
