//! Checks that others do: asked by a signed webhook, answered by one.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::sample::{document, request};
use crate::stage::{ENVIRONMENT, SIGNING_SECRET, Stage};
use crate::wait::until;

/// Somebody else's tests: keeps what it is asked, and answers when it is told to.
pub(crate) struct Suite {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Value>>>,
    http: reqwest::Client,
}

impl Suite {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<Value>>>::default();
        let take = |State(asked): State<Arc<Mutex<Vec<Value>>>>, body: Bytes| async move {
            asked.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        };
        let router = axum::Router::new().route("/run", post(take)).with_state(asked.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { port, asked, http }
    }

    /// The newest request to test something.
    pub(crate) async fn asked(&self, count: usize) -> Value {
        until("the suite is asked", || async {
            let asked = self.asked.lock().unwrap();
            assert!(asked.len() <= count, "{asked:#?}");
            asked.get(count - 1).cloned()
        })
        .await["data"]
            .take()
    }

    /// Answers, signed with a key; gives the status.
    pub(crate) async fn answer(&self, asked: &Value, verdict: &str, secret: &str) -> u16 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let (id, timestamp) = (format!("msg_{verdict}"), now.as_secs().to_string());
        let body = json!({
            "type": "check.answered",
            "timestamp": "2026-01-01T00:00:00Z",
            "data": {
                "check": asked["check"], "verdict": verdict, "message": "120 of 120 tests",
                "measurements": [{"name": "tests", "value": 120, "unit": "1"}],
            },
        })
        .to_string();
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let request = self
            .http
            .post(asked["callback"].as_str().unwrap())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body);
        request.send().await.unwrap().status().as_u16()
    }
}

/// A canary that goes on when others have tested it.
fn documents(port: u16) -> Value {
    let all = [
        document("Plugin", "canary", json!({"kind": "strategy", "source": {"shipped": "canary"}})),
        document(
            "Plugin",
            "callback",
            json!({"kind": "check", "source": {"shipped": "callback"}, "grant": {
                "hosts": [
                    {"host": "127.0.0.1", "port": port, "scheme": "http", "privateAddress": true},
                ],
                "secrets": {"suite": "ci-webhook"}, "reveal": ["suite"],
            }}),
        ),
        document(
            "Plugin",
            "kubernetes",
            json!({"kind": "check", "source": {"shipped": "kubernetes"}, "grant": {"pods": true}}),
        ),
        document(
            "EnvironmentType",
            "development",
            json!({
                "templater": {"plugin": "score-k8s"},
                "strategy": {"plugin": "canary", "config": {"steps": [
                    {"weight": 50}, {"checks": ["suite", "pods"]},
                ]}},
                "values": {"domain": "dev.localhost"},
                "checks": {"suite": {
                    "plugin": "callback", "once": true,
                    "config": {
                        "url": format!("http://127.0.0.1:{port}/run"), "secret": "suite",
                        "poll_ms": 100,
                    },
                }, "pods": {
                    "plugin": "kubernetes", "intervalMs": 100, "count": 2,
                    "config": {
                        "ready_percent": 100, "max_restarts": 0,
                        "conditions": {"Available": "True"},
                    },
                }},
            }),
        ),
    ];
    request(&all)
}

#[tokio::test(flavor = "multi_thread")]
async fn others_check_a_canary_and_their_signed_answer_is_the_verdict() {
    let stage = Stage::set().await;
    let suite = Suite::start().await;
    stage.deployed('1').await;
    stage.client.post("/v1/documents:apply", &documents(suite.port)).await.ok();

    let id = stage.announce('2').await;
    let asked = suite.asked(1).await;
    assert_eq!(asked["deployment"], id.as_str());
    assert_eq!(asked["environment"], ENVIRONMENT.split('/').nth(1).unwrap());
    assert_eq!(asked["track"], "canary");
    // One who does not know the secret is heard, and not believed.
    let other = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=";
    assert_eq!(suite.answer(&asked, "failed", other).await, 204);
    assert_eq!(suite.answer(&asked, "passed", SIGNING_SECRET).await, 204);
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert_eq!(suite.answer(&asked, "passed", SIGNING_SECRET).await, 409, "it is over");
    let logs = stage.client.get(&format!("/v1/deployments/{id}/logs?limit=500")).await.text;
    assert!(logs.contains("120 of 120 tests"), "{logs}");
    assert!(logs.contains("check pods passed: "), "{logs}");
    assert!(logs.contains("its signature is not of the secret"), "{logs}");

    let id = stage.announce('3').await;
    let asked = suite.asked(2).await;
    assert_eq!(suite.answer(&asked, "failed", SIGNING_SECRET).await, 204);
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(record["fault"]["code"], "checks-failed", "{record:#}");
}
