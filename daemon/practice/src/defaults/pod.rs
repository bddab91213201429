//! Defaults of pods and pod templates.

use serde_json::{Value, json};

use crate::json::{self, has, list_mut, put, put_default};

/// Sources of volumes whose files have a mode.
const WITH_MODE: [&str; 4] = ["configMap", "secret", "projected", "downwardAPI"];

/// The defaults of a pod that is not a template.
pub(crate) fn pod_alone(object: &mut Value) {
    let spec = json::slot(object, &["spec"]);
    pod_spec(spec);
    put_default(spec, &["enableServiceLinks"], true);
    for list in ["containers", "initContainers"] {
        for container in list_mut(spec, &[list]).into_iter().flatten() {
            requests_from_limits(container);
        }
    }
    put_default(object, &["status", "phase"], "Pending");
}

/// The defaults of a pod template.
pub(super) fn template(template: &mut Value) {
    // Shown even when nothing is in it, as the field is not optional in Go.
    put_default(template, &["metadata"], json!({}));
    pod_spec(json::slot(template, &["spec"]));
}

fn pod_spec(spec: &mut Value) {
    put_default(spec, &["restartPolicy"], "Always");
    put_default(spec, &["terminationGracePeriodSeconds"], 30);
    put_default(spec, &["dnsPolicy"], "ClusterFirst");
    put_default(spec, &["securityContext"], json!({}));
    put_default(spec, &["schedulerName"], "default-scheduler");
    let account = json::text(spec, "/serviceAccountName").to_owned();
    if !account.is_empty() {
        put(spec, &["serviceAccount"], account);
    }
    for list in ["containers", "initContainers"] {
        list_mut(spec, &[list]).into_iter().flatten().for_each(container);
    }
    list_mut(spec, &["volumes"]).into_iter().flatten().for_each(volume);
}

fn container(container: &mut Value) {
    put_default(container, &["terminationMessagePath"], "/dev/termination-log");
    put_default(container, &["terminationMessagePolicy"], "File");
    put_default(container, &["resources"], json!({}));
    let image = json::text(container, "/image").to_owned();
    put_default(container, &["imagePullPolicy"], pull_policy(&image));
    for port in list_mut(container, &["ports"]).into_iter().flatten() {
        put_default(port, &["protocol"], "TCP");
    }
    for variable in list_mut(container, &["env"]).into_iter().flatten() {
        if has(variable, "/valueFrom/fieldRef") {
            put_default(variable, &["valueFrom", "fieldRef", "apiVersion"], "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if has(container, &format!("/{name}")) {
            probe(json::slot(container, &[name]));
        }
    }
}

/// `latest`, said or not, is pulled every time.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let is_pinned = last.contains('@') || last.split_once(':').is_some_and(|(_, t)| t != "latest");
    if is_pinned { "IfNotPresent" } else { "Always" }
}

fn probe(probe: &mut Value) {
    put_default(probe, &["timeoutSeconds"], 1);
    put_default(probe, &["periodSeconds"], 10);
    put_default(probe, &["successThreshold"], 1);
    put_default(probe, &["failureThreshold"], 3);
    if has(probe, "/httpGet") {
        put_default(probe, &["httpGet", "path"], "/");
        put_default(probe, &["httpGet", "scheme"], "HTTP");
    }
    if has(probe, "/grpc") {
        put_default(probe, &["grpc", "service"], "");
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|fields| fields.len() > 1);
    if !has_source {
        put(volume, &["emptyDir"], json!({}));
    }
    for source in WITH_MODE {
        if has(volume, &format!("/{source}")) {
            // 0644
            put_default(volume, &[source, "defaultMode"], 420);
        }
    }
    if has(volume, "/hostPath") {
        put_default(volume, &["hostPath", "type"], "");
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(limits) = json::object(container, "/resources/limits").cloned() else {
        return;
    };
    for (name, limit) in limits {
        put_default(container, &["resources", "requests", &name], limit);
    }
}
