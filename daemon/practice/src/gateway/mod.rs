//! The gateway: the cluster's ingress controller and its controller of the Gateway
//! API, and the pods behind both.

mod http_route;
mod ingress;
mod page;
mod turns;

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use serde_json::Value;

use crate::api::Body;
use crate::cluster::Cluster;
use crate::controllers::endpoints::pods_of;
use crate::json::{self, items, text};
use page::{facts, html, page, problem};
pub(crate) use turns::Turns;

/// What matters of a request on its way to a service.
struct Asked<'a> {
    host: String,
    path: &'a str,
    query: &'a str,
    method: &'a str,
    headers: &'a HeaderMap,
}

/// Where a request is led.
enum Led {
    /// To a service.
    To { namespace: String, service: String },
    /// By a rule that leads to no service there is: why.
    Astray(String),
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request<Incoming>) -> Self {
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| request.uri().host())
            .unwrap_or_default();
        Self {
            host: host.split(':').next().unwrap_or_default().to_lowercase(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            method: request.method().as_str(),
            headers: request.headers(),
        }
    }

    /// A header's value, empty when there is none.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Answers a request as the pod would that routes and ingress rules lead to; routes
/// come first.
pub(crate) fn answer(
    cluster: &Arc<Cluster>,
    turns: &Turns,
    request: &Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let asked = Asked::of(request);
    let wants_json = asked.header("accept").contains("application/json");
    let led = http_route::route(cluster, turns, &asked)
        .or_else(|| ingress::route(cluster, turns, &asked));
    let (namespace, service) = match led {
        Some(Led::To { namespace, service }) => (namespace, service),
        Some(Led::Astray(why)) => {
            return Ok(problem(500, "Internal server error", &why, wants_json));
        }
        None => {
            let (host, path) = (&asked.host, asked.path);
            let why = format!("No route or ingress rule leads from {host}{path} to a service.");
            return Ok(problem(404, "Not found", &why, wants_json));
        }
    };
    let pods = cluster
        .get("services", &namespace, &service)
        .map(|service| pods_of(cluster, &service))
        .unwrap_or_default();
    let ready: Vec<_> = pods.iter().filter(|(_, ready)| *ready).collect();
    let alike: Vec<(&str, u64)> = ready.iter().map(|(pod, _)| (json::uid(pod), 1)).collect();
    let turn = turns.next(&format!("service {namespace}/{service}"), &alike);
    let Some((pod, _)) = turn.and_then(|index| ready.get(index)) else {
        let why = format!("No pod of the service {namespace}/{service} is ready.");
        return Ok(problem(503, "Service unavailable", &why, wants_json));
    };
    let facts = facts(pod, &service);
    note(cluster, pod, request);
    Ok(if wants_json {
        page(200, "application/json", facts.to_string())
    } else {
        page(200, "text/html; charset=utf-8", html(&facts))
    })
}

/// How specific a rule's host is, if it fits.
fn host_fits(rule: &str, host: &str) -> Option<u8> {
    if rule.is_empty() {
        return Some(1);
    }
    if rule.eq_ignore_ascii_case(host) {
        return Some(3);
    }
    let domain = rule.strip_prefix("*.")?;
    let (first, rest) = host.split_once('.')?;
    (!first.is_empty() && rest == domain).then_some(2)
}

fn path_fits(rule: &str, exact: bool, path: &str) -> bool {
    if exact {
        return rule == path;
    }
    let rule = rule.trim_end_matches('/');
    path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The pod's log has a line for every request.
fn note(cluster: &Cluster, pod: &Value, request: &Request<Incoming>) {
    if let Some(container) = items(pod, "/spec/containers").first() {
        let line = format!(
            "{} {} {} 200",
            crate::time::now_plain(),
            request.method(),
            request.uri().path()
        );
        cluster.logs.write(json::uid(pod), text(container, "/name"), line);
    }
}
