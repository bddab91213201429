//! Limit ranges: default resources of containers, and their bounds.

use serde_json::Value;

use crate::json::{self, put_default};
use crate::quantity::Quantity;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult};
use crate::storage::Store;

fn rules(store: &Store, namespace: &str) -> Vec<Value> {
    store
        .list("limitranges", namespace)
        .flat_map(|range| json::items(range, "/spec/limits").to_vec())
        .filter(|limit| json::text(limit, "/type") == "Container")
        .collect()
}

/// Gives containers the defaults of the namespace.
pub(super) fn fill(store: &Store, pod: &mut Value) {
    let namespace = json::namespace(pod).to_owned();
    for rule in rules(store, &namespace) {
        for list in ["initContainers", "containers"] {
            for container in json::list_mut(pod, &["spec", list]).into_iter().flatten() {
                for (from, to) in [("default", "limits"), ("defaultRequest", "requests")] {
                    for (name, value) in
                        json::object(&rule, &format!("/{from}")).into_iter().flatten()
                    {
                        put_default(container, &["resources", to, name], value.clone());
                    }
                }
            }
        }
    }
}

/// Refuses containers outside the bounds of the namespace.
pub(super) fn check(store: &Store, resource: &Resource, pod: &Value) -> ApiResult<()> {
    for rule in rules(store, json::namespace(pod)) {
        for container in json::items(pod, "/spec/containers") {
            for (bound, kind, word) in
                [("max", "limits", "maximum"), ("min", "requests", "minimum")]
            {
                for (name, edge) in json::object(&rule, &format!("/{bound}")).into_iter().flatten()
                {
                    let actual = json::object(container, &format!("/resources/{kind}"))
                        .and_then(|map| map.get(name));
                    let (Some(edge_size), actual_size) =
                        (Quantity::read(edge), actual.and_then(Quantity::read))
                    else {
                        continue;
                    };
                    let shown = edge.as_str().map_or_else(|| edge.to_string(), str::to_owned);
                    let what = if kind == "limits" { "limit" } else { "request" };
                    let why = match actual_size {
                        None => format!(
                            "{word} {name} usage per Container is {shown}.  No {what} is specified"
                        ),
                        Some(size)
                            if (bound == "max" && size > edge_size)
                                || (bound == "min" && size < edge_size) =>
                        {
                            let actual = actual.and_then(Value::as_str).unwrap_or_default();
                            format!(
                                "{word} {name} usage per Container is {shown}, but {what} is {actual}"
                            )
                        }
                        Some(_) => continue,
                    };
                    return Err(ApiError::forbidden(resource.named(), json::name(pod), &why));
                }
            }
        }
    }
    Ok(())
}
