//! What a simulated pod answers, for people and for programs.

use std::collections::BTreeMap;

use http::{Response, header};
use serde_json::{Value, json};

use crate::api::{Body, full};
use crate::json::{self, items, text};

/// What a simulated pod tells about itself. Names of variables only: their
/// values may be secret.
pub(super) fn facts(pod: &Value, service: &str) -> Value {
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

pub(super) fn page(code: u16, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

pub(super) fn problem(code: u16, title: &str, why: &str, wants_json: bool) -> Response<Body> {
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

pub(super) fn html(facts: &Value) -> String {
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
