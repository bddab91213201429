//! Defaults of services, network policies and endpoint slices.

use serde_json::{Value, json};

use crate::json::{self, has, list_mut, put_default};

pub(super) fn service(object: &mut Value) {
    let spec = json::slot(object, &["spec"]);
    put_default(spec, &["type"], "ClusterIP");
    put_default(spec, &["sessionAffinity"], "None");
    if json::text(spec, "/sessionAffinity") == "ClientIP" {
        put_default(spec, &["sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10_800);
    }
    for port in list_mut(spec, &["ports"]).into_iter().flatten() {
        put_default(port, &["protocol"], "TCP");
        let same = port.get("port").cloned().unwrap_or(Value::Null);
        put_default(port, &["targetPort"], same);
    }
    let kind = json::text(spec, "/type").to_owned();
    if kind != "ExternalName" {
        put_default(spec, &["internalTrafficPolicy"], "Cluster");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        put_default(spec, &["externalTrafficPolicy"], "Cluster");
    }
    if kind == "LoadBalancer" {
        put_default(spec, &["allocateLoadBalancerNodePorts"], true);
    }
    put_default(object, &["status", "loadBalancer"], json!({}));
}

pub(super) fn policy(object: &mut Value) {
    let mut types = vec!["Ingress"];
    if has(object, "/spec/egress") {
        types.push("Egress");
    }
    put_default(object, &["spec", "policyTypes"], json!(types));
    for direction in ["ingress", "egress"] {
        for rule in list_mut(object, &["spec", direction]).into_iter().flatten() {
            for port in list_mut(rule, &["ports"]).into_iter().flatten() {
                put_default(port, &["protocol"], "TCP");
            }
        }
    }
}

pub(super) fn endpoint_slice(object: &mut Value) {
    for port in list_mut(object, &["ports"]).into_iter().flatten() {
        put_default(port, &["name"], "");
        put_default(port, &["protocol"], "TCP");
    }
}
