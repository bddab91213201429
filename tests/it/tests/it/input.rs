//! Bad input: each is answered with a problem that says what is wrong, and the
//! daemon goes on.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::program::root;
use crate::sample;
use crate::stage::{ENVIRONMENT, Stage};

/// A plugin as it is built for the daemon.
fn shipped(name: &str) -> (Vec<u8>, String) {
    let file = |extension: &str| root().join(format!("target/plugins/{name}.{extension}"));
    let manifest = std::fs::read_to_string(file("toml")).unwrap();
    (std::fs::read(file("wasm")).unwrap(), manifest)
}

async fn upload(stage: &Stage, component: &[u8], manifest: &str) -> Answer {
    let upload = json!({"component": STANDARD.encode(component), "manifest": manifest});
    stage.client.post("/v1/plugins", &upload).await
}

/// Applies one file.
async fn apply(stage: &Stage, text: &str) -> Answer {
    let request = json!({"files": [{"path": "given.yaml", "text": text}]});
    stage.client.post("/v1/documents:apply", &request).await
}

/// That an answer is a problem of this kind, which says this.
#[track_caller]
fn says(answer: &Answer, status: u16, code: &str, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem:#}");
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem:#}");
    assert!(answer.text.contains(text), "expected {text:?} in {problem:#}");
}

/// A templater that misbehaves: `tests/fixtures` says how the parts fit.
fn hostile(name: &str) -> Vec<u8> {
    let fixtures = root().join("tests/fixtures");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let frame = read(&fixtures.join("frames/templater.wat"));
    let guest = read(&fixtures.join(format!("{name}.wat")));
    let (before, after) = frame.split_once("  ;; GUEST\n\n").unwrap();
    wat::parse_str(format!("{before}{guest}\n{after}")).unwrap()
}

fn templater(id: &str) -> String {
    format!("id = \"{id}\"\nversion = \"0.1.0\"\nkind = \"templater\"\ndescription = \"Bad\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_document_is_answered_with_all_that_is_wrong() {
    let stage = Stage::set().await;
    let before = stage.client.get("/v1/documents").await.text;
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("tests/fixtures/documents")).unwrap() {
        let path = entry.unwrap().path();
        let errors = path.with_extension("errors");
        let expected = std::fs::read_to_string(&errors).unwrap();
        if path == errors || expected.is_empty() {
            continue;
        }
        let answer = apply(&stage, &std::fs::read_to_string(&path).unwrap()).await;
        assert_eq!(answer.status, 422, "{}: {answer:?}", path.display());
        let problem = answer.json();
        let items = problem["errors"].as_array().unwrap();
        assert!(!items.is_empty(), "{}: {problem:#}", path.display());
        assert!(items.iter().all(|item| item["message"].is_string()), "{problem:#}");
        count += 1;
    }
    assert!(count > 30, "{count}");
    assert_eq!(stage.client.get("/v1/documents").await.text, before);
    assert_eq!(stage.client.get("/readyz").await.status, 200);
    stage.deployed('1').await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_that_are_none_are_refused() {
    let stage = Stage::set().await;
    let (webhook, manifest) = shipped("webhook");
    let (_, other) = shipped("rolling");
    let without_digest: String = manifest
        .lines()
        .filter(|line| !line.starts_with("digest"))
        .map(|l| format!("{l}\n"))
        .collect();
    let answer = upload(&stage, b"garbage", &without_digest).await;
    says(&answer, 422, "invalid-request", "no valid WebAssembly component");
    // A component with another digest than its manifest says.
    let mut tampered = webhook.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 0x40;
    says(&upload(&stage, &tampered, &manifest).await, 422, "invalid-request", "sha256:");
    let cut = &webhook[..middle];
    let answer = upload(&stage, cut, &without_digest).await;
    says(&answer, 422, "invalid-request", "no valid WebAssembly component");
    // A manifest that is no manifest, and one of another plugin.
    says(&upload(&stage, &webhook, "id = ").await, 422, "invalid-request", "plugin.toml");
    says(&upload(&stage, &webhook, &other).await, 422, "invalid-request", "sha256:");
    let wrong_kind = templater("webhook");
    says(&upload(&stage, &webhook, &wrong_kind).await, 422, "invalid-request", "templater");
    let no_base64 = json!({"component": "%%%", "manifest": manifest});
    let answer = stage.client.post("/v1/plugins", &no_base64).await;
    says(&answer, 422, "invalid-request", "base 64");
    assert_eq!(upload(&stage, &webhook, &manifest).await.status, 201);

    // Documents that name what is not there, or is something else.
    let plugin = |kind: &str, source: &str| {
        format!(
            "apiVersion: deployd.dev/v1\nkind: Plugin\nmetadata: {{name: mine}}\n\
             spec: {{kind: {kind}, source: {source}}}\n"
        )
    };
    for (kind, source, text) in [
        ("driver", "{shipped: nonsense}", "nonsense"),
        ("driver", "{shipped: score-k8s}", "templater"),
        ("driver", "{uploaded: mine}", "digest"),
    ] {
        let answer = apply(&stage, &plugin(kind, source)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.text.contains(text), "expected {text:?} in {}", answer.text);
    }
    assert_eq!(stage.client.get("/readyz").await.status, 200);
    stage.deployed('1').await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_answered_with_problems() {
    let stage = Stage::set().await;
    let client = &stage.client;
    let raw = async |path: &str, body: String| {
        let request = client.request(Method::POST, path).header("content-type", "application/json");
        Client::send(request.body(body)).await
    };
    says(&raw("/v1/artifacts", "{".to_owned()).await, 400, "malformed-json", "line");
    let request = client.request(Method::POST, "/v1/artifacts").body("a");
    says(&Client::send(request).await, 415, "unsupported-media-type", "application/json");
    let unknown = json!({"environment": ENVIRONMENT, "sett": 1});
    says(&client.post("/v1/deployments", &unknown).await, 422, "invalid-request", "sett");
    let nowhere = json!({"environment": "shop/nowhere"});
    says(&client.post("/v1/deployments", &nowhere).await, 404, "not-found", "shop/nowhere");
    let digest = json!({"repository": "registry.example.com/shop/frontend", "digest": "latest"});
    says(&client.post("/v1/artifacts", &digest).await, 422, "invalid-request", "digest");
    let none = "/v1/deployments/01aryz6s41tsv4rrffq69g5fav";
    says(&client.get(none).await, 404, "not-found", "01aryz6s41tsv4rrffq69g5fav");
    says(&client.get("/v1/deployments?limit=0").await, 400, "invalid-parameter", "1 to 500");
    says(&client.get("/v2").await, 404, "route-not-found", "/openapi.json");
    let put = Client::send(client.request(Method::PUT, "/v1/deployments")).await;
    says(&put, 405, "method-not-allowed", "GET");

    // A key belongs to one request.
    let image = sample::image("frontend", '1');
    let keyed = |body: &Value| {
        client.request(Method::POST, "/v1/artifacts").header("Idempotency-Key", "k").json(body)
    };
    Client::send(keyed(&image)).await.ok();
    let other = Client::send(keyed(&sample::image("frontend", '2'))).await;
    says(&other, 422, "idempotency-key-reuse", "");
    let twice = keyed(&image).header("Idempotency-Key", "l");
    says(&Client::send(twice).await, 400, "invalid-idempotency-key", "");

    // Who sends too much may find the connection closed, or an answer.
    for (path, bytes) in
        [("/v1/artifacts", 2 << 20), ("/v1/documents:apply", 9 << 20), ("/v1/plugins", 41 << 20)]
    {
        let request = client.request(Method::POST, path).header("content-type", "application/json");
        if let Ok(answer) = Client::try_send(request.body("x".repeat(bytes))).await {
            says(&answer, 413, "body-too-large", "");
        }
    }
    assert_eq!(client.get("/readyz").await.status, 200);
    stage.deployed('3').await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_misbehaves_stops_its_own_deployments_only() {
    let stage = Stage::set().await;
    for (name, codes) in [
        ("loop", &["plugin-cpu-exhausted", "plugin-timeout"][..]),
        ("memory", &["plugin-out-of-memory", "plugin-trapped"][..]),
        ("trap", &["plugin-trapped"][..]),
    ] {
        let id = format!("bad-{name}");
        let uploaded = upload(&stage, &hostile(name), &templater(&id)).await.ok();
        let digest =
            uploaded["plugin"]["digest"].as_str().unwrap_or_else(|| panic!("{uploaded:#}"));
        let documents = format!(
            "apiVersion: deployd.dev/v1\nkind: Plugin\nmetadata: {{name: {id}}}\n\
             spec: {{kind: templater, source: {{uploaded: {id}}}, digest: \"{digest}\"}}\n---\n\
             apiVersion: deployd.dev/v1\nkind: EnvironmentType\nmetadata: {{name: {id}}}\n\
             spec: {{templater: {{plugin: {id}}}, strategy: {{plugin: rolling}}, \
             values: {{domain: apps.localhost}}}}\n---\n\
             apiVersion: deployd.dev/v1\nkind: Environment\nmetadata: {{name: {id}}}\n\
             spec: {{application: shop, type: {id}}}\n"
        );
        apply(&stage, &documents).await.ok();
        let request = json!({"environment": format!("shop/{id}"), "set": set(&stage).await});
        let accepted = stage.client.post("/v1/deployments", &request).await.ok();
        let record = stage.ended(accepted["id"].as_str().unwrap()).await;
        assert_eq!(record["outcome"], "failed", "{record:#}");
        let code = record["fault"]["code"].as_str().unwrap();
        assert!(codes.contains(&code), "{record:#}");
        assert_eq!(stage.client.get("/readyz").await.status, 200);
    }
    stage.deployed('2').await;
}

/// The set of a deployment that has succeeded.
async fn set(stage: &Stage) -> Value {
    let id = stage.deployed('1').await;
    let digest = stage.deployment(&id).await["request"]["set"].as_str().unwrap().to_owned();
    stage.client.get(&format!("/v1/sets/{digest}")).await.ok()
}
