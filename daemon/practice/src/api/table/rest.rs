//! The cells of everything else.

use serde_json::{Value, json};

use super::{Columns, NONE, age, age_of, or_none};
use crate::controllers::condition;
use crate::json::{self, int, items, text};

pub(super) fn columns(kind: &str) -> Option<Columns> {
    Some(match kind {
        "Namespace" => (&["Status", "Age"], |o| vec![json!(text(o, "/status/phase")), age(o)]),
        "ConfigMap" => {
            (&["#Data", "Age"], |o| vec![json!(size(o, "/data") + size(o, "/binaryData")), age(o)])
        }
        "Secret" => (&["Type", "#Data", "Age"], |o| {
            vec![json!(text(o, "/type")), json!(size(o, "/data")), age(o)]
        }),
        "ServiceAccount" => {
            (&["#Secrets", "Age"], |o| vec![json!(items(o, "/secrets").len()), age(o)])
        }
        "LimitRange" | "Role" | "ClusterRole" | "CustomResourceDefinition" => {
            (&["Created At"], |o| vec![json!(text(o, "/metadata/creationTimestamp"))])
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            (&["Role", "Age", "+Users", "+Groups", "+ServiceAccounts"], |o| {
                let role = format!("{}/{}", text(o, "/roleRef/kind"), text(o, "/roleRef/name"));
                let [users, groups, accounts] = ["User", "Group", "ServiceAccount"]
                    .map(|kind| json!(subjects(o, kind).join(", ")));
                vec![json!(role), age(o), users, groups, accounts]
            })
        }
        "Node" => (
            &[
                "Status",
                "Roles",
                "Age",
                "Version",
                "+Internal-IP",
                "+External-IP",
                "+OS-Image",
                "+Kernel-Version",
                "+Container-Runtime",
            ],
            node,
        ),
        "Event" => (
            &[
                "Last Seen",
                "Type",
                "Reason",
                "Object",
                "+Subobject",
                "+Source",
                "Message",
                "+First Seen",
                "+#Count",
                "+Name",
            ],
            event,
        ),
        "PersistentVolumeClaim" => (
            &[
                "Status",
                "Volume",
                "Capacity",
                "Access Modes",
                "StorageClass",
                "VolumeAttributesClass",
                "Age",
                "+VolumeMode",
            ],
            |o| {
                let status = match json::is_deleting(o) {
                    true => "Terminating",
                    false => text(o, "/status/phase"),
                };
                let is_bound = !text(o, "/spec/volumeName").is_empty();
                vec![
                    json!(status),
                    json!(text(o, "/spec/volumeName")),
                    json!(text(o, "/status/capacity/storage")),
                    json!(if is_bound { modes(o, "/status/accessModes") } else { String::new() }),
                    json!(text(o, "/spec/storageClassName")),
                    json!("<unset>"),
                    age(o),
                    json!(text(o, "/spec/volumeMode")),
                ]
            },
        ),
        "PersistentVolume" => (
            &[
                "Capacity",
                "Access Modes",
                "Reclaim Policy",
                "Status",
                "Claim",
                "StorageClass",
                "VolumeAttributesClass",
                "Reason",
                "Age",
                "+VolumeMode",
            ],
            |o| {
                let claim = match text(o, "/spec/claimRef/name") {
                    "" => String::new(),
                    name => format!("{}/{name}", text(o, "/spec/claimRef/namespace")),
                };
                vec![
                    json!(text(o, "/spec/capacity/storage")),
                    json!(modes(o, "/spec/accessModes")),
                    json!(text(o, "/spec/persistentVolumeReclaimPolicy")),
                    json!(text(o, "/status/phase")),
                    json!(claim),
                    json!(text(o, "/spec/storageClassName")),
                    json!("<unset>"),
                    json!(text(o, "/status/reason")),
                    age(o),
                    json!(text(o, "/spec/volumeMode")),
                ]
            },
        ),
        "StorageClass" => (
            &["Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"],
            |o| {
                vec![
                    json!(text(o, "/provisioner")),
                    json!(text(o, "/reclaimPolicy")),
                    json!(text(o, "/volumeBindingMode")),
                    json!(json::flag(o, "/allowVolumeExpansion")),
                    age(o),
                ]
            },
        ),
        "ResourceQuota" => (&["Request", "Limit", "Age"], |o| {
            let [requests, limits] = [false, true].map(|of_limits| json!(quota(o, of_limits)));
            vec![requests, limits, age(o)]
        }),
        "PodDisruptionBudget" => {
            (&["Min Available", "Max Unavailable", "#Allowed Disruptions", "Age"], |o| {
                let bound = |name: &str| match o.pointer(&format!("/spec/{name}")) {
                    Some(Value::String(text)) => json!(text),
                    Some(other) => json!(other.to_string()),
                    None => json!("N/A"),
                };
                let allowed = int(o, "/status/disruptionsAllowed").unwrap_or_default();
                vec![bound("minAvailable"), bound("maxUnavailable"), json!(allowed), age(o)]
            })
        }
        "HorizontalPodAutoscaler" => {
            (&["Reference", "Targets", "MinPods", "MaxPods", "#Replicas", "Age"], |o| {
                let reference = format!(
                    "{}/{}",
                    text(o, "/spec/scaleTargetRef/kind"),
                    text(o, "/spec/scaleTargetRef/name")
                );
                let number = |pointer: &str| int(o, pointer).unwrap_or_default();
                vec![
                    json!(reference),
                    json!(targets(o)),
                    json!(number("/spec/minReplicas").to_string()),
                    json!(number("/spec/maxReplicas").to_string()),
                    json!(number("/status/currentReplicas")),
                    age(o),
                ]
            })
        }
        "PriorityClass" => (&["#Value", "Global-Default", "Age", "PreemptionPolicy"], |o| {
            vec![
                json!(int(o, "/value").unwrap_or_default()),
                json!(json::flag(o, "/globalDefault")),
                age(o),
                json!(text(o, "/preemptionPolicy")),
            ]
        }),
        "RuntimeClass" => (&["Handler", "Age"], |o| vec![json!(text(o, "/handler")), age(o)]),
        "Lease" => (&["Holder", "Age"], |o| vec![json!(text(o, "/spec/holderIdentity")), age(o)]),
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            (&["#Webhooks", "Age"], |o| vec![json!(items(o, "/webhooks").len()), age(o)])
        }
        _ => return None,
    })
}

/// Whether claims that name no class get this one.
pub(super) fn is_default_class(object: &Value) -> bool {
    json::object(object, "/metadata/annotations")
        .and_then(|all| all.get("storageclass.kubernetes.io/is-default-class")?.as_str())
        == Some("true")
}

fn size(object: &Value, pointer: &str) -> usize {
    json::object(object, pointer).map_or(0, serde_json::Map::len)
}

fn subjects(binding: &Value, kind: &str) -> Vec<String> {
    items(binding, "/subjects")
        .iter()
        .filter(|subject| text(subject, "/kind") == kind)
        .map(|subject| match text(subject, "/namespace") {
            "" => text(subject, "/name").to_owned(),
            namespace => format!("{namespace}/{}", text(subject, "/name")),
        })
        .collect()
}

fn modes(object: &Value, pointer: &str) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    items(object, pointer).iter().map(short).collect::<Vec<_>>().join(",")
}

/// What a quota has used of what it allows, of limits or of all else.
fn quota(object: &Value, of_limits: bool) -> String {
    let shown = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "0".to_owned(),
    };
    let used = json::object(object, "/status/used");
    let mut all: Vec<String> = json::object(object, "/status/hard")
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits") == of_limits)
        .map(|(name, hard)| {
            let used = used.and_then(|used| used.get(name));
            format!("{name}: {}/{}", shown(used), shown(Some(hard)))
        })
        .collect();
    all.sort();
    all.join(", ")
}

fn targets(scaler: &Value) -> String {
    let all: Vec<String> = items(scaler, "/spec/metrics")
        .iter()
        .map(|metric| {
            let name = text(metric, "/resource/name");
            match int(metric, "/resource/target/averageUtilization") {
                Some(percent) => format!("{name}: <unknown>/{percent}%"),
                None => {
                    format!("{name}: <unknown>/{}", text(metric, "/resource/target/averageValue"))
                }
            }
        })
        .collect();
    if all.is_empty() { NONE.to_owned() } else { all.join(", ") }
}

fn node(node: &Value) -> Vec<Value> {
    let is_ready = condition(node, "Ready").is_some_and(|c| text(c, "/status") == "True");
    let mut status = if is_ready { "Ready" } else { "NotReady" }.to_owned();
    if json::flag(node, "/spec/unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<&str> = json::object(node, "/metadata/labels")
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| name.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    roles.sort_unstable();
    let address = |kind: &str| {
        let found = items(node, "/status/addresses").iter().find(|a| text(a, "/type") == kind);
        or_none(found.map_or("", |address| text(address, "/address")))
    };
    let info = |name: &str| json!(text(node, &format!("/status/nodeInfo/{name}")));
    vec![
        json!(status),
        or_none(&roles.join(",")),
        age(node),
        info("kubeletVersion"),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn event(event: &Value) -> Vec<Value> {
    let count = int(event, "/count").unwrap_or(1);
    let of = |field: &str| match text(event, field) {
        "" => text(event, "/eventTime"),
        time => time,
    };
    let last = age_of(of("/lastTimestamp"));
    let first = age_of(of("/firstTimestamp"));
    let kind = text(event, "/involvedObject/kind").to_lowercase();
    let source = match text(event, "/source/host") {
        "" => text(event, "/source/component").to_owned(),
        host => format!("{}, {host}", text(event, "/source/component")),
    };
    vec![
        last,
        json!(text(event, "/type")),
        json!(text(event, "/reason")),
        json!(format!("{kind}/{}", text(event, "/involvedObject/name"))),
        json!(text(event, "/involvedObject/fieldPath")),
        json!(source),
        json!(text(event, "/message").trim()),
        first,
        json!(count),
        json!(json::name(event)),
    ]
}
