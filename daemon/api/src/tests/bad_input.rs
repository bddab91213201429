//! Whatever is sent, a problem comes back that says what is wrong.

use deployd_core::views::TokenScope;
use http::Method;
use serde_json::json;

use super::stage::Stage;
use crate::limits::{BODY_BYTES_MAX, SECRET_BYTES_MAX, URI_BYTES_MAX};

#[tokio::test]
async fn bodies() {
    let stage = Stage::empty().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!(
        r#"{{"set": {{"application": "a", "workloads": {{}}, "resources": {{"r": {{"type": "dns", "params": {{"x": {deep}}}}}}}}}}}"#
    );
    let large = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX));
    let unknown = r#"{"environment": "shop/development", "sett": {}}"#;
    let twice = r#"{"environment": "a/b", "environment": "a/b"}"#;
    for (body, status, code) in [
        ("", 400, "malformed-json"),
        ("{", 400, "malformed-json"),
        ("{}}", 400, "malformed-json"),
        ("{\"comment\": \u{1}}", 400, "malformed-json"),
        ("[]", 422, "invalid-request"),
        ("null", 422, "invalid-request"),
        (r#"["shop/development"]"#, 422, "invalid-request"),
        (deep.as_str(), 422, "invalid-request"),
        (nested.as_str(), 400, "malformed-json"),
        (large.as_str(), 413, "body-too-large"),
        (unknown, 422, "invalid-request"),
        (twice, 422, "invalid-request"),
        (r#"{"environment": "no-slash"}"#, 422, "invalid-request"),
        (r#"{"environment": "UPPER/case"}"#, 422, "invalid-request"),
        (r#"{"setDigest": "md5:0"}"#, 422, "invalid-request"),
        (r#"{"environment": "none/such"}"#, 404, "not-found"),
    ] {
        let ask = stage.post("/v1/deployments").header("content-type", "application/json");
        ask.body(body).send().await.is(status, code);
    }
    let ask = stage.post("/v1/deployments").header("content-type", "application/json");
    let problem = ask.body(unknown).send().await.json();
    assert_eq!(problem["errors"][0]["field"], "sett");
    assert_eq!(problem["errors"][0]["line"], 1);
    let text = stage.post("/v1/deployments").header("content-type", "text/plain").body("{}");
    text.send().await.is(415, "unsupported-media-type");
    stage.post("/v1/deployments").body("{}").send().await.is(415, "unsupported-media-type");
    let invalid = stage.post("/v1/tokens").header("content-type", "application/json");
    invalid.body(vec![b'"', 0xff, b'"']).send().await.is(400, "malformed-json");
}

#[tokio::test]
async fn parameters() {
    let stage = Stage::empty().await;
    let long = format!("/v1/deployments?cursor={}", "x".repeat(URI_BYTES_MAX));
    for (path, status, code) in [
        ("/v1/deployments?limit=501", 400, "invalid-parameter"),
        ("/v1/deployments?limit=0", 400, "invalid-parameter"),
        ("/v1/deployments?limit=many", 400, "invalid-parameter"),
        ("/v1/deployments?environment=nowhere", 400, "invalid-parameter"),
        ("/v1/deployments?colour=red", 400, "invalid-parameter"),
        ("/v1/healthz", 404, "route-not-found"),
        ("/v1/documents?kind=Cat", 400, "invalid-parameter"),
        ("/v1/documents/Cat/tom", 400, "invalid-parameter"),
        ("/v1/documents/Plugin/Tom", 400, "invalid-parameter"),
        ("/v1/documents/Plugin/tom", 404, "not-found"),
        ("/v1/documents/Environment/shop/tom", 404, "not-found"),
        ("/v1/environments/shop/-x", 400, "invalid-parameter"),
        ("/v1/environments/shop/none", 404, "not-found"),
        ("/v1/environments/shop/none/resources", 404, "not-found"),
        ("/v1/sets/none", 400, "invalid-parameter"),
        ("/v1/sets", 400, "invalid-parameter"),
        ("/v1/subject?name=production", 422, "invalid-request"),
        ("/v1/subject?name=shop/none", 404, "not-found"),
        ("/v1/comparison?a=shop/x%402026-02-31&b=shop/x", 422, "invalid-request"),
        ("/v1/comparison?a=shop/x&b=shop/x&part=all", 400, "invalid-parameter"),
        ("/v1/comparison?a=shop/x&b=shop/x", 404, "not-found"),
        ("/v1/schemas/Cat", 404, "not-found"),
        ("/v1/deployments/%ff", 400, "invalid-parameter"),
        ("/v1/deployments/none", 404, "not-found"),
        ("/v1/deployments/none/logs", 404, "not-found"),
        ("/v1/deployments/none/events", 404, "not-found"),
        ("/v1/deployments/none/manifests", 404, "not-found"),
        ("/v1/deployments/none/plan", 404, "not-found"),
        ("/v1/notifications/none", 404, "not-found"),
        ("/v1/notifications?status=lost", 400, "invalid-parameter"),
        ("/v1/notifications?after=none", 422, "invalid-request"),
        ("/v1/notifications?deployment=none", 422, "invalid-request"),
        ("/v1/notifications?deployment=none&after=none", 422, "invalid-request"),
        ("/v1/notifications?after=", 422, "invalid-request"),
        ("/v1/deployments?environment=shop/development&cursor=x", 422, "invalid-request"),
        ("/v1/journal?after=-1", 400, "invalid-parameter"),
        (long.as_str(), 414, "uri-too-long"),
    ] {
        let got = stage.get(path).send().await;
        assert_eq!(got.status.as_u16(), status, "{path}: {}", got.text);
        got.is(status, code);
    }
    stage.post("/v1/deployments/none/cancel").send().await.is(404, "not-found");
    let unknown = json!({"redeploy": "none"});
    stage.post("/v1/deployments").json(&unknown).send().await.is(404, "not-found");
    stage
        .ask(Method::DELETE, "/v1/tokens/none")
        .scope(TokenScope::Admin)
        .send()
        .await
        .is(404, "not-found");
}

#[tokio::test]
async fn content_that_is_no_set_is_none() {
    let stage = Stage::shop().await;
    // Documents are kept by their digests, as sets are.
    let document = stage.get("/v1/documents/Workload/shop/frontend").send().await.json();
    let digest = document["digest"].as_str().unwrap();
    stage.get(&format!("/v1/sets/{digest}")).send().await.is(404, "not-found");
    let body = json!({"environment": "shop/development", "setDigest": digest});
    stage.post("/v1/deployments").json(&body).send().await.is(404, "not-found");
}

#[tokio::test]
async fn documents_have_all_their_errors_at_once() {
    let stage = Stage::shop().await;
    let file = "apiVersion: deployd.dev/v1\nkind: Environment\nmetadata: {name: staging}\nspec:\n  application: shop\n  type: nowhere\n  colour: red\n";
    let other = "apiVersion: deployd.dev/v1\nkind: Cat\n";
    let got =
        stage.apply(&[("a.yaml", file), ("b.yaml", other)]).await.is(422, "invalid-documents");
    let problem = got.json();
    let errors = problem["errors"].as_array().unwrap();
    let at = |file: &str, line: u64| {
        errors.iter().any(|error| error["file"] == file && error["line"] == line)
    };
    assert!(at("a.yaml", 7) && at("b.yaml", 2), "{problem:#}");
    for error in errors {
        for field in ["column", "found", "expected", "message"] {
            assert!(!error[field].is_null(), "{field}: {error}");
        }
    }
    // Cross references are held against what is stored.
    let alone = file.replace("nowhere", "development").replace("  colour: red\n", "");
    let body = json!({"files": [{"path": "a.yaml", "text": alone}], "dryRun": true});
    let applied = stage.post("/v1/documents:apply").json(&body).send().await.is(200, "").json();
    assert_eq!(applied["dryRun"], true);
    assert_eq!(applied["documents"][0]["change"], "created");
    stage.get("/v1/documents/Environment/shop/staging").send().await.is(404, "not-found");
    let body = json!({"files": [], "beside": [{"path": "x", "content": "no base 64!"}]});
    stage.post("/v1/documents:apply").json(&body).send().await.is(422, "invalid-request");
}

#[tokio::test]
async fn idempotency_keys_and_secrets_and_plugins() {
    let stage = Stage::empty().await;
    for key in ["", "with space", &"x".repeat(256)] {
        let ask = stage.post("/v1/artifacts").header("idempotency-key", key);
        ask.json(&json!([])).send().await.is(400, "invalid-idempotency-key");
    }
    // Reads pass them over.
    stage.get("/v1/tokens").header("idempotency-key", "").send().await.ok();
    let put = |name: &str| {
        stage.ask(Method::PUT, &format!("/v1/secrets/{name}")).scope(TokenScope::Admin)
    };
    put("empty").send().await.is(422, "invalid-request");
    put("Upper").body("x").send().await.is(400, "invalid-parameter");
    put("large").body(vec![0; SECRET_BYTES_MAX + 1]).send().await.is(413, "body-too-large");
    for component in ["!", "AAAA"] {
        let upload = json!({"manifest": "", "component": component});
        let got = stage.post("/v1/plugins").json(&upload).send().await;
        got.is(422, "invalid-request");
    }
    let relative = json!({"path": "backup.redb"});
    stage.post("/v1/backup").json(&relative).send().await.is(422, "invalid-request");
}

#[tokio::test]
async fn a_store_in_trouble_is_told_and_not_explained() {
    use deployd_core::ports::StoreError;
    let stage = Stage::shop().await;
    for (error, status, code) in [
        (StoreError::Full("/secret/place".into()), 507, "full"),
        (StoreError::Busy, 503, "busy"),
        (StoreError::Damaged("/secret/place".into()), 500, "internal"),
    ] {
        stage.store.refuse_writes(Some(error));
        let text = "{apiVersion: deployd.dev/v1, kind: Plugin, metadata: {name: new}, spec: {kind: driver, source: {shipped: new}}}";
        let got = stage.apply(&[("new.yaml", text)]).await;
        assert!(!got.text.contains("/secret"), "{}", got.text);
        got.is(status, code);
    }
    stage.store.refuse_writes(None);
}
