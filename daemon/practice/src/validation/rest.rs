//! The smaller kinds.

use serde_json::Value;

use super::{immutable, names};
use crate::json::{self, text};
use crate::quantity::Quantity;
use crate::status::Cause;

/// The data of a config map or a secret is at most this large.
const MOST_DATA: usize = 1024 * 1024;

pub(super) fn config_map(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    data(object, &["data", "binaryData"], old, found);
}

pub(super) fn secret(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    data(object, &["data"], old, found);
    immutable(object, old, "/type", found);
    let needed = match text(object, "/type") {
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].as_slice(),
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed {
        if object.get("data").and_then(|data| data.get(key)).is_none() {
            found.push(Cause::required(format!("data[{key}]"), ""));
        }
    }
}

fn data(object: &Value, fields: &[&str], old: Option<&Value>, found: &mut Vec<Cause>) {
    let mut size = 0;
    for field in fields {
        for (key, value) in json::object(object, &format!("/{field}")).into_iter().flatten() {
            size += value.as_str().map_or(0, str::len);
            if let Some(complaint) = names::config_key(key) {
                let place = format!("{field}[{key}]");
                found.push(Cause::invalid(place, &Value::from(key.as_str()), &complaint));
            }
        }
        if old
            .is_some_and(|old| json::flag(old, "/immutable") && old.get(field) != object.get(field))
        {
            found.push(Cause::forbidden(*field, "field is immutable when `immutable` is set"));
        }
    }
    if old.is_some_and(|old| json::flag(old, "/immutable") && !json::flag(object, "/immutable")) {
        found.push(Cause::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    if size > MOST_DATA {
        found.push(Cause::too_long("", MOST_DATA));
    }
}

pub(super) fn claim(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    if json::items(object, "/spec/accessModes").is_empty() {
        found.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let size = object.pointer("/spec/resources/requests/storage");
    if size.is_none() {
        found.push(Cause::required("spec.resources[storage]", ""));
    }
    let Some(old) = old else { return };
    let frozen = |object: &Value| {
        let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
        json::take(&mut spec, &["resources"]);
        json::take(&mut spec, &["volumeName"]);
        spec
    };
    if frozen(old) != frozen(object) {
        found.push(Cause::forbidden("spec", "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"));
    }
    let was = old.pointer("/spec/resources/requests/storage");
    if size.and_then(Quantity::read) < was.and_then(Quantity::read) {
        found.push(Cause::forbidden(
            "spec.resources.requests.storage",
            "field can not be less than status.capacity",
        ));
    }
}

pub(super) fn quota(object: &Value, found: &mut Vec<Cause>) {
    for (name, value) in json::object(object, "/spec/hard").into_iter().flatten() {
        if Quantity::read(value).is_none_or(|q| q < Quantity::default()) {
            found.push(Cause::invalid(
                format!("spec.hard[{name}]"),
                value,
                "must be greater than or equal to 0",
            ));
        }
    }
}

pub(super) fn autoscaler(object: &Value, found: &mut Vec<Cause>) {
    let (least, most) = (
        json::int(object, "/spec/minReplicas").unwrap_or(1),
        json::int(object, "/spec/maxReplicas").unwrap_or_default(),
    );
    if most < 1 {
        found.push(Cause::invalid(
            "spec.maxReplicas",
            &Value::from(most),
            "must be greater than 0",
        ));
    } else if most < least {
        found.push(Cause::invalid(
            "spec.maxReplicas",
            &Value::from(most),
            "must be greater than or equal to `minReplicas`",
        ));
    }
    for field in ["kind", "name"] {
        if text(object, &format!("/spec/scaleTargetRef/{field}")).is_empty() {
            found.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
}

pub(super) fn role(object: &Value, found: &mut Vec<Cause>) {
    for (index, rule) in json::items(object, "/rules").iter().enumerate() {
        let at = format!("rules[{index}]");
        if json::items(rule, "/verbs").is_empty() {
            found.push(Cause::required(
                format!("{at}.verbs"),
                "verbs must contain at least one value",
            ));
        }
        if json::items(rule, "/resources").is_empty()
            && json::items(rule, "/nonResourceURLs").is_empty()
        {
            found.push(Cause::required(
                format!("{at}.resources"),
                "resource rules must supply at least one resource",
            ));
        }
    }
}

pub(super) fn binding(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    let kind = text(object, "/roleRef/kind");
    if !["Role", "ClusterRole"].contains(&kind) {
        found.push(Cause::unsupported(
            "roleRef.kind",
            &Value::from(kind),
            &["ClusterRole", "Role"],
        ));
    }
    if text(object, "/roleRef/name").is_empty() {
        found.push(Cause::required("roleRef.name", ""));
    }
    if let Some(old) = old
        && old.get("roleRef") != object.get("roleRef")
    {
        let value = object.get("roleRef").cloned().unwrap_or(Value::Null);
        found.push(Cause::invalid("roleRef", &value, "cannot change roleRef"));
    }
}

pub(super) fn definition(object: &Value, found: &mut Vec<Cause>) {
    let (group, plural) = (text(object, "/spec/group"), text(object, "/spec/names/plural"));
    if json::name(object) != format!("{plural}.{group}") {
        found.push(Cause::invalid(
            "metadata.name",
            &Value::from(json::name(object)),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    for field in ["plural", "kind"] {
        if text(object, &format!("/spec/names/{field}")).is_empty() {
            found.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    let scope = text(object, "/spec/scope");
    if !["Cluster", "Namespaced"].contains(&scope) {
        found.push(Cause::unsupported(
            "spec.scope",
            &Value::from(scope),
            &["Cluster", "Namespaced"],
        ));
    }
    let versions = json::items(object, "/spec/versions");
    let stored = versions.iter().filter(|v| json::flag(v, "/storage")).count();
    if stored != 1 {
        let value = Value::from(versions.to_vec());
        found.push(Cause::invalid(
            "spec.versions",
            &value,
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        if !json::has(version, "/schema/openAPIV3Schema") {
            found.push(Cause::required(
                format!("spec.versions[{index}].schema.openAPIV3Schema"),
                "schemas are required",
            ));
        }
    }
}
