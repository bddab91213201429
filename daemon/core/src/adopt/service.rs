//! The Service in front of a workload.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::difference::difference;
use super::names::{Names, is_label};
use super::object::{is, items, name, text};
use crate::score::{Port, Protocol, Service};

/// A Service that was read.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) service: Service,
    /// What Score can't say: `object` and `ports`.
    pub(super) kept: Value,
    pub(super) besides: Vec<String>,
}

/// The place of the Service that leads to a controller's pods: of several, the one of
/// its name, then one with an address of its own.
pub(super) fn of(open: &[super::Source], controller: &Value) -> Option<usize> {
    let rank = |service: &Value| {
        let same = name(service) == name(controller);
        let headless = text(service, "/spec/clusterIP") == Some("None");
        (!same, headless)
    };
    open.iter()
        .enumerate()
        .filter(|(_, source)| leads_to(&source.object, controller))
        .min_by_key(|(_, source)| rank(&source.object))
        .map(|(place, _)| place)
}

fn leads_to(service: &Value, controller: &Value) -> bool {
    let labels = controller.pointer("/spec/template/metadata/labels");
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let namespace = |object| text(object, "/metadata/namespace").map(str::to_owned);
    is(service, "", "Service")
        && (namespace(service).is_none()
            || namespace(controller).is_none()
            || namespace(service) == namespace(controller))
        && items(service, "/spec/ports").iter().all(Value::is_object)
        && selector.is_some_and(|selector| {
            !selector.is_empty()
                && selector
                    .iter()
                    .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
        })
}

/// Reads a Service in front of a controller.
pub(super) fn take(service: &Value, controller: &Value) -> Taken {
    let named = named_ports(controller);
    let mut names = Names::default();
    let mut ports = BTreeMap::new();
    let mut kept = Vec::new();
    let mut besides = Vec::new();
    for port in items(service, "/spec/ports") {
        let taken = port.as_object().and_then(|fields| {
            let (of, base) = read(fields, &named)?;
            let wanted = text(port, "/name").filter(|name| is_label(name));
            let wanted = wanted.map_or_else(|| format!("port-{}", of.port), str::to_owned);
            Some((names.unique(&wanted), of, base, fields))
        });
        let Some((name, of, mut base, fields)) = taken else {
            kept.push(json!({"kept": port}));
            besides.push(format!("service.ports[{}]", text(port, "/name").unwrap_or("?")));
            continue;
        };
        base.insert("name".to_owned(), name.clone().into());
        let with = difference(&base, fields);
        let mut item = Map::from_iter([("score".to_owned(), Value::from(name.as_str()))]);
        if !with.is_empty() {
            let fields: Vec<&str> = with.keys().map(String::as_str).collect();
            besides.push(format!("service.ports[{name}] {}", fields.join(", ")));
            item.insert("with".to_owned(), Value::Object(with));
        }
        kept.push(Value::Object(item));
        ports.insert(name, of);
    }
    let mut object = service.clone();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("ports");
        besides.extend(spec.keys().map(|field| format!("service.spec.{field}")));
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("namespace");
        let more = metadata.keys().filter(|field| *field != "name");
        besides.extend(more.map(|field| format!("service.metadata.{field}")));
    }
    Taken { service: Service { ports }, kept: json!({"object": object, "ports": kept}), besides }
}

/// Numbers of the ports that containers name.
fn named_ports(controller: &Value) -> BTreeMap<&str, u16> {
    let containers = items(controller, "/spec/template/spec/containers").iter();
    let ports = containers.flat_map(|container| items(container, "/ports"));
    let ports = ports.filter_map(|port| {
        let number = port.get("containerPort")?.as_u64()?;
        Some((text(port, "/name")?, u16::try_from(number).ok()?))
    });
    ports.collect()
}

/// A port as Score has it, and what is rendered of that, but for its name; none where
/// Score can't say it.
fn read(
    fields: &Map<String, Value>,
    named: &BTreeMap<&str, u16>,
) -> Option<(Port, Map<String, Value>)> {
    let number = |value: &Value| {
        value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
    };
    let port = number(fields.get("port")?)?;
    let target = match fields.get("targetPort") {
        None => None,
        Some(Value::String(name)) => Some(named.get(name.as_str()).copied()?),
        Some(target) => Some(number(target)?),
    };
    let protocol = match fields.get("protocol").map(Value::as_str) {
        None | Some(Some("TCP")) => Protocol::Tcp,
        Some(Some("UDP")) => Protocol::Udp,
        Some(_) => return None,
    };
    let base = Map::from_iter([
        ("port".to_owned(), port.into()),
        ("targetPort".to_owned(), target.unwrap_or(port).into()),
        ("protocol".to_owned(), json!(protocol)),
    ]);
    let is_udp = protocol == Protocol::Udp;
    let target_port = target.filter(|target| *target != port);
    Some((Port { port, protocol: is_udp.then_some(protocol), target_port }, base))
}
