//! A container as Score has it, and what Score can't say of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::difference::difference;
use super::escape::placeholders;
use super::object::{items, text};
use super::volumes::{Volumes, target};
use crate::score::{
    ComputeResources, Container, Exec, HttpGet, HttpHeader, Probe, Quantities, Scheme,
};

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Main,
    /// Others wait until it has ended.
    Init,
    /// An init container that runs on.
    Sidecar,
}

/// A container that was read.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) container: Container,
    /// Its item of the kept list.
    pub(super) kept: Value,
    /// Fields that Score can't say.
    pub(super) besides: Vec<String>,
}

/// Reads a container that Score calls `key`. Fails where it is none.
pub(super) fn take(
    source: &Value,
    key: &str,
    role: Role,
    ports: &BTreeMap<&str, u16>,
    volumes: &Volumes,
) -> Result<Taken, (&'static str, &'static str)> {
    let fields = source.as_object().ok_or(("", "it is no object"))?;
    let image = text(source, "/image").filter(|image| !image.is_empty());
    let image = image.ok_or(("image", "it has no image"))?;
    let mut container = Container { image: image.to_owned(), ..Container::default() };
    let mut base = Map::from_iter([
        ("name".to_owned(), Value::from(key)),
        ("image".to_owned(), Value::from(image)),
    ]);
    container.command = texts(source, "command");
    container.args = texts(source, "args");
    for (name, list) in [("command", &container.command), ("args", &container.args)] {
        base.extend(list.as_ref().map(|list| (name.to_owned(), json!(list))));
    }
    container.resources = resources(source);
    base.extend(container.resources.as_ref().map(|it| ("resources".to_owned(), json!(it))));
    if role != Role::Init {
        container.liveness_probe = probe(source, "livenessProbe", ports);
        container.readiness_probe = probe(source, "readinessProbe", ports);
    }
    let probes = [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ];
    for (name, probe) in probes {
        base.extend(probe.as_ref().map(|probe| (name.to_owned(), json!(probe))));
    }
    if role == Role::Sidecar {
        base.insert("restartPolicy".to_owned(), "Always".into());
    }
    let (variables, env) = environment(items(source, "/env"));
    let (mounted, mounts) = mounts(items(source, "/volumeMounts"), volumes);
    container.variables = variables;
    container.volumes = mounted;

    let mut wanted = fields.clone();
    wanted.remove("env");
    wanted.remove("volumeMounts");
    let with = difference(&base, &wanted);
    let name = text(source, "/name").unwrap_or(key);
    let mut besides: Vec<String> =
        with.keys().map(|field| format!("containers[{name}].{field}")).collect();
    let mut kept = Map::from_iter([("score".to_owned(), Value::from(key))]);
    let names = |list: &[Value], field: &str| {
        let kept = list.iter().filter_map(|item| text(item, &format!("/kept/{field}")));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    besides.extend(names(&env, "name").iter().map(|of| format!("containers[{name}].env[{of}]")));
    besides.extend(
        names(&mounts, "mountPath")
            .iter()
            .map(|of| format!("containers[{name}].volumeMounts[{of}]")),
    );
    for (field, list) in [("env", env), ("volumeMounts", mounts)] {
        if !list.is_empty() {
            kept.insert(field.to_owned(), list.into());
        }
    }
    if !with.is_empty() {
        kept.insert("with".to_owned(), Value::Object(with));
    }
    Ok(Taken { container, kept: Value::Object(kept), besides })
}

/// A list of texts; none where it is something else, or empty.
fn texts(source: &Value, field: &str) -> Option<Vec<String>> {
    let list = source.get(field)?.as_array()?;
    let texts: Option<Vec<String>> =
        list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| !texts.is_empty())
}

/// Variables that have a value of their own; and all, in their order, unless that is
/// the order of their names.
fn environment(list: &[Value]) -> (BTreeMap<String, String>, Vec<Value>) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for name in list.iter().filter_map(|item| text(item, "/name")) {
        *times.entry(name).or_default() += 1;
    }
    let mut variables = BTreeMap::new();
    let mut kept = Vec::new();
    for item in list {
        let name = text(item, "/name")
            .filter(|name| !name.is_empty() && !name.contains('=') && times.get(name) == Some(&1));
        let alone = item.as_object().is_some_and(|fields| fields.len() == 2);
        match (name, text(item, "/value")) {
            (Some(name), Some(value)) if alone => {
                variables.insert(name.to_owned(), placeholders(value));
                kept.push(json!({"score": name}));
            }
            _ => kept.push(json!({"kept": item})),
        }
    }
    let by_name = variables.keys().map(|name| json!({"score": name}));
    let plain = kept.iter().eq(by_name.collect::<Vec<_>>().iter());
    (variables, if plain { Vec::new() } else { kept })
}

/// Mounts by where they are, and all in their order: their volumes have other names in
/// Score.
fn mounts(
    list: &[Value],
    volumes: &Volumes,
) -> (BTreeMap<String, crate::score::Volume>, Vec<Value>) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for target in list.iter().filter_map(target) {
        *times.entry(target).or_default() += 1;
    }
    let mut mounted = BTreeMap::new();
    let mut kept = Vec::new();
    for mount in list {
        let alone = target(mount).is_some_and(|target| times.get(target) == Some(&1));
        match volumes.mount(mount).filter(|_| alone) {
            Some((target, volume, item)) => {
                mounted.insert(target, volume);
                kept.push(item);
            }
            None => kept.push(json!({"kept": mount})),
        }
    }
    (mounted, kept)
}

/// The names of volumes that a container mounts once, where Score can say it.
pub(super) fn mounted(source: &Value) -> BTreeSet<String> {
    let list = items(source, "/volumeMounts");
    let once = |mount: &&Value| {
        let Some(place) = target(mount) else { return false };
        list.iter().filter(|other| target(other) == Some(place)).count() == 1
    };
    let mounts = list.iter().filter(once);
    mounts.filter_map(|mount| text(mount, "/name").map(str::to_owned)).collect()
}

/// Processor time and memory, as far as Score has them.
fn resources(source: &Value) -> Option<ComputeResources> {
    let quantities = |field: &str| {
        let of = |name: &str, fits: fn(&str) -> bool| {
            text(source, &format!("/resources/{field}/{name}"))
                .filter(|text| fits(text))
                .map(str::to_owned)
        };
        let found = Quantities { cpu: of("cpu", is_cpu), memory: of("memory", is_memory) };
        (found != Quantities::default()).then_some(found)
    };
    let found = ComputeResources { limits: quantities("limits"), requests: quantities("requests") };
    (found != ComputeResources::default()).then_some(found)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `250m`, `1`, `1.5`: what Score's schema has.
fn is_cpu(text: &str) -> bool {
    let whole = text.strip_suffix('m').unwrap_or(text);
    is_digits(whole)
        || text.split_once('.').is_some_and(|(whole, part)| is_digits(whole) && is_digits(part))
}

/// `128Mi`: what Score's schema has.
fn is_memory(text: &str) -> bool {
    const UNITS: [&str; 12] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "K", "M", "G", "T", "P", "E"];
    let number = UNITS.iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or(text);
    let (whole, part) = number.split_once('.').map_or((number, None), |(a, b)| (a, Some(b)));
    let part_fits = part.is_none_or(is_digits);
    let whole_fits = is_digits(whole) && !whole.starts_with('0');
    part_fits && (whole_fits || (whole == "0" && part.is_some()))
}

/// A probe by HTTP or by command, as far as Score has it. A port that is called by its
/// name is looked up.
fn probe(source: &Value, field: &str, ports: &BTreeMap<&str, u16>) -> Option<Probe> {
    let probe = source.get(field)?;
    let http_get = probe.get("httpGet").and_then(|get| {
        let port = match get.get("port")? {
            Value::String(name) => ports.get(name.as_str()).copied()?,
            port => port.as_u64().and_then(|port| u16::try_from(port).ok())?,
        };
        let headers = items(get, "/httpHeaders").iter().map(header).collect::<Option<_>>();
        let scheme = match text(get, "/scheme") {
            Some("HTTP") => Some(Scheme::Http),
            Some("HTTPS") => Some(Scheme::Https),
            _ => None,
        };
        Some(HttpGet {
            host: text(get, "/host").map(str::to_owned),
            scheme,
            path: text(get, "/path").unwrap_or("/").to_owned(),
            port: (port > 0).then_some(port)?,
            http_headers: headers.unwrap_or_default(),
        })
    });
    let exec = probe.get("exec").and_then(|exec| texts(exec, "command"));
    let found = Probe { http_get, exec: exec.map(|command| Exec { command }) };
    (found != Probe::default()).then_some(found)
}

/// A header, if Score takes its name.
fn header(header: &Value) -> Option<HttpHeader> {
    let fields = header.as_object().filter(|fields| fields.len() == 2)?;
    let name = fields.get("name")?.as_str()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let value = fields.get("value")?.as_str()?;
    let is_name = !name.is_empty() && name.chars().all(fits);
    is_name.then(|| HttpHeader { name: name.to_owned(), value: value.to_owned() })
}
