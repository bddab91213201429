//! Ingresses and HTTPRoutes: which workload they lead to, and what a developer would
//! say of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::object::{group, is, items, text};

/// Whether it leads requests to Services.
pub(super) fn is_route(object: &Value) -> bool {
    is(object, "networking.k8s.io", "Ingress")
        || (group(object) == "gateway.networking.k8s.io"
            && text(object, "/kind") == Some("HTTPRoute"))
}

/// The place of a route that leads to one Service, and to no other.
pub(super) fn of(open: &[super::Source], service: &str) -> Option<usize> {
    open.iter().position(|source| {
        is_route(&source.object) && backends(&source.object) == BTreeSet::from([service])
    })
}

/// The names of the Services that a route leads to.
fn backends(route: &Value) -> BTreeSet<&str> {
    let paths = items(route, "/spec/rules").iter();
    let paths = paths.flat_map(|rule| items(rule, "/http/paths"));
    let of_ingress = paths
        .filter_map(|path| text(path, "/backend/service/name"))
        .chain(text(route, "/spec/defaultBackend/service/name"));
    let rules = items(route, "/spec/rules").iter();
    let references = rules.flat_map(|rule| items(rule, "/backendRefs"));
    of_ingress.chain(references.filter_map(|reference| text(reference, "/name"))).collect()
}

/// Params of an Ingress with one host and one path, and the same Ingress as a template
/// of them. `escaped` is the Ingress as a definition has it.
pub(super) fn params(
    ingress: &Value,
    mut escaped: Value,
) -> Option<(BTreeMap<String, Value>, Value)> {
    if !is(ingress, "networking.k8s.io", "Ingress")
        || ingress.pointer("/spec/defaultBackend").is_some()
    {
        return None;
    }
    const PATH: &str = "/spec/rules/0/http/paths/0";
    let one = |pointer: &str| items(ingress, pointer).len() == 1;
    if !one("/spec/rules") || !one("/spec/rules/0/http/paths") {
        return None;
    }
    let host = text(ingress, "/spec/rules/0/host").filter(|host| plain(host))?;
    let path = text(ingress, &format!("{PATH}/path")).filter(|path| plain(path))?;
    let number = format!("{PATH}/backend/service/port/number");
    let port = ingress.pointer(&number).and_then(Value::as_u64);
    let mut params = BTreeMap::from([
        ("host".to_owned(), Value::from(host)),
        ("path".to_owned(), Value::from(path)),
    ]);
    let mut put = |pointer: &str, template: &str| {
        if let Some(place) = escaped.pointer_mut(pointer) {
            *place = template.into();
        }
    };
    put("/spec/rules/0/host", "{{ params.host }}");
    put(&format!("{PATH}/path"), "{{ params.path }}");
    if let Some(port) = port {
        params.insert("port".to_owned(), port.into());
        put(&number, "{{ params.port }}");
    }
    let certificates = items(ingress, "/spec/tls").len();
    for (index, names) in
        (0..certificates).map(|index| (index, items(ingress, &format!("/spec/tls/{index}/hosts"))))
    {
        for place in (0..names.len()).filter(|place| names.get(*place) == Some(&json!(host))) {
            put(&format!("/spec/tls/{index}/hosts/{place}"), "{{ params.host }}");
        }
    }
    Some((params, escaped))
}

/// Whether a param can be this text: params have placeholders of their own.
fn plain(text: &str) -> bool {
    !text.is_empty() && !text.contains('$')
}
