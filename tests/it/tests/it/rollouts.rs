//! Rollouts with the shipped strategies and checks, by a real daemon in a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deployd_practice::{Behaviour, PodMatch};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::program::{Build, Said, ended};
use crate::stage::{ENVIRONMENT, NAMESPACE, Stage};
use crate::wait::until;

/// What a rollout needs beside the sample.
fn documents(strategy: &str, config: &Value, port: u16) -> Value {
    let document = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "deployd.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let all = [
        document("Plugin", strategy, json!({"kind": "strategy", "source": {"shipped": strategy}})),
        document(
            "Plugin",
            "http",
            json!({"kind": "check", "source": {"shipped": "http"}, "grant": {"hosts": [
                {"host": "127.0.0.1", "port": port, "scheme": "http", "privateAddress": true},
            ]}}),
        ),
        document(
            "EnvironmentType",
            "development",
            json!({
                "templater": {"plugin": "score-k8s"},
                "strategy": {"plugin": strategy, "config": config},
                "values": {"domain": "dev.localhost"},
                "checks": {"healthy": {
                    "plugin": "http",
                    "config": {"url": format!("http://127.0.0.1:{port}/healthz?track={{{{track}}}}")},
                    "intervalMs": 100, "count": 3,
                }},
                "afterwards": {"window": "10m", "checks": ["healthy"]},
            }),
        ),
    ];
    let files: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(n, one)| json!({"path": format!("{n}.yaml"), "text": one.to_string()}))
        .collect();
    json!({ "files": files })
}

/// A server that is well, or not.
pub(crate) struct Health {
    pub(crate) port: u16,
    pub(crate) well: Arc<AtomicBool>,
}

impl Health {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let well = Arc::new(AtomicBool::new(true));
        let is_well = well.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 2048];
                let _ = stream.read(&mut request).await;
                let status = if is_well.load(Ordering::Relaxed) { "200 OK" } else { "500 Oh" };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, well }
    }
}

pub(crate) async fn run<const N: usize>(stage: &Stage, arguments: [&str; N]) -> Said {
    let mut command = Build::Plain.command();
    command
        .args(arguments)
        .env("DEPLOYD_SERVER", stage.daemon.base())
        .env("DEPLOYD_TOKEN_FILE", stage.daemon.data().join("admin-token"));
    ended(command).await
}

impl Stage {
    fn there(&self, name: &str) -> Option<Arc<Value>> {
        self.practice.objects().get("deployments.apps", NAMESPACE, name)
    }

    /// Waits until the rollout waits for a person.
    pub(crate) async fn paused(&self, id: &str) -> Value {
        until("the rollout pauses", || async {
            let record = self.deployment(id).await;
            assert!(record["outcome"].is_null(), "{record:#}");
            let steps = record["work"]["steps"].as_array().cloned().unwrap_or_default();
            let waits = steps
                .iter()
                .any(|step| step["action"]["do"] == "pause" && step["status"] == "pending");
            waits.then_some(record)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_checked_promoted_and_taken_back() {
    let stage = Stage::set().await;
    let health = Health::start().await;
    stage.deployed('1').await;
    let config = json!({"steps": [
        {"weight": 50}, {"checks": ["healthy"]}, {"pause": {"message": "look at it"}},
    ]});
    stage.client.post("/v1/documents:apply", &documents("canary", &config, health.port)).await.ok();

    let said = run(&stage, ["rehearse", ENVIRONMENT, "--expect", "completed"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = run(&stage, ["plan", ENVIRONMENT]).await;
    assert_eq!(said.code, Some(0), "{said:?}");

    let id = stage.announce('2').await;
    stage.paused(&id).await;
    let canary = stage.there("frontend-canary").expect("a canary beside what runs");
    let image = canary.pointer("/spec/template/spec/containers/0/image").unwrap();
    assert!(image.as_str().unwrap().ends_with(&"2".repeat(64)));
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)), "not touched yet");
    let said = run(&stage, ["promote", ENVIRONMENT, "-m", "seen enough"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)));
    assert!(stage.there("frontend-canary").is_none(), "nothing is left of it");

    // Checks that fail take the next one back, and keep it from automation.
    health.well.store(false, Ordering::Relaxed);
    let id = stage.announce('3').await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(record["fault"]["code"], "checks-failed", "{record:#}");
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)));
    assert!(stage.there("frontend-canary").is_none());
    let said = run(&stage, ["quarantine", "list", ENVIRONMENT]).await;
    assert!(said.out.contains(&"3".repeat(64)), "{said:?}");
    let said = run(&stage, ["quarantine", "lift", ENVIRONMENT, &"3".repeat(64)]).await;
    assert_ne!(said.code, Some(0), "two images have that digest: {said:?}");
    let image = format!("registry.example.com/shop/frontend@sha256:{}", "3".repeat(64));
    let said = run(&stage, ["quarantine", "lift", ENVIRONMENT, &image, "-m", "mended"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crashes_beside_what_runs_is_never_switched_to() {
    let stage = Stage::set().await;
    let health = Health::start().await;
    stage.deployed('1').await;
    for strategy in ["blue-green", "rolling-blue-green"] {
        let config = json!({"deadline": "1m"});
        stage
            .client
            .post("/v1/documents:apply", &documents(strategy, &config, health.port))
            .await
            .ok();
        let digit = if strategy == "blue-green" { '2' } else { '3' };
        let crashing = PodMatch::any().image(digit.to_string().repeat(64));
        stage.practice.behaviours().set(crashing, Behaviour::crash_loop());
        let id = stage.announce(digit).await;
        let record = stage.ended(&id).await;
        assert_eq!(record["outcome"], "rolled-back", "{strategy}: {record:#}");
        assert_eq!(record["fault"]["code"], "crash-loop", "{record:#}");
        assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
        assert!(stage.there("frontend-preview").is_none(), "nothing is left of it");
        let selector = stage.practice.objects().get("services", NAMESPACE, "frontend").unwrap();
        assert_eq!(selector["spec"]["selector"]["deployd.dev/track"], "stable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_degrades_after_its_end_goes_back_by_itself() {
    let stage = Stage::set().await;
    let health = Health::start().await;
    stage.deployed('1').await;
    let config = json!({"scale_down_delay": "1s"});
    stage
        .client
        .post("/v1/documents:apply", &documents("blue-green", &config, health.port))
        .await
        .ok();
    let id = stage.deployed('2').await;
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)));
    health.well.store(false, Ordering::Relaxed);
    let back = until("it goes back", || async {
        let history =
            stage.client.get(&format!("/v1/deployments?environment={ENVIRONMENT}")).await.ok();
        let newest = history["deployments"][0].clone();
        (newest["outcome"] == "succeeded" && newest["id"] != id.as_str()).then_some(newest)
    })
    .await;
    assert_eq!(back["request"]["origin"]["kind"], "rollback", "{back:#}");
    assert!(back["request"]["comment"].as_str().unwrap().starts_with("degraded: healthy"));
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
}
