//! Pods and pod templates.

use std::collections::BTreeSet;

use serde_json::Value;

use super::names;
use crate::json::{self, has, items, text};
use crate::quantity::Quantity;
use crate::status::Cause;

/// What of a pod's spec may change after it was made.
const CHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks a pod.
pub(super) fn check(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    spec_of(spec, "spec", &[], found);
    if let Some(before) = old.and_then(|old| old.get("spec"))
        && frozen(before) != frozen(spec)
    {
        found.push(Cause::forbidden("spec", CHANGEABLE));
    }
}

/// The part of a pod's spec that must stay as it was.
fn frozen(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for field in [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "schedulingGates",
        "ephemeralContainers",
        "nodeName",
    ] {
        json::take(&mut spec, &[field]);
    }
    for list in ["containers", "initContainers"] {
        for container in json::list_mut(&mut spec, &[list]).into_iter().flatten() {
            json::take(container, &["image"]);
        }
    }
    spec
}

/// Checks the spec of a pod or a template. `claims` become volumes of its
/// pods without being in the template.
pub(super) fn spec_of(spec: &Value, at: &str, claims: &[Value], found: &mut Vec<Cause>) {
    let mut volumes = volumes(spec, at, found);
    volumes.extend(claims.iter().map(|claim| json::name(claim).to_owned()));
    let mut seen = BTreeSet::new();
    if items(spec, "/containers").is_empty() {
        found.push(Cause::required(format!("{at}.containers"), ""));
    }
    for list in ["initContainers", "containers"] {
        for (index, container) in items(spec, &format!("/{list}")).iter().enumerate() {
            let place = format!("{at}.{list}[{index}]");
            check_container(container, &place, &volumes, found);
            let name = text(container, "/name");
            if !name.is_empty() && !seen.insert(name.to_owned()) {
                found.push(Cause::duplicate(format!("{place}.name"), &Value::from(name)));
            }
        }
    }
    one_of(spec, "restartPolicy", at, &["Always", "OnFailure", "Never"], found);
    one_of(
        spec,
        "dnsPolicy",
        at,
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        found,
    );
    let grace = json::int(spec, "/terminationGracePeriodSeconds");
    if grace.is_some_and(|seconds| seconds < 0) {
        found.push(Cause::invalid(
            format!("{at}.terminationGracePeriodSeconds"),
            &Value::from(grace),
            "must be greater than or equal to 0",
        ));
    }
    let account = text(spec, "/serviceAccountName");
    if !account.is_empty()
        && let Some(complaint) = names::subdomain(account)
    {
        let field = format!("{at}.serviceAccountName");
        found.push(Cause::invalid(field, &Value::from(account), &complaint));
    }
}

fn one_of(of: &Value, field: &str, at: &str, allowed: &[&str], found: &mut Vec<Cause>) {
    let value = text(of, &format!("/{field}"));
    if !value.is_empty() && !allowed.contains(&value) {
        let value = Value::from(value);
        found.push(Cause::unsupported(format!("{at}.{field}"), &value, allowed));
    }
}

fn volumes(spec: &Value, at: &str, found: &mut Vec<Cause>) -> BTreeSet<String> {
    let mut names_seen = BTreeSet::new();
    for (index, volume) in items(spec, "/volumes").iter().enumerate() {
        let field = format!("{at}.volumes[{index}].name");
        let name = text(volume, "/name");
        if name.is_empty() {
            found.push(Cause::required(field, ""));
        } else if let Some(complaint) = names::label(name) {
            found.push(Cause::invalid(field, &Value::from(name), &complaint));
        } else if !names_seen.insert(name.to_owned()) {
            found.push(Cause::duplicate(field, &Value::from(name)));
        }
        let sources = volume.as_object().map_or(0, |fields| {
            fields.iter().filter(|(k, v)| *k != "name" && !v.is_null()).count()
        });
        if sources > 1 {
            found.push(Cause::forbidden(
                format!("{at}.volumes[{index}]"),
                "may not specify more than 1 volume type",
            ));
        }
    }
    names_seen
}

fn check_container(
    container: &Value,
    at: &str,
    volumes: &BTreeSet<String>,
    found: &mut Vec<Cause>,
) {
    let name = text(container, "/name");
    if name.is_empty() {
        found.push(Cause::required(format!("{at}.name"), ""));
    } else if let Some(complaint) = names::label(name) {
        found.push(Cause::invalid(format!("{at}.name"), &Value::from(name), &complaint));
    }
    let image = text(container, "/image");
    if image.is_empty() {
        found.push(Cause::required(format!("{at}.image"), ""));
    } else if image.trim() != image {
        found.push(Cause::invalid(
            format!("{at}.image"),
            &Value::from(image),
            "must not have leading or trailing whitespace",
        ));
    }
    one_of(container, "imagePullPolicy", at, &["Always", "IfNotPresent", "Never"], found);
    ports(container, at, found);
    for (index, variable) in items(container, "/env").iter().enumerate() {
        let field = format!("{at}.env[{index}]");
        let name = text(variable, "/name");
        if name.is_empty() {
            found.push(Cause::required(format!("{field}.name"), ""));
        } else if let Some(complaint) = names::environment(name) {
            let name = Value::from(name);
            found.push(Cause::invalid(format!("{field}.name"), &name, &complaint));
        }
        if has(variable, "/valueFrom") && !text(variable, "/value").is_empty() {
            found.push(Cause::invalid(
                format!("{field}.valueFrom"),
                &Value::from(""),
                "may not be specified when `value` is not empty",
            ));
        }
    }
    let mut paths = BTreeSet::new();
    for (index, mount) in items(container, "/volumeMounts").iter().enumerate() {
        let field = format!("{at}.volumeMounts[{index}]");
        let (name, path) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            found.push(Cause::required(format!("{field}.name"), ""));
        } else if !volumes.contains(name) {
            found.push(Cause::not_found(format!("{field}.name"), &Value::from(name)));
        }
        if path.is_empty() {
            found.push(Cause::required(format!("{field}.mountPath"), ""));
        } else if !paths.insert(path) {
            found.push(Cause::invalid(
                format!("{field}.mountPath"),
                &Value::from(path),
                "must be unique",
            ));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(of) = container.get(probe) {
            check_probe(of, &format!("{at}.{probe}"), found);
        }
    }
    resources(container, at, found);
}

fn ports(container: &Value, at: &str, found: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (index, port) in items(container, "/ports").iter().enumerate() {
        let field = format!("{at}.ports[{index}]");
        match json::int(port, "/containerPort") {
            None | Some(0) => found.push(Cause::required(format!("{field}.containerPort"), "")),
            Some(number) => {
                port_number(number, &format!("{field}.containerPort"), found);
            }
        }
        one_of(port, "protocol", &field, &["SCTP", "TCP", "UDP"], found);
        let name = text(port, "/name");
        if name.is_empty() {
            continue;
        }
        if let Some(complaint) = names::port_name(name) {
            let name = Value::from(name);
            found.push(Cause::invalid(format!("{field}.name"), &name, &complaint));
        } else if !seen.insert(name) {
            found.push(Cause::duplicate(format!("{field}.name"), &Value::from(name)));
        }
    }
}

/// Checks the number of a port.
pub(super) fn port_number(number: i64, field: &str, found: &mut Vec<Cause>) {
    if !(1..=65_535).contains(&number) {
        found.push(Cause::invalid(
            field,
            &Value::from(number),
            "must be between 1 and 65535, inclusive",
        ));
    }
}

fn check_probe(probe: &Value, at: &str, found: &mut Vec<Cause>) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"]
        .iter()
        .filter(|kind| probe.get(**kind).is_some_and(|v| !v.is_null()))
        .count();
    if handlers == 0 {
        found.push(Cause::required(at, "must specify a handler type"));
    } else if handlers > 1 {
        found.push(Cause::forbidden(at, "may not specify more than 1 handler type"));
    }
    for kind in ["httpGet", "tcpSocket", "grpc"] {
        match probe.pointer(&format!("/{kind}/port")) {
            Some(Value::Number(number)) => port_number(
                number.as_i64().unwrap_or_default(),
                &format!("{at}.{kind}.port"),
                found,
            ),
            Some(Value::String(name)) => {
                if let Some(complaint) = names::port_name(name) {
                    let field = format!("{at}.{kind}.port");
                    found.push(Cause::invalid(field, &Value::from(name.as_str()), &complaint));
                }
            }
            _ => {}
        }
    }
}

fn resources(container: &Value, at: &str, found: &mut Vec<Cause>) {
    for kind in ["limits", "requests"] {
        for (name, value) in
            json::object(container, &format!("/resources/{kind}")).into_iter().flatten()
        {
            let field = format!("{at}.resources.{kind}[{name}]");
            let quantity = Quantity::read(value);
            if quantity.is_some_and(|q| q < Quantity::default()) {
                found.push(Cause::invalid(field, value, "must be greater than or equal to 0"));
                continue;
            }
            let limit =
                container.pointer(&format!("/resources/limits/{}", name.replace('/', "~1")));
            let above = limit.and_then(Quantity::read) < quantity;
            if kind == "requests"
                && above
                && let Some(limit) = limit
            {
                let limit = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
                found.push(Cause::invalid(
                    format!("{at}.resources.requests"),
                    value,
                    &format!("must be less than or equal to {name} limit of {limit}"),
                ));
            }
        }
    }
}
