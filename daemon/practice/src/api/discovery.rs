//! Which groups, versions and resources there are; health and version.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderValue, Response, header};
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::negotiation::Form;
use super::serve::Call;
use crate::cluster::Cluster;
use crate::json;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers a request that is not about a resource.
pub(crate) fn answer(cluster: &Cluster, call: &Call, words: &[&str]) -> ApiResult<Response<Body>> {
    if call.method != http::Method::GET && call.method != http::Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    let resources = cluster.registry(crate::resources::Registry::all);
    let is_aggregated = call.form().is_ok_and(|form| form == Form::Discovery);
    match words {
        ["healthz" | "livez" | "readyz", ..] => Ok(answer::text(200, "ok")),
        ["version"] => Ok(answer::json(200, &version(&cluster.options.version))),
        ["api"] if is_aggregated => Ok(aggregated(&resources, true)),
        ["apis"] if is_aggregated => Ok(aggregated(&resources, false)),
        ["api"] => {
            let address = cluster.api.get().map(ToString::to_string);
            let server = json!({"clientCIDR": "0.0.0.0/0",
                "serverAddress": address.unwrap_or_default()});
            Ok(answer::json(
                200,
                &json!({"kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [server]}),
            ))
        }
        ["apis"] => {
            let all: Vec<Value> =
                groups(&resources).iter().map(|(name, versions)| group(name, versions)).collect();
            let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all});
            Ok(answer::json(200, &list))
        }
        ["api", "v1"] => Ok(answer::json(200, &resource_list(&resources, "", "v1"))),
        ["apis", name] => {
            let all = groups(&resources);
            let (name, versions) =
                all.iter().find(|(known, _)| known == name).ok_or_else(ApiError::no_such_path)?;
            let mut found = group(name, versions);
            json::put(&mut found, &["kind"], "APIGroup");
            json::put(&mut found, &["apiVersion"], "v1");
            Ok(answer::json(200, &found))
        }
        ["apis", group, version] => {
            let is_known = resources.iter().any(|r| r.group == *group && r.version == *version);
            if !is_known {
                return Err(ApiError::no_such_path());
            }
            Ok(answer::json(200, &resource_list(&resources, group, version)))
        }
        [] => Ok(answer::json(200, &root(&resources))),
        _ => Err(ApiError::no_such_path()),
    }
}

fn version(text: &str) -> Value {
    let mut numbers = text.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or_default(),
        "minor": numbers.next().unwrap_or_default(),
        "gitVersion": text,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "practice",
    })
}

/// The groups besides core, in the order of their first resource, each with
/// its versions, the preferred one first.
fn groups(resources: &[Arc<Resource>]) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for resource in resources.iter().filter(|r| !r.group.is_empty()) {
        match found.iter_mut().find(|(name, _)| *name == resource.group) {
            Some((_, versions)) if versions.contains(&resource.version) => {}
            Some((_, versions)) => versions.push(resource.version.clone()),
            None => found.push((resource.group.clone(), vec![resource.version.clone()])),
        }
    }
    for (_, versions) in &mut found {
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
    }
    found
}

/// The order of versions: stable before beta before alpha, higher first.
fn rank(version: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else {
        return other;
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, tail) = rest.split_at(digits);
    let Ok(major) = major.parse::<u32>() else {
        return other;
    };
    let of = |stage: u8, minor: &str| {
        let minor = minor.parse().unwrap_or_default();
        (stage, major, minor, std::cmp::Reverse(String::new()))
    };
    if tail.is_empty() {
        of(3, "")
    } else if let Some(minor) = tail.strip_prefix("beta") {
        of(2, minor)
    } else if let Some(minor) = tail.strip_prefix("alpha") {
        of(1, minor)
    } else {
        other
    }
}

fn group(name: &str, versions: &[String]) -> Value {
    let all: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    let preferred = all.first().cloned().unwrap_or_default();
    json!({"name": name, "versions": all, "preferredVersion": preferred})
}

fn resource_list(resources: &[Arc<Resource>], group: &str, version: &str) -> Value {
    let mut all = Vec::new();
    for resource in resources.iter().filter(|r| r.group == group && r.version == version) {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": resource.verbs(),
        });
        if !resource.short_names.is_empty() {
            json::put(&mut entry, &["shortNames"], json!(resource.short_names));
        }
        if !resource.categories.is_empty() {
            json::put(&mut entry, &["categories"], json!(resource.categories));
        }
        all.push(entry);
        for sub in &resource.subresources {
            let (group, version, kind, verbs) = subresource(resource, sub);
            let mut entry = json!({
                "name": format!("{}/{sub}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": verbs,
            });
            if !group.is_empty() {
                json::put(&mut entry, &["group"], group);
                json::put(&mut entry, &["version"], version);
            }
            all.push(entry);
        }
    }
    let group_version = match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": all})
}

/// Group, version, kind and verbs of a subresource; the group is empty where
/// it is the resource's own.
fn subresource<'a>(
    resource: &'a Resource,
    sub: &str,
) -> (&'static str, &'static str, &'a str, &'static [&'static str]) {
    const EDIT: [&str; 3] = ["get", "patch", "update"];
    match sub {
        "scale" => ("autoscaling", "v1", "Scale", &EDIT),
        "eviction" => ("policy", "v1", "Eviction", &["create"]),
        "binding" => ("", "", "Binding", &["create"]),
        "token" => ("authentication.k8s.io", "v1", "TokenRequest", &["create"]),
        "log" => ("", "", &resource.kind, &["get"]),
        "finalize" => ("", "", &resource.kind, &["update"]),
        _ => ("", "", &resource.kind, &EDIT),
    }
}

/// Everything at once, in the form of aggregated discovery.
fn aggregated(resources: &[Arc<Resource>], is_core: bool) -> Response<Body> {
    let named: Vec<(String, Vec<String>)> =
        if is_core { vec![(String::new(), vec!["v1".to_owned()])] } else { groups(resources) };
    let items: Vec<Value> = named
        .iter()
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let all: Vec<Value> = resources
                        .iter()
                        .filter(|r| r.group == *name && r.version == *version)
                        .map(|r| aggregated_resource(r))
                        .collect();
                    json!({"version": version, "resources": all, "freshness": "Current"})
                })
                .collect();
            let mut item = json!({"metadata": {"creationTimestamp": null}, "versions": versions});
            if !name.is_empty() {
                json::put(&mut item, &["metadata", "name"], name.as_str());
            }
            item
        })
        .collect();
    let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items});
    let mut response = answer::json(200, &list);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    response
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs(),
    });
    if !resource.short_names.is_empty() {
        json::put(&mut entry, &["shortNames"], json!(resource.short_names));
    }
    if !resource.categories.is_empty() {
        json::put(&mut entry, &["categories"], json!(resource.categories));
    }
    let subs: Vec<Value> = resource
        .subresources
        .iter()
        .map(|sub| {
            let (group, version, sub_kind, verbs) = subresource(resource, sub);
            let kind = match group {
                "" => kind(&resource.group, &resource.version, sub_kind),
                group => kind(group, version, sub_kind),
            };
            json!({"subresource": sub, "responseKind": kind, "verbs": verbs})
        })
        .collect();
    if !subs.is_empty() {
        json::put(&mut entry, &["subresources"], subs);
    }
    entry
}

fn root(resources: &[Arc<Resource>]) -> Value {
    let mut paths = BTreeMap::new();
    for path in
        ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
    {
        paths.insert(path.to_owned(), ());
    }
    for (name, versions) in groups(resources) {
        for version in versions {
            paths.insert(format!("/apis/{name}/{version}"), ());
        }
        paths.insert(format!("/apis/{name}"), ());
    }
    json!({"paths": paths.into_keys().collect::<Vec<_>>()})
}
