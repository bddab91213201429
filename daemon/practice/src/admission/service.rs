//! Addresses and node ports of services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::json::{self, put};
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult, Cause};
use crate::storage::Store;

/// Node ports are given from this range.
const NODE_PORTS: std::ops::Range<i64> = 30_000..32_768;

/// Gives a service what it asks for and does not have yet.
pub(super) fn allocate(store: &Store, resource: &Resource, object: &mut Value) -> ApiResult<()> {
    let kind = match json::text(object, "/spec/type") {
        "" => "ClusterIP".to_owned(),
        kind => kind.to_owned(),
    };
    if kind == "ExternalName" {
        return Ok(());
    }
    json::put_default(object, &["spec", "ipFamilies"], json!(["IPv4"]));
    json::put_default(object, &["spec", "ipFamilyPolicy"], "SingleStack");
    let name = json::name(object).to_owned();
    let uid = json::uid(object).to_owned();
    let others: Vec<_> =
        store.list("services", "").filter(|other| json::uid(other) != uid).cloned().collect();
    let wanted = json::text(object, "/spec/clusterIP").to_owned();
    let used: BTreeSet<&str> = others.iter().map(|o| json::text(o, "/spec/clusterIP")).collect();
    if wanted.is_empty() {
        let address = (0_u32..65_534)
            .map(|number| number + 2)
            .map(|number| format!("10.96.{}.{}", number / 256, number % 256))
            .find(|address| !used.contains(address.as_str()));
        put(object, &["spec", "clusterIP"], address.unwrap_or_default());
    } else if wanted != "None" && used.contains(wanted.as_str()) {
        let cause = Cause::invalid(
            "spec.clusterIPs",
            &json!([wanted]),
            &format!("failed to allocate IP {wanted}: provided IP is already allocated"),
        );
        return Err(ApiError::invalid(resource.named(), &name, &[cause]));
    }
    let address = json::text(object, "/spec/clusterIP").to_owned();
    put(object, &["spec", "clusterIPs"], json!([address]));
    if kind != "NodePort" && kind != "LoadBalancer" {
        return Ok(());
    }
    let mut taken: BTreeSet<i64> = others
        .iter()
        .flat_map(|other| json::items(other, "/spec/ports"))
        .filter_map(|port| json::int(port, "/nodePort"))
        .collect();
    for (index, port) in
        json::list_mut(object, &["spec", "ports"]).into_iter().flatten().enumerate()
    {
        match json::int(port, "/nodePort").filter(|number| *number != 0) {
            Some(number) if !NODE_PORTS.contains(&number) || taken.contains(&number) => {
                let detail = if taken.contains(&number) {
                    "provided port is already allocated"
                } else {
                    "provided port is not in the valid range. The range of valid ports is 30000-32767"
                };
                let field = format!("spec.ports[{index}].nodePort");
                let cause = Cause::invalid(field, &Value::from(number), detail);
                return Err(ApiError::invalid(resource.named(), &name, &[cause]));
            }
            Some(number) => {
                taken.insert(number);
            }
            None => {
                if let Some(free) = NODE_PORTS.clone().find(|number| !taken.contains(number)) {
                    taken.insert(free);
                    put(port, &["nodePort"], free);
                }
            }
        }
    }
    Ok(())
}

/// Keeps what a service was given when its author does not repeat it.
pub(super) fn keep(object: &mut Value, old: &Value) {
    if json::text(object, "/spec/type") == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(was) = old.pointer(&format!("/spec/{field}")) {
            json::put_default(object, &["spec", field], was.clone());
        }
    }
    let kind = json::text(object, "/spec/type");
    let has_node_ports = kind == "NodePort" || kind == "LoadBalancer";
    let before = json::items(old, "/spec/ports").to_vec();
    for port in json::list_mut(object, &["spec", "ports"]).into_iter().flatten() {
        if !has_node_ports {
            // The type changed back: the ports are given up.
            json::take(port, &["nodePort"]);
            continue;
        }
        let same = before.iter().find(|was| {
            was.get("port") == port.get("port")
                && json::text(was, "/protocol").replace("TCP", "")
                    == json::text(port, "/protocol").replace("TCP", "")
        });
        if let Some(number) = same.and_then(|was| was.get("nodePort")) {
            json::put_default(port, &["nodePort"], number.clone());
        }
    }
}
