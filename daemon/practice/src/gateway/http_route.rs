//! HTTPRoutes of the Gateway API. Filters are accepted and do nothing.

use std::cmp::Reverse;

use serde_json::Value;

use super::{Asked, Led, Turns, host_fits, path_fits};
use crate::cluster::Cluster;
use crate::gateway_api::{HTTP_ROUTES, Parent};
use crate::json::{self, items, text};

/// How well a match fits, as the Gateway API orders them: hosts (exact ones, then
/// the longest), paths (exact ones, then the longest), method, headers, parameters.
type Rank = ((u8, usize), (bool, usize), bool, usize, usize);

/// The service that the routes lead to. Of equal matches the oldest route's counts,
/// then the first by name, then the first of its rules.
pub(super) fn route(cluster: &Cluster, turns: &Turns, asked: &Asked<'_>) -> Option<Led> {
    let mut best = None;
    for route in cluster.list(HTTP_ROUTES, "") {
        let Some(host) = hosts(cluster, &route, &asked.host) else { continue };
        for (index, rule) in items(&route, "/spec/rules").iter().enumerate() {
            let matches = items(rule, "/matches").iter().filter_map(|it| rank(it, host, asked));
            let Some(rank) = matches.max() else { continue };
            let age = Reverse(text(&route, "/metadata/creationTimestamp").to_owned());
            let name = Reverse((json::namespace(&route).to_owned(), json::name(&route).to_owned()));
            let order = (rank, age, name, Reverse(index));
            if best.as_ref().is_none_or(|(known, _)| order > *known) {
                best = Some((order, (route.clone(), index)));
            }
        }
    }
    let (_, (route, index)) = best?;
    let rule = items(&route, "/spec/rules").get(index)?;
    Some(choose(cluster, turns, &route, index, rule))
}

/// How specific the route's host is, if it is for this host and one of our gateways
/// has taken it.
fn hosts(cluster: &Cluster, route: &Value, host: &str) -> Option<(u8, usize)> {
    let own = items(route, "/spec/hostnames");
    let fits = |name: &str| host_fits(name, host).map(|rank| (rank, name.len()));
    let found = match own {
        [] => fits(""),
        own => own.iter().filter_map(Value::as_str).filter_map(fits).max(),
    }?;
    let leads = |parent: &Value| {
        let parent = Parent::of(cluster, route, parent)?;
        let listeners = parent.listeners().ok()?;
        listeners.iter().any(|it| host_fits(text(it, "/hostname"), host).is_some()).then_some(())
    };
    items(route, "/spec/parentRefs").iter().find_map(leads)?;
    Some(found)
}

fn rank(wanted: &Value, host: (u8, usize), asked: &Asked<'_>) -> Option<Rank> {
    let path = text(wanted, "/path/value");
    let is_exact = text(wanted, "/path/type") == "Exact";
    let path_is_right = match text(wanted, "/path/type") {
        "RegularExpression" => is_whole(path, asked.path),
        _ => path.is_empty() || path_fits(path, is_exact, asked.path),
    };
    let method = text(wanted, "/method");
    let headers = items(wanted, "/headers");
    let parameters = items(wanted, "/queryParams");
    let header = |name: &str| asked.header(name).to_owned();
    let parameter = |name: &str| {
        let mut all = asked.query.split('&').filter_map(|it| it.split_once('='));
        all.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let holds = path_is_right
        && (method.is_empty() || method == asked.method)
        && headers.iter().all(|it| is_as_wanted(it, &header(text(it, "/name"))))
        && parameters.iter().all(|it| is_as_wanted(it, &parameter(text(it, "/name"))));
    let path = (is_exact, path.len());
    holds.then_some((host, path, !method.is_empty(), headers.len(), parameters.len()))
}

fn is_as_wanted(wanted: &Value, found: &str) -> bool {
    let value = text(wanted, "/value");
    match text(wanted, "/type") {
        "RegularExpression" => is_whole(value, found),
        _ => value == found,
    }
}

/// Whether a pattern fits a whole text.
fn is_whole(pattern: &str, found: &str) -> bool {
    regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(found))
}

/// One of a rule's backends, by their weights.
fn choose(cluster: &Cluster, turns: &Turns, route: &Value, index: usize, rule: &Value) -> Led {
    let (namespace, name) = (json::namespace(route), json::name(route));
    let backends = items(rule, "/backendRefs");
    let weighted: Vec<(&str, u64)> = backends
        .iter()
        .map(|it| {
            let weight = json::int(it, "/weight").and_then(|it| u64::try_from(it).ok());
            (text(it, "/name"), weight.unwrap_or(1))
        })
        .collect();
    let turn = turns.next(&format!("route {namespace}/{name}/{index}"), &weighted);
    let Some(backend) = turn.and_then(|turn| backends.get(turn)) else {
        return Led::Astray(format!("No backend of the route {namespace}/{name} has a weight."));
    };
    match crate::gateway_api::unresolved(cluster, route, backend) {
        Some((_, why)) => Led::Astray(why),
        None => {
            Led::To { namespace: namespace.to_owned(), service: text(backend, "/name").to_owned() }
        }
    }
}
