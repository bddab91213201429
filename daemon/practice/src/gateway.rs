//! The gateway: the cluster's ingress controller, and the pods behind it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::api::{Body, full};
use crate::cluster::Cluster;
use crate::controllers::endpoints::pods_of;
use crate::json::{self, items, text};

/// Chooses among pods, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicUsize);

/// Answers a request as the pod would that the ingress rules lead to.
pub(crate) fn answer(
    cluster: &Arc<Cluster>,
    turns: &Turns,
    request: &Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().host())
        .unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_lowercase();
    let path = request.uri().path();
    let wants_json = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    let Some((namespace, service)) = route(cluster, &host, path) else {
        let why = format!("No ingress rule leads from {host}{path} to a service.");
        return Ok(problem(404, "Not found", &why, wants_json));
    };
    let pods = cluster
        .get("services", &namespace, &service)
        .map(|service| pods_of(cluster, &service))
        .unwrap_or_default();
    let ready: Vec<_> = pods.iter().filter(|(_, ready)| *ready).collect();
    let turn = turns.0.fetch_add(1, Ordering::Relaxed);
    let chosen = turn.checked_rem(ready.len()).and_then(|index| ready.get(index));
    let Some((pod, _)) = chosen else {
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

/// How well a rule fits: its host, the length of its path, exactness.
type Rank = (u8, usize, bool);

/// The service that the ingress rules lead to: the most specific host, then
/// the longest path.
fn route(cluster: &Cluster, host: &str, path: &str) -> Option<(String, String)> {
    let mut best: Option<(Rank, (String, String))> = None;
    for ingress in cluster.list("ingresses.networking.k8s.io", "") {
        for rule in items(&ingress, "/spec/rules") {
            let Some(host_rank) = host_fits(text(rule, "/host"), host) else {
                continue;
            };
            for entry in items(rule, "/http/paths") {
                let (prefix, exact) = (text(entry, "/path"), text(entry, "/pathType") == "Exact");
                if !path_fits(prefix, exact, path) {
                    continue;
                }
                let rank = (host_rank, prefix.len(), exact);
                let service = text(entry, "/backend/service/name").to_owned();
                if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                    best = Some((rank, (json::namespace(&ingress).to_owned(), service)));
                }
            }
        }
        let fallback = text(&ingress, "/spec/defaultBackend/service/name");
        if !fallback.is_empty() && best.is_none() {
            let place = (json::namespace(&ingress).to_owned(), fallback.to_owned());
            best = Some(((0, 0, false), place));
        }
    }
    best.map(|(_, place)| place)
}

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

/// What a simulated pod tells about itself. Names of variables only: their
/// values may be secret.
fn facts(pod: &Value, service: &str) -> Value {
    let containers: Vec<Value> = items(pod, "/spec/containers")
        .iter()
        .map(|container| {
            let names: Vec<&str> =
                items(container, "/env").iter().map(|variable| text(variable, "/name")).collect();
            let from: Vec<&str> = items(container, "/envFrom")
                .iter()
                .flat_map(|from| [text(from, "/configMapRef/name"), text(from, "/secretRef/name")])
                .filter(|name| !name.is_empty())
                .collect();
            json!({"name": text(container, "/name"), "image": text(container, "/image"),
                "environment": names, "environmentFrom": from})
        })
        .collect();
    let labels = pod.pointer("/metadata/labels").cloned().unwrap_or_default();
    let first = containers.first().cloned().unwrap_or_default();
    let workload = ["app.kubernetes.io/name", "app", "app.kubernetes.io/instance"]
        .iter()
        .find_map(|key| labels.get(*key)?.as_str())
        .unwrap_or(service);
    json!({"workload": workload, "service": service, "namespace": json::namespace(pod),
        "pod": json::name(pod), "image": first.get("image"), "containers": containers,
        "node": text(pod, "/spec/nodeName")})
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

fn page(code: u16, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn problem(code: u16, title: &str, why: &str, wants_json: bool) -> Response<Body> {
    if wants_json {
        let body = json!({"status": code, "title": title, "detail": why});
        return page(code, "application/json", body.to_string());
    }
    let body = document(title, &format!("<p>{}</p>", escaped(why)));
    page(code, "text/html; charset=utf-8", body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn html(facts: &Value) -> String {
    let of = |name: &str| escaped(facts.get(name).and_then(Value::as_str).unwrap_or_default());
    let mut rows = BTreeMap::new();
    for (order, (label, name)) in [
        ("Image", "image"),
        ("Namespace", "namespace"),
        ("Pod", "pod"),
        ("Service", "service"),
        ("Node", "node"),
    ]
    .into_iter()
    .enumerate()
    {
        rows.insert(order, format!("<dt>{label}</dt><dd>{}</dd>", of(name)));
    }
    let variables: Vec<String> = items(facts, "/containers")
        .iter()
        .flat_map(|container| items(container, "/environment"))
        .filter_map(Value::as_str)
        .map(|name| format!("<code>{}</code>", escaped(name)))
        .collect();
    let variables = if variables.is_empty() { "none".to_owned() } else { variables.join(" ") };
    let rows: String = rows.into_values().collect();
    document(
        &of("workload"),
        &format!("<dl>{rows}<dt>Environment variables</dt><dd>{variables}</dd></dl>"),
    )
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>\
body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem;color:#1c2430}}\
h1{{font-size:1.75rem;margin:0 0 1.5rem}}dl{{display:grid;grid-template-columns:max-content 1fr;gap:.5rem 1.5rem}}\
dt{{color:#5b6675}}dd{{margin:0;overflow-wrap:anywhere}}code{{background:#eef1f5;border-radius:4px;padding:.1em .4em}}\
footer{{margin-top:3rem;color:#8a94a3;font-size:.85rem}}</style></head><body><h1>{title}</h1>{body}\
<footer>Answered by a simulated pod of the practice cluster.</footer></body></html>"
    )
}
