//! Services and ingresses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pod::port_number;
use super::{labels, names};
use crate::json::{self, items, text};
use crate::status::Cause;

pub(super) fn service(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    let kind = text(object, "/spec/type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        found.push(Cause::unsupported("spec.type", &Value::from(kind), &kinds));
    }
    let ports = items(object, "/spec/ports");
    let headless = text(object, "/spec/clusterIP") == "None";
    if ports.is_empty() && kind != "ExternalName" && !headless {
        found.push(Cause::required("spec.ports", ""));
    }
    if kind == "ExternalName" && text(object, "/spec/externalName").is_empty() {
        found.push(Cause::required("spec.externalName", ""));
    }
    let mut seen_names = BTreeSet::new();
    let mut seen_ports = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = format!("spec.ports[{index}]");
        let name = text(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            found.push(Cause::required(format!("{at}.name"), ""));
        } else if !name.is_empty() {
            let field = format!("{at}.name");
            if let Some(complaint) = names::label(name) {
                found.push(Cause::invalid(field, &Value::from(name), &complaint));
            } else if !seen_names.insert(name) {
                found.push(Cause::duplicate(field, &Value::from(name)));
            }
        }
        let number = json::int(port, "/port").unwrap_or_default();
        port_number(number, &format!("{at}.port"), found);
        let protocol = text(port, "/protocol");
        if !["SCTP", "TCP", "UDP"].contains(&protocol) {
            found.push(Cause::unsupported(
                format!("{at}.protocol"),
                &Value::from(protocol),
                &["SCTP", "TCP", "UDP"],
            ));
        }
        match port.get("targetPort") {
            Some(Value::Number(n)) => {
                port_number(n.as_i64().unwrap_or_default(), &format!("{at}.targetPort"), found)
            }
            Some(Value::String(target)) => {
                if let Some(complaint) = names::port_name(target) {
                    let value = Value::from(target.as_str());
                    found.push(Cause::invalid(format!("{at}.targetPort"), &value, &complaint));
                }
            }
            _ => {}
        }
        if !seen_ports.insert((number, protocol)) {
            let shown = serde_json::json!({"port": number, "protocol": protocol});
            found.push(Cause::duplicate(at, &shown));
        }
    }
    labels::labels(object, "spec.selector", "/spec/selector", found);
    if let Some(old) = old {
        let was = text(old, "/spec/clusterIP");
        let is = text(object, "/spec/clusterIP");
        if !was.is_empty() && was != is && kind != "ExternalName" {
            let value = serde_json::json!([is]);
            found.push(Cause::invalid("spec.clusterIPs[0]", &value, "may not change once set"));
        }
    }
}

pub(super) fn ingress(object: &Value, found: &mut Vec<Cause>) {
    let rules = items(object, "/spec/rules");
    if rules.is_empty() && !json::has(object, "/spec/defaultBackend") {
        let spec = object.get("spec").cloned().unwrap_or(Value::Null);
        found.push(Cause::invalid(
            "spec",
            &spec,
            "either `defaultBackend` or `rules` must be specified",
        ));
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("spec.rules[{index}]");
        let host = text(rule, "/host");
        let plain = host.strip_prefix("*.").unwrap_or(host);
        if !host.is_empty()
            && let Some(complaint) = names::subdomain(plain)
        {
            let host = Value::from(host);
            found.push(Cause::invalid(format!("{at}.host"), &host, &complaint));
        }
        let paths = items(rule, "/http/paths");
        if json::has(rule, "/http") && paths.is_empty() {
            found.push(Cause::required(format!("{at}.http.paths"), ""));
        }
        for (number, path) in paths.iter().enumerate() {
            let at = format!("{at}.http.paths[{number}]");
            let kind = text(path, "/pathType");
            let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
            if kind.is_empty() {
                found.push(Cause::required(format!("{at}.pathType"), "pathType must be specified"));
            } else if !kinds.contains(&kind) {
                found.push(Cause::unsupported(
                    format!("{at}.pathType"),
                    &Value::from(kind),
                    &kinds,
                ));
            }
            let value = text(path, "/path");
            if !value.starts_with('/') && (kind != "ImplementationSpecific" || !value.is_empty()) {
                found.push(Cause::invalid(
                    format!("{at}.path"),
                    &Value::from(value),
                    "must be an absolute path",
                ));
            }
            backend(path.get("backend").unwrap_or(&Value::Null), &format!("{at}.backend"), found);
        }
    }
}

fn backend(backend: &Value, at: &str, found: &mut Vec<Cause>) {
    if json::has(backend, "/resource") {
        return;
    }
    let name = text(backend, "/service/name");
    if name.is_empty() {
        found.push(Cause::required(format!("{at}.service.name"), ""));
    } else if let Some(complaint) = names::label_1035(name) {
        let field = format!("{at}.service.name");
        found.push(Cause::invalid(field, &Value::from(name), &complaint));
    }
    let port = backend.pointer("/service/port");
    let number = port.and_then(|port| json::int(port, "/number"));
    let has_name = port.is_some_and(|port| !text(port, "/name").is_empty());
    match number {
        Some(number) if number != 0 => {
            port_number(number, &format!("{at}.service.port.number"), found);
        }
        _ if !has_name => found
            .push(Cause::required(format!("{at}.service.port"), "port name or number is required")),
        _ => {}
    }
}
