//! What a pod needs of other objects before it can start.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::json::{self, flag, text};

/// A volume whose source is not there.
pub(super) fn volume_problem(cluster: &Cluster, pod: &Value) -> Option<String> {
    let namespace = json::namespace(pod);
    for volume in json::items(pod, "/spec/volumes") {
        for (kind, storage, source, field) in [
            ("configmap", "configmaps", "configMap", "name"),
            ("secret", "secrets", "secret", "secretName"),
        ] {
            let name = text(volume, &format!("/{source}/{field}"));
            if name.is_empty() || flag(volume, &format!("/{source}/optional")) {
                continue;
            }
            if cluster.get(storage, namespace, name).is_none() {
                return Some(format!(
                    "MountVolume.SetUp failed for volume \"{}\" : {kind} \"{name}\" not found",
                    text(volume, "/name")
                ));
            }
        }
    }
    None
}

/// An environment variable whose source is not there.
pub(super) fn environment_problem(
    cluster: &Cluster,
    pod: &Value,
    container: &Value,
) -> Option<String> {
    let namespace = json::namespace(pod);
    let kinds = [("configmap", "configmaps", "configMap"), ("secret", "secrets", "secret")];
    for from in json::items(container, "/envFrom") {
        for (kind, storage, field) in kinds {
            let reference = format!("/{field}Ref");
            let name = text(from, &format!("{reference}/name"));
            if !name.is_empty()
                && !flag(from, &format!("{reference}/optional"))
                && cluster.get(storage, namespace, name).is_none()
            {
                return Some(format!("{kind} \"{name}\" not found"));
            }
        }
    }
    for variable in json::items(container, "/env") {
        for (kind, storage, field) in kinds {
            let reference = format!("/valueFrom/{field}KeyRef");
            let name = text(variable, &format!("{reference}/name"));
            if name.is_empty() || flag(variable, &format!("{reference}/optional")) {
                continue;
            }
            let Some(found) = cluster.get(storage, namespace, name) else {
                return Some(format!("{kind} \"{name}\" not found"));
            };
            let key = text(variable, &format!("{reference}/key"));
            let has_key = ["data", "binaryData"]
                .iter()
                .any(|data| found.get(data).is_some_and(|data| data.get(key).is_some()));
            if !has_key {
                let what = if kind == "secret" { "Secret" } else { "ConfigMap" };
                return Some(format!("couldn't find key {key} in {what} {namespace}/{name}"));
            }
        }
    }
    None
}
