//! The cells of what leads to pods.

use serde_json::{Value, json};

use super::{Columns, NONE, age, or_none, selector, some_of};
use crate::json::{self, int, items, text};

pub(super) fn columns(kind: &str) -> Option<Columns> {
    Some(match kind {
        "Service" => (&["Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"], |o| {
            vec![
                json!(text(o, "/spec/type")),
                or_none(text(o, "/spec/clusterIP")),
                json!(external(o)),
                json!(ports(o)),
                age(o),
                selector(o, "/spec/selector"),
            ]
        }),
        "Ingress" => (&["Class", "Hosts", "Address", "Ports", "Age"], |o| {
            let hosts: Vec<String> = items(o, "/spec/rules")
                .iter()
                .map(|rule| text(rule, "/host").to_owned())
                .filter(|host| !host.is_empty())
                .collect();
            let hosts = if hosts.is_empty() { "*".to_owned() } else { some_of(&hosts, 3) };
            let has_tls = !items(o, "/spec/tls").is_empty();
            vec![
                or_none(text(o, "/spec/ingressClassName")),
                json!(hosts),
                json!(places(o).join(",")),
                json!(if has_tls { "80, 443" } else { "80" }),
                age(o),
            ]
        }),
        "IngressClass" => (&["Controller", "Parameters", "Age"], |o| {
            let kind = text(o, "/spec/parameters/kind");
            let parameters = match text(o, "/spec/parameters/apiGroup") {
                _ if kind.is_empty() => NONE.to_owned(),
                "" => format!("{kind}/{}", text(o, "/spec/parameters/name")),
                group => format!("{kind}.{group}/{}", text(o, "/spec/parameters/name")),
            };
            vec![json!(text(o, "/spec/controller")), json!(parameters), age(o)]
        }),
        "Endpoints" => (&["Endpoints", "Age"], |o| {
            let mut all = Vec::new();
            for subset in items(o, "/subsets") {
                for port in items(subset, "/ports") {
                    for address in items(subset, "/addresses") {
                        let number = int(port, "/port").unwrap_or_default();
                        all.push(format!("{}:{number}", text(address, "/ip")));
                    }
                }
            }
            vec![or_none(&some_of(&all, 3)), age(o)]
        }),
        "EndpointSlice" => (&["AddressType", "Ports", "Endpoints", "Age"], |o| {
            let ports: Vec<String> = items(o, "/ports")
                .iter()
                .map(|port| int(port, "/port").map_or("*".to_owned(), |n| n.to_string()))
                .collect();
            let addresses: Vec<String> = items(o, "/endpoints")
                .iter()
                .flat_map(|endpoint| items(endpoint, "/addresses"))
                .filter_map(|address| address.as_str().map(str::to_owned))
                .collect();
            let shown = |list: &[String]| {
                if list.is_empty() { json!("<unset>") } else { json!(some_of(list, 3)) }
            };
            vec![json!(text(o, "/addressType")), shown(&ports), shown(&addresses), age(o)]
        }),
        "NetworkPolicy" => {
            (&["Pod-Selector", "Age"], |o| vec![selector(o, "/spec/podSelector"), age(o)])
        }
        _ => return None,
    })
}

/// Where a load balancer is.
fn places(object: &Value) -> Vec<&str> {
    items(object, "/status/loadBalancer/ingress")
        .iter()
        .map(|place| match text(place, "/ip") {
            "" => text(place, "/hostname"),
            ip => ip,
        })
        .collect()
}

fn external(service: &Value) -> String {
    let ips: Vec<&str> =
        items(service, "/spec/externalIPs").iter().filter_map(Value::as_str).collect();
    match text(service, "/spec/type") {
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        "LoadBalancer" => {
            let all = [places(service), ips].concat();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ if ips.is_empty() => NONE.to_owned(),
        _ => ips.join(","),
    }
}

fn ports(service: &Value) -> String {
    let all: Vec<String> = items(service, "/spec/ports")
        .iter()
        .map(|port| {
            let node = int(port, "/nodePort").filter(|number| *number != 0);
            let node = node.map_or_else(String::new, |number| format!(":{number}"));
            let number = int(port, "/port").unwrap_or_default();
            format!("{number}{node}/{}", json::text(port, "/protocol"))
        })
        .collect();
    if all.is_empty() { NONE.to_owned() } else { all.join(",") }
}
