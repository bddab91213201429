//! Resource quotas.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json;
use crate::quantity::Quantity;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult};
use crate::storage::Store;

/// What a pod's containers ask for can be counted under these names.
const COMPUTE: [(&str, &str, &str); 8] = [
    ("cpu", "requests", "cpu"),
    ("memory", "requests", "memory"),
    ("requests.cpu", "requests", "cpu"),
    ("requests.memory", "requests", "memory"),
    ("requests.ephemeral-storage", "requests", "ephemeral-storage"),
    ("limits.cpu", "limits", "cpu"),
    ("limits.memory", "limits", "memory"),
    ("limits.ephemeral-storage", "limits", "ephemeral-storage"),
];

type Usage = BTreeMap<String, Quantity>;

/// Refuses an object that a quota of its namespace has no room for.
pub(crate) fn check(store: &Store, resource: &Resource, object: &Value) -> ApiResult<()> {
    enforce(store, resource, object, None)
}

/// Refuses a change that a quota of its namespace has no room for.
pub(crate) fn check_update(
    store: &Store,
    resource: &Resource,
    object: &Value,
    old: &Value,
) -> ApiResult<()> {
    // What a change can make larger: a claim's size, a service's type.
    match resource.kind.as_str() {
        "PersistentVolumeClaim" | "Service" => enforce(store, resource, object, Some(old)),
        _ => Ok(()),
    }
}

fn enforce(
    store: &Store,
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
) -> ApiResult<()> {
    let namespace = json::namespace(object);
    if resource.kind == "ResourceQuota" {
        return Ok(());
    }
    for quota in store.list("resourcequotas", namespace) {
        let Some(hard) = json::object(quota, "/spec/hard") else {
            continue;
        };
        if !in_scope(quota, object) {
            continue;
        }
        let asked: Usage = measure(&resource.storage, object)
            .into_iter()
            .filter(|(name, _)| hard.contains_key(name))
            .collect();
        let missing = unspecified(hard, resource, object);
        if !missing.is_empty() {
            return Err(ApiError::forbidden(
                resource.named(),
                json::name(object),
                &format!(
                    "failed quota: {}: must specify {}",
                    json::name(quota),
                    missing.join("; ")
                ),
            ));
        }
        let before = old.map(|old| measure(&resource.storage, old)).unwrap_or_default();
        let used = used(store, quota);
        let (mut requested, mut present, mut limited) = (vec![], vec![], vec![]);
        for (name, size) in &asked {
            let limit_text = hard.get(name).map(shown).unwrap_or_default();
            let limit = Quantity::parse(&limit_text).unwrap_or_default();
            let now = used.get(name).copied().unwrap_or_default();
            let previous = before.get(name).copied().unwrap_or_default();
            let grows = *size > previous;
            // The old size is in `now` already.
            if grows && now.plus(*size) > limit.plus(previous) {
                requested.push(format!("{name}={}", size.shown_like(&limit_text)));
                present.push(format!("{name}={}", now.shown_like(&limit_text)));
                limited.push(format!("{name}={limit_text}"));
            }
        }
        if !requested.is_empty() {
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                json::name(quota),
                requested.join(","),
                present.join(","),
                limited.join(",")
            );
            return Err(ApiError::forbidden(resource.named(), json::name(object), &why));
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn in_scope(quota: &Value, object: &Value) -> bool {
    let is_best_effort = json::text(object, "/status/qosClass") == "BestEffort";
    let is_terminating = json::has(object, "/spec/activeDeadlineSeconds");
    json::items(quota, "/spec/scopes").iter().all(|scope| match scope.as_str() {
        Some("BestEffort") => is_best_effort,
        Some("NotBestEffort") => !is_best_effort,
        Some("Terminating") => is_terminating,
        Some("NotTerminating") => !is_terminating,
        _ => true,
    })
}

/// What a quota counts as used: every object of its namespace, measured anew.
pub(crate) fn used(store: &Store, quota: &Value) -> Usage {
    let mut total = Usage::new();
    let Some(hard) = json::object(quota, "/spec/hard") else {
        return total;
    };
    for name in hard.keys() {
        total.insert(name.clone(), Quantity::default());
    }
    for resource in store.resources() {
        for object in store.list(&resource, json::namespace(quota)) {
            if !in_scope(quota, object) {
                continue;
            }
            for (name, size) in measure(&resource, object) {
                if let Some(sum) = total.get_mut(&name) {
                    *sum = sum.plus(size);
                }
            }
        }
    }
    total
}

/// What one object counts for.
fn measure(storage: &str, object: &Value) -> Usage {
    let one = Quantity::whole(1);
    let mut usage = Usage::new();
    usage.insert(format!("count/{storage}"), one);
    match storage {
        "pods" => {
            if matches!(json::text(object, "/status/phase"), "Succeeded" | "Failed") {
                return usage;
            }
            usage.insert("pods".to_owned(), one);
            for (name, kind, what) in COMPUTE {
                let total = json::items(object, "/spec/containers")
                    .iter()
                    .filter_map(|c| {
                        Quantity::read(c.pointer(&format!("/resources/{kind}/{what}"))?)
                    })
                    .fold(Quantity::default(), Quantity::plus);
                if total > Quantity::default() {
                    usage.insert(name.to_owned(), total);
                }
            }
        }
        "persistentvolumeclaims" => {
            usage.insert(storage.to_owned(), one);
            let size = object.pointer("/spec/resources/requests/storage").and_then(Quantity::read);
            usage.insert("requests.storage".to_owned(), size.unwrap_or_default());
        }
        "services" => {
            usage.insert(storage.to_owned(), one);
            let kind = json::text(object, "/spec/type");
            if kind == "LoadBalancer" {
                usage.insert("services.loadbalancers".to_owned(), one);
            }
            if kind == "LoadBalancer" || kind == "NodePort" {
                let ports = json::items(object, "/spec/ports").len();
                let ports = Quantity::whole(i64::try_from(ports).unwrap_or_default());
                usage.insert("services.nodeports".to_owned(), ports);
            }
        }
        "configmaps" | "secrets" | "resourcequotas" | "replicationcontrollers" => {
            usage.insert(storage.to_owned(), one);
        }
        _ => {}
    }
    usage
}

/// What a quota counts and a pod's containers do not say.
fn unspecified(
    hard: &serde_json::Map<String, Value>,
    resource: &Resource,
    object: &Value,
) -> Vec<String> {
    if resource.kind != "Pod" {
        return Vec::new();
    }
    COMPUTE
        .iter()
        .filter(|(name, ..)| hard.contains_key(*name) && !name.contains("storage"))
        .filter_map(|(name, kind, what)| {
            let silent: Vec<&str> = json::items(object, "/spec/containers")
                .iter()
                .filter(|c| {
                    let of = |kind: &str| c.pointer(&format!("/resources/{kind}/{what}")).is_some();
                    // A request not said is taken from the limit.
                    !(of(kind) || (*kind == "requests" && of("limits")))
                })
                .map(|c| json::text(c, "/name"))
                .collect();
            (!silent.is_empty()).then(|| format!("{name} for: {}", silent.join(",")))
        })
        .collect()
}
