//! Ingress rules, and the canaries of ingress-nginx beside them.

use serde_json::Value;

use super::{Asked, Led, Turns, host_fits, path_fits};
use crate::cluster::Cluster;
use crate::json::{self, items, text};

const INGRESSES: &str = "ingresses.networking.k8s.io";

/// What the names of ingress-nginx' annotations begin with, as a JSON pointer.
const CANARY: &str = "/metadata/annotations/nginx.ingress.kubernetes.io~1canary";

/// How well a rule fits: its host, the length of its path, exactness.
type Rank = (u8, usize, bool);

/// A path of a rule that fits a request.
struct Found<'a> {
    rank: Rank,
    host: &'a str,
    path: &'a str,
    service: &'a str,
}

/// The service that the ingress rules lead to: the most specific host, then the
/// longest path; from there to a canary, if there is one for the same host and path
/// and it is its turn.
pub(super) fn route(cluster: &Cluster, turns: &Turns, asked: &Asked<'_>) -> Option<Led> {
    let all = cluster.list(INGRESSES, "");
    let (canaries, others): (Vec<_>, Vec<_>) = all.iter().partition(|it| is_canary(it));
    let mut best: Option<(Found<'_>, &Value)> = None;
    for ingress in &others {
        for found in paths(ingress, asked) {
            if best.as_ref().is_none_or(|(known, _)| found.rank > known.rank) {
                best = Some((found, ingress));
            }
        }
        let fallback = text(ingress, "/spec/defaultBackend/service/name");
        if !fallback.is_empty() && best.is_none() {
            let found = Found { rank: (0, 0, false), host: "", path: "", service: fallback };
            best = Some((found, ingress));
        }
    }
    let (found, ingress) = best?;
    let namespace = json::namespace(ingress);
    let canary =
        canaries.iter().filter(|canary| json::namespace(canary) == namespace).find_map(|canary| {
            let same = paths(canary, asked)
                .into_iter()
                .find(|it| (it.host, it.path) == (found.host, found.path))?;
            is_chosen(canary, turns, asked).then(|| same.service.to_owned())
        });
    let service = canary.unwrap_or_else(|| found.service.to_owned());
    Some(Led::To { namespace: namespace.to_owned(), service })
}

/// Paths of an ingress that fit.
fn paths<'a>(ingress: &'a Value, asked: &Asked<'_>) -> Vec<Found<'a>> {
    let mut all = Vec::new();
    for rule in items(ingress, "/spec/rules") {
        let host = text(rule, "/host");
        let Some(host_rank) = host_fits(host, &asked.host) else {
            continue;
        };
        for entry in items(rule, "/http/paths") {
            let (path, exact) = (text(entry, "/path"), text(entry, "/pathType") == "Exact");
            if path_fits(path, exact, asked.path) {
                let rank = (host_rank, path.len(), exact);
                let service = text(entry, "/backend/service/name");
                all.push(Found { rank, host, path, service });
            }
        }
    }
    all
}

fn is_canary(ingress: &Value) -> bool {
    text(ingress, CANARY) == "true"
}

/// Whether a request is for the canary: by header, then by cookie, then by weight.
fn is_chosen(ingress: &Value, turns: &Turns, asked: &Asked<'_>) -> bool {
    let annotation = |name: &str| text(ingress, &format!("{CANARY}-{name}"));
    let by_header = annotation("by-header");
    if !by_header.is_empty() {
        let found = asked.header(by_header);
        let (value, pattern) = (annotation("by-header-value"), annotation("by-header-pattern"));
        match (value, pattern, found) {
            ("", "", "always") => return true,
            ("", "", "never") => return false,
            ("", "", _) => {}
            ("", pattern, found) => {
                if !found.is_empty()
                    && regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(found))
                {
                    return true;
                }
            }
            (value, _, found) => {
                if value == found {
                    return true;
                }
            }
        }
    }
    let by_cookie = annotation("by-cookie");
    if !by_cookie.is_empty() {
        let cookies = asked.header("cookie").split(';').filter_map(|it| it.trim().split_once('='));
        match cookies.filter(|(name, _)| *name == by_cookie).map(|(_, value)| value).next() {
            Some("always") => return true,
            Some("never") => return false,
            _ => {}
        }
    }
    let number = |name: &str| annotation(name).parse::<u64>().ok();
    let total = number("weight-total").unwrap_or(100);
    let weight = number("weight").unwrap_or(0).min(total);
    let place = format!("canary {}/{}", json::namespace(ingress), json::name(ingress));
    turns.next(&place, &[("others", total.saturating_sub(weight)), ("canary", weight)]) == Some(1)
}
