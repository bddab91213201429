//! Checks: those that misbehave, and those that are shipped, as components and
//! through the real broker.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use deployd_core::Fault;
use deployd_core::config::{Grant, HostGrant, PluginKind};
use deployd_core::ports::{Call, CallLog, CheckOutcome, CheckRequest, Checks as _, PluginRef};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::http::{ToServer, whole_request};
use crate::shipped::load_with;
use crate::support::{Stage, component, scope};

async fn fixture(stage: &Stage, name: &str) -> PluginRef {
    let (bytes, kind) = (component(name), PluginKind::Check);
    stage.register(name, &bytes, kind, "", &Grant::default()).await.unwrap().plugin
}

async fn run(
    stage: &Stage,
    plugin: &PluginRef,
    config: Value,
    input: Value,
) -> Result<CheckOutcome, Fault> {
    let (scope, log) = (scope(), CallLog::default());
    let request = CheckRequest { config, input, token: None };
    stage.host.run(Call { plugin, scope: &scope, log: &log }, &request).await
}

#[tokio::test]
async fn verdicts_and_tokens_have_a_limit() {
    let stage = Stage::new();
    for (name, says) in [
        ("check-large-token", "the token has 65536 bytes, and may have 4 KiB"),
        ("check-many-measurements", "1000 measurements, and at most 32 are taken"),
    ] {
        let plugin = fixture(&stage, name).await;
        let fault = run(&stage, &plugin, json!({}), json!({})).await.unwrap_err();
        assert_eq!(fault.code, "plugin-output-too-large");
        assert!(fault.message.contains(says), "{fault}");
    }
}

#[tokio::test]
async fn values_that_are_no_numbers_arrive_as_such() {
    let stage = Stage::new();
    let plugin = fixture(&stage, "check-no-number").await;
    let outcome = run(&stage, &plugin, json!({}), json!({})).await.unwrap();
    let CheckOutcome::Failed(verdict) = outcome else { panic!("{outcome:?}") };
    let [nan, infinite, half] = &verdict.measurements[..] else { panic!("{verdict:?}") };
    assert!(nan.value.is_nan() && infinite.value == f64::NEG_INFINITY);
    assert_eq!((half.name.as_str(), half.value, half.unit.as_str()), ("rate", 0.5, "%"));
}

/// Answers everything with this, and remembers what it was asked.
async fn serving(answer: Value) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, body) = (asked.clone(), answer.to_string());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Ok(Some(request)) = whole_request(&mut stream).await {
                seen.lock().unwrap().push(request);
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            // How it ends is seen at the other side.
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, asked)
}

fn grant() -> Grant {
    let host = HostGrant {
        host: "server.example".into(),
        port: 8080,
        scheme: "http".into(),
        private_address: true,
        ..HostGrant::default()
    };
    Grant { hosts: vec![host], ..Grant::default() }
}

fn input(more: &Value) -> Value {
    let mut input = json!({
        "deployment": "dep-1", "namespace": "shop", "workloads": ["web"], "track": "canary",
        "baseline": null, "since-ms": 1_700_000_000_000_u64, "now-ms": 1_700_000_600_000_u64,
        "idempotency-key": "key-1",
    });
    input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    input
}

#[tokio::test]
async fn http_measures_status_body_and_latency() {
    let (address, asked) = serving(json!({"status": "up"})).await;
    let stage = Stage::over(Arc::new(ToServer(address)));
    let plugin = load_with(&stage, "http", &grant()).await;
    let body = |wanted: &str| {
        json!({
            "url": "http://server.example:8080/{{workload}}{{suffix}}", "latency_ms": 10_000,
            "body": {"pointer": "/status", "equals": wanted},
        })
    };
    let outcome = run(&stage, &plugin, body("up"), input(&json!({}))).await.unwrap();
    let CheckOutcome::Passed(verdict) = outcome else { panic!("{outcome:?}") };
    let latency = &verdict.measurements[0];
    assert!(latency.value > 0.0 && latency.value < 10_000.0 && latency.unit == "ms", "{latency:?}");
    assert!(asked.lock().unwrap()[0].starts_with("GET /web-canary HTTP/1.1"));
    let outcome = run(&stage, &plugin, body("down"), input(&json!({}))).await.unwrap();
    assert!(matches!(outcome, CheckOutcome::Failed(_)), "{outcome:?}");
    // Nobody is behind another name: that is a fault of the grant, not a failed check.
    let elsewhere = json!({"url": "http://elsewhere.example:8080/"});
    let fault = run(&stage, &plugin, elsewhere, input(&json!({}))).await.unwrap_err();
    assert_eq!(fault.code, "plugin-denied");
}

#[tokio::test]
async fn prometheus_is_asked_and_its_answer_judged() {
    let result = json!([{"metric": {}, "value": [1, "0.02"]}]);
    let answer = json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    let (address, asked) = serving(answer).await;
    let stage = Stage::over(Arc::new(ToServer(address)));
    let plugin = load_with(&stage, "prometheus", &grant()).await;
    let config = |condition: &str| {
        json!({
            "url": "http://server.example:8080", "query": "errors{track=\"{{track}}\"}",
            "condition": condition,
        })
    };
    let judged =
        async |condition: &str| run(&stage, &plugin, config(condition), input(&json!({}))).await;
    let outcome = judged("result[0] < 0.05").await.unwrap();
    assert!(matches!(outcome, CheckOutcome::Passed(_)), "{outcome:?}");
    let outcome = judged("result.all(value, value < 0.01)").await.unwrap();
    assert!(matches!(outcome, CheckOutcome::Failed(_)), "{outcome:?}");
    let request = asked.lock().unwrap()[0].clone();
    assert!(request.contains("query=errors%7Btrack%3D%22canary%22%7D"), "{request}");
    // What a parser and an evaluation take of a guest's stack, they have.
    let deep = [
        format!("{}true{}", "(".repeat(16), ")".repeat(16)),
        format!("{}true{}", "result.all(x, ".repeat(16), ")".repeat(16)),
        format!("{}true", "true ? true : ".repeat(6)),
        format!("{}1 < 99", "1 + ".repeat(46)),
        format!("series[0]{} == 1", ".x".repeat(44)),
    ];
    for condition in deep {
        let code = judged(&condition).await.err().map(|fault| fault.code);
        assert!(code.is_none_or(|code| code == "plugin-invalid"), "{condition}");
    }
}

#[tokio::test]
async fn kubernetes_is_told_how_the_pods_are() {
    let stage = Stage::new();
    let plugin = load_with(&stage, "kubernetes", &Grant { pods: true, ..Grant::default() }).await;
    let of = |restarts: u64| {
        let container = json!({"name": "web", "ready": true, "restarts": restarts});
        json!({"observed": [{
            "object": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-canary"},
            "replicas": 1, "ready": 1, "conditions": [],
            "pods": [{"name": "a", "phase": "Running", "ready": true, "containers": [container]}],
        }]})
    };
    let config = json!({"max_restarts": 0});
    let outcome = run(&stage, &plugin, config.clone(), input(&of(0))).await.unwrap();
    assert!(matches!(outcome, CheckOutcome::Passed(_)), "{outcome:?}");
    let outcome = run(&stage, &plugin, config, input(&of(1))).await.unwrap();
    assert!(matches!(outcome, CheckOutcome::Failed(_)), "{outcome:?}");
}

#[tokio::test]
async fn callback_asks_with_a_signature_and_waits() {
    let (address, asked) = serving(json!({})).await;
    let stage = Stage::over(Arc::new(ToServer(address)));
    stage.vault.set("operator", "suite-webhook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let grant = Grant {
        secrets: [("suite".to_owned(), "suite-webhook".to_owned())].into(),
        reveal: vec!["suite".to_owned()],
        ..grant()
    };
    let plugin = load_with(&stage, "callback", &grant).await;
    let config = json!({"url": "http://server.example:8080/run", "secret": "suite"});
    let place = json!({"callback": {"url": "https://deployd.example/answers/7", "answers": []}});
    let outcome = run(&stage, &plugin, config.clone(), input(&place)).await.unwrap();
    let CheckOutcome::Pending { poll_after_ms: 5_000, .. } = outcome else { panic!("{outcome:?}") };
    let request = asked.lock().unwrap()[0].clone();
    assert!(request.contains("webhook-signature: v1,"), "{request}");
    assert!(!request.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let fault = run(&stage, &plugin, config, input(&json!({}))).await.unwrap_err();
    assert_eq!(fault.code, "plugin-unsupported");
}
