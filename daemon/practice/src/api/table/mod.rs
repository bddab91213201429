//! Lists as tables, for `kubectl get`.

mod network;
mod path;
mod pod;
mod rest;
mod workloads;

use std::sync::Arc;

pub(crate) use path::values_at;
use serde_json::{Value, json};

use super::negotiation::metadata_of;
use crate::json::{self, text};
use crate::resources::Resource;

/// The columns of a kind behind its name, and the cells below them. A column
/// that begins with `+` is only shown when wide, one with `#` holds numbers.
type Columns = (&'static [&'static str], fn(&Value) -> Vec<Value>);

/// What stands for nothing.
const NONE: &str = "<none>";

/// A table of one object.
pub(crate) fn of_object(object: &Value, resource: &Resource, include: &str) -> Value {
    let version = text(object, "/metadata/resourceVersion");
    table(resource, &[row(object, resource, include)], version)
}

/// A table of a list.
pub(crate) fn of_list(
    objects: &[Arc<Value>],
    resource: &Resource,
    include: &str,
    version: u64,
) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(object, resource, include)).collect();
    table(resource, &rows, &version.to_string())
}

fn table(resource: &Resource, rows: &[Value], version: &str) -> Value {
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": definitions(resource), "rows": rows})
}

fn definitions(resource: &Resource) -> Vec<Value> {
    let own = |column: &Value| {
        json!({"name": text(column, "/name"), "type": text(column, "/type"),
            "format": text(column, "/format"), "description": text(column, "/description"),
            "priority": json::int(column, "/priority").unwrap_or_default()})
    };
    let built_in = |name: &&str| {
        let (name, priority) = name.strip_prefix('+').map_or((*name, 0), |name| (name, 1));
        let (name, kind) =
            name.strip_prefix('#').map_or((name, "string"), |name| (name, "integer"));
        json!({"name": name, "type": kind, "format": "", "description": "", "priority": priority})
    };
    let mut all = Vec::new();
    if !is_event(resource) {
        all.push(json!({"name": "Name", "type": "string", "format": "name", "description": "",
            "priority": 0}));
    }
    match resource.columns.as_slice() {
        [] => all.extend(columns_of(resource).0.iter().map(built_in)),
        columns => all.extend(columns.iter().map(own)),
    }
    all
}

fn is_event(resource: &Resource) -> bool {
    resource.builtin && resource.kind == "Event"
}

fn row(object: &Value, resource: &Resource, include: &str) -> Value {
    let mut cells = Vec::new();
    if !is_event(resource) {
        let is_default = resource.kind == "StorageClass" && rest::is_default_class(object);
        let name = json::name(object);
        cells.push(if is_default { json!(format!("{name} (default)")) } else { json!(name) });
    }
    match resource.columns.as_slice() {
        [] => cells.extend((columns_of(resource).1)(object)),
        columns => cells.extend(columns.iter().map(|column| custom_cell(object, column))),
    }
    let mut row = json!({"cells": cells});
    match include {
        "None" => {}
        "Object" => json::put(&mut row, &["object"], object.clone()),
        _ => json::put(&mut row, &["object"], metadata_of(object)),
    }
    row
}

/// A cell of a column that a custom resource's definition describes.
fn custom_cell(object: &Value, column: &Value) -> Value {
    let found = values_at(object, text(column, "/jsonPath"));
    let Some(first) = found.first() else { return Value::Null };
    match text(column, "/type") {
        "date" => first.as_str().map_or(json!("<unknown>"), age_of),
        "string" if found.len() > 1 || !first.is_string() => {
            let all: Vec<String> = found
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            json!(all.join(","))
        }
        _ => (*first).clone(),
    }
}

fn columns_of(resource: &Resource) -> Columns {
    const PLAIN: Columns = (&["Age"], |object| vec![age(object)]);
    if !resource.builtin {
        return PLAIN;
    }
    let kind = resource.kind.as_str();
    pod::columns(kind)
        .or_else(|| workloads::columns(kind))
        .or_else(|| network::columns(kind))
        .or_else(|| rest::columns(kind))
        .unwrap_or(PLAIN)
}

/// How long ago an object was made.
fn age(object: &Value) -> Value {
    age_of(text(object, "/metadata/creationTimestamp"))
}

fn age_of(time: &str) -> Value {
    match crate::time::seconds_since(time) {
        Some(seconds) => json!(duration(seconds)),
        None => json!("<unknown>"),
    }
}

/// A number of seconds as people read it: the coarser, the longer.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: char, small: i64, smaller: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{smaller}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if days < 8 * 365 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// Text, or what stands for nothing.
fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { NONE } else { text })
}

/// A label selector or a map of labels in one line.
fn selector(object: &Value, pointer: &str) -> Value {
    let found = object.pointer(pointer).unwrap_or(&Value::Null);
    let is_selector = found.get("matchLabels").is_some() || found.get("matchExpressions").is_some();
    let shown = if is_selector {
        crate::selectors::shown(found)
    } else {
        crate::selectors::shown(&json!({"matchLabels": found}))
    };
    or_none(&shown)
}

/// The names and the images of containers.
fn containers(object: &Value, pointer: &str) -> [Value; 2] {
    ["/name", "/image"].map(|field| {
        let all: Vec<&str> =
            json::items(object, pointer).iter().map(|container| text(container, field)).collect();
        json!(all.join(","))
    })
}

/// A few of many texts.
fn some_of(all: &[String], most: usize) -> String {
    let shown = all.get(..most).unwrap_or(all).join(",");
    match all.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_kubectl_tells_them() {
        for (seconds, told) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3600, "60m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (9 * 3600, "9h"),
            (2 * 86_400 + 3600, "2d1h"),
            (30 * 86_400, "30d"),
            (3 * 365 * 86_400, "3y"),
        ] {
            assert_eq!(duration(seconds), told);
        }
    }

    #[test]
    fn every_kind_has_as_many_cells_as_columns() {
        for resource in crate::resources::Registry::new().all() {
            let object = json!({"metadata": {"name": "x"}});
            let cells = json::items(&row(&object, &resource, "None"), "/cells").len();
            assert_eq!(cells, definitions(&resource).len(), "{}", resource.kind);
        }
    }
}
