//! What a pod gets when it is created: an account, its token, a priority.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::json::{self, put, put_default};
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult};
use crate::storage::Store;

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub(super) fn prepare(
    _cluster: &Cluster,
    store: &Store,
    resource: &Resource,
    object: &mut Value,
) -> ApiResult<()> {
    let (namespace, name) = (json::namespace(object).to_owned(), json::name(object).to_owned());
    let mut account = json::text(object, "/spec/serviceAccountName").to_owned();
    if account.is_empty() {
        account = match json::text(object, "/spec/serviceAccount") {
            "" => "default".to_owned(),
            older => older.to_owned(),
        };
    }
    let found = store.get("serviceaccounts", &namespace, &account);
    // A new namespace gets its default account a moment later; a pod does not
    // have to lose that race here.
    if found.is_none() && account != "default" {
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found"
        );
        return Err(ApiError::forbidden(resource.named(), &name, &why));
    }
    put(object, &["spec", "serviceAccountName"], account.as_str());
    put(object, &["spec", "serviceAccount"], account.as_str());
    let pull_secrets = found.as_ref().and_then(|account| account.get("imagePullSecrets").cloned());
    if let Some(secrets) = pull_secrets {
        put_default(object, &["spec", "imagePullSecrets"], secrets);
    }
    priority(store, resource, object)?;
    tolerations(object);
    let wants_token = object
        .pointer("/spec/automountServiceAccountToken")
        .or_else(|| found.as_ref()?.get("automountServiceAccountToken"))
        .and_then(Value::as_bool)
        .unwrap_or(true);
    if wants_token {
        mount_token(object);
    }
    put(object, &["status", "phase"], "Pending");
    put(object, &["status", "qosClass"], quality(object));
    Ok(())
}

/// What an update of a pod need not repeat.
pub(super) fn keep(_cluster: &Cluster, object: &mut Value, old: &Value) {
    for field in
        ["nodeName", "serviceAccountName", "serviceAccount", "priority", "preemptionPolicy"]
    {
        if let Some(was) = old.pointer(&format!("/spec/{field}")) {
            put_default(object, &["spec", field], was.clone());
        }
    }
}

fn priority(store: &Store, resource: &Resource, object: &mut Value) -> ApiResult<()> {
    let class = json::text(object, "/spec/priorityClassName").to_owned();
    let mut value = json!(0);
    if !class.is_empty() {
        let found = store.get("priorityclasses.scheduling.k8s.io", "", &class);
        let Some(found) = found else {
            let why = format!("no PriorityClass with name {class} was found");
            return Err(ApiError::forbidden(resource.named(), json::name(object), &why));
        };
        value = found.get("value").cloned().unwrap_or(value);
    }
    put(object, &["spec", "priority"], value);
    put_default(object, &["spec", "preemptionPolicy"], "PreemptLowerPriority");
    Ok(())
}

fn tolerations(object: &mut Value) {
    let mut all = json::items(object, "/spec/tolerations").to_vec();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let is_there = all.iter().any(|one| {
            let same_key = json::text(one, "/key") == key || json::text(one, "/key").is_empty();
            same_key && matches!(json::text(one, "/effect"), "" | "NoExecute")
        });
        if !is_there {
            all.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}));
        }
    }
    put(object, &["spec", "tolerations"], all);
}

fn mount_token(object: &mut Value) {
    let name = format!("kube-api-access-{}", crate::random::suffix());
    let mut is_used = false;
    for list in ["initContainers", "containers"] {
        for container in json::list_mut(object, &["spec", list]).into_iter().flatten() {
            let mut mounts = json::items(container, "/volumeMounts").to_vec();
            if mounts.iter().any(|m| json::text(m, "/mountPath") == TOKEN_PATH) {
                continue;
            }
            mounts.push(json!({"name": name, "mountPath": TOKEN_PATH, "readOnly": true}));
            put(container, &["volumeMounts"], mounts);
            is_used = true;
        }
    }
    if !is_used {
        return;
    }
    let mut volumes = json::items(object, "/spec/volumes").to_vec();
    volumes.push(json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace",
            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}}));
    put(object, &["spec", "volumes"], volumes);
}

/// The pod's quality of service class.
fn quality(object: &Value) -> &'static str {
    let (mut any, mut all) = (false, true);
    for list in ["initContainers", "containers"] {
        for container in json::items(object, &format!("/spec/{list}")) {
            let of = |kind: &str, name: &str| {
                container.pointer(&format!("/resources/{kind}/{name}")).cloned()
            };
            for name in ["cpu", "memory"] {
                let (limit, request) = (of("limits", name), of("requests", name));
                any |= limit.is_some() || request.is_some();
                all &= limit.is_some() && (request.is_none() || request == limit);
            }
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
