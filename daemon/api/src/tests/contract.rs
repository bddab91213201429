//! What holds for all operations: they are documented, and hardened.

use std::collections::BTreeSet;

use deployd_core::views::TokenScope;
use http::Method;
use serde_json::Value;

use super::stage::Stage;
use crate::Options;
use crate::operation::Operation;
use crate::routes::operations;

fn declared() -> Vec<Operation> {
    operations(false).finish().1.values().flatten().copied().collect()
}

#[test]
fn routes_and_document_are_the_same() {
    let document = crate::openapi();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, verbs)| {
            verbs.as_object().unwrap().keys().map(move |verb| (path.clone(), verb.clone()))
        })
        .collect();
    let declared: BTreeSet<(String, String)> = declared()
        .iter()
        .map(|operation| (operation.path.to_owned(), operation.verb.as_str().to_lowercase()))
        .collect();
    assert_eq!(documented, declared);
}

#[test]
fn the_document_holds_together() {
    let document = crate::openapi();
    let mut ids = BTreeSet::new();
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path} {verb}");
            let params: BTreeSet<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let template: BTreeSet<&str> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(params, template, "{path}");
        }
    }
    // Every reference leads somewhere, and every component has a plain name.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    found.insert(reference.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(name.chars().all(plain), "{name}");
    }
    jsonschema::draft202012::new(&serde_json::json!({
        "components": document["components"],
        "$ref": "#/components/schemas/DeploymentRecord",
    }))
    .unwrap();
}

#[tokio::test]
async fn what_is_not_declared_is_not_there() {
    let stage = Stage::empty().await;
    stage.get("/v2/anything").send().await.is(404, "route-not-found");
    stage.get("/v1/deployments/").send().await.is(404, "route-not-found");
    for method in ["PATCH", "OPTIONS", "TRACE", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let got = stage.ask(method, "/v1/tokens").scope(TokenScope::Admin).send().await;
        assert_eq!(got.is(405, "method-not-allowed").header("allow"), "GET, POST");
    }
    stage.ask(Method::HEAD, "/healthz").send().await.ok();
}

#[tokio::test]
async fn refusals_are_journalled() {
    let stage = Stage::empty().await;
    stage.ask(Method::GET, "/v1/tokens").scope(TokenScope::Ci).send().await.is(403, "forbidden");
    for _ in 0..50 {
        stage.ask(Method::GET, "/v1/tokens").send().await.is(401, "unauthenticated");
    }
    let entries = stage.get("/v1/journal?limit=500").send().await.is(200, "").json();
    let refusals: Vec<&Value> = entries
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["kind"] == "request-refused")
        .collect();
    assert_eq!(refusals[0]["actor"], "ci");
    assert_eq!(refusals[0]["body"]["what"], "GET /v1/tokens: not allowed to access anywhere");
    assert!(refusals.len() <= crate::limits::REFUSALS_BURST as usize + 1, "{}", refusals.len());
}

#[tokio::test]
async fn metrics_need_a_token_unless_the_operator_says_otherwise() {
    let stage = Stage::empty().await;
    stage.ask(Method::GET, "/metrics").send().await.is(401, "unauthenticated");
    let metrics = std::sync::Arc::new(|| "deployd_up 1\n".to_owned());
    let stage = Stage::with(Options { metrics, open_metrics: true, ..Options::default() }).await;
    stage.get("/v1/no-such-thing/with-a-name-of-its-own").send().await.is(404, "route-not-found");
    stage.get("/v1/deployments/abc").send().await.is(404, "not-found");
    let got = stage.ask(Method::GET, "/metrics").send().await.ok();
    assert!(got.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(got.text.starts_with("deployd_up 1\n"), "{}", got.text);
    assert!(!got.text.contains("of-its-own") && !got.text.contains("abc"), "{}", got.text);
    let line =
        r#"deployd_http_requests_total{route="/v1/deployments/{id}",method="GET",status="404"} 1"#;
    assert!(got.text.contains(line), "{}", got.text);
}

#[tokio::test]
async fn answers_are_hardened() {
    let stage = Stage::empty().await;
    let page = stage.ask(Method::GET, "/").send().await.ok();
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'; script-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for inline in ["<style", "style=", "onclick", "javascript:"] {
        assert!(!page.text.contains(inline), "{inline}");
    }
    for path in ["/", "/page.js", "/healthz", "/v1/tokens", "/none"] {
        let got = stage.ask(Method::GET, path).header("x-request-id", "mine").send().await;
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert_eq!(got.header("cache-control"), "no-store");
        assert_eq!(got.header("x-request-id"), "mine");
        assert!(got.header("content-security-policy").contains("frame-ancestors 'none'"));
    }
    let sinks =
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"];
    for path in ["/page.js", "/rollout.js"] {
        assert!(page.text.contains(&format!("<script src=\"{path}\" defer>")), "{path}");
        let script = stage.ask(Method::GET, path).send().await.ok().text;
        for sink in sinks {
            assert!(!script.contains(sink), "{path}: {sink}");
        }
    }
}
