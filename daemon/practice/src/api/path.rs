//! The paths of the API.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::resources::Resource;

/// What a path of a resource names.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The resource.
    pub(crate) resource: Arc<Resource>,
    /// The namespace, empty for all of them and for cluster-scoped objects.
    pub(crate) namespace: String,
    /// The object, empty for the collection.
    pub(crate) name: String,
    /// The subresource, empty for the object itself.
    pub(crate) subresource: String,
    /// The path was of the old form that watches.
    pub(crate) is_watch: bool,
}

/// What a path names.
#[derive(Debug, Clone)]
pub(crate) enum Path {
    /// Something other than resources: discovery, health, version.
    Other(Vec<String>),
    /// A collection or an object.
    Resource(Target),
    /// Nothing.
    Nowhere,
}

/// Reads a path.
pub(crate) fn parse(cluster: &Cluster, path: &str) -> Path {
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| super::query::decoded(&segment.replace('+', "%2B")))
        .collect();
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match words.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Path::Other(segments),
    };
    let (is_watch, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let find = |plural: &str| cluster.registry(|registry| registry.find(group, version, plural));
    let found = |plural: &str, namespace: &str, name: &str, subresource: &str| {
        let Some(resource) = find(plural) else {
            return Path::Nowhere;
        };
        if (!namespace.is_empty() && !resource.namespaced)
            || (namespace.is_empty() && !name.is_empty() && resource.namespaced)
            || (!subresource.is_empty() && !resource.has(subresource))
        {
            return Path::Nowhere;
        }
        Path::Resource(Target {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            is_watch,
        })
    };
    match rest {
        ["namespaces", name, sub @ ("status" | "finalize")] if group.is_empty() => {
            found("namespaces", "", name, sub)
        }
        ["namespaces", namespace, plural] => found(plural, namespace, "", ""),
        ["namespaces", namespace, plural, name] => found(plural, namespace, name, ""),
        ["namespaces", namespace, plural, name, sub] => found(plural, namespace, name, sub),
        [plural] => found(plural, "", "", ""),
        [plural, name] => found(plural, "", name, ""),
        [plural, name, sub] => found(plural, "", name, sub),
        _ => Path::Nowhere,
    }
}
