//! I16: secrets are in the cluster and in the vault, encrypted, and nowhere
//! else, however they are written.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use deployd_practice::{Behaviour, PodMatch, PracticeOptions};
use reqwest::Method;
use serde_json::json;

use crate::client::Client;
use crate::daemon::Start;
use crate::stage::{ENVIRONMENT, NAMESPACE, SIGNING_SECRET, Stage};

/// A secret of the operator that no plugin is granted.
const CANARY: &str = "canary \"7d1f\"/+&=ä%0A'end";

/// Everything that is logged, but for compilers' thousands of lines.
const LOG: &str = "debug,cranelift=warn,regalloc2=warn,wasmtime=warn";

/// What a secret can look like.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let url: String = bytes
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(*byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let json = serde_json::to_string(secret).unwrap();
    let mut forms = vec![secret.to_owned(), hex, url, json[1..json.len() - 1].to_owned()];
    // Within other text, base 64 has one of three alignments; its edges are
    // left off, because they depend on what is beside it.
    for offset in 0..3 {
        let padded = [&vec![0; offset][..], bytes].concat();
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    forms
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => {
                    let content = std::fs::read(entry.path()).unwrap();
                    let content = String::from_utf8_lossy(&content).into_owned();
                    found.push((entry.path().display().to_string(), content));
                }
            }
        }
    }
    found
}

/// What the daemon answers to everything that can be read.
async fn answers(client: &Client, deployments: &[&str]) -> Vec<(String, String)> {
    let mut paths: Vec<String> = [
        "/v1/documents",
        "/v1/deployments",
        "/v1/environments",
        "/v1/notifications?limit=500",
        "/v1/plugins",
        "/v1/secrets",
        "/v1/tokens",
        "/v1/journal?limit=500",
        "/metrics",
        "/readyz",
    ]
    .map(str::to_owned)
    .into();
    paths.push(format!("/v1/environments/{ENVIRONMENT}"));
    paths.push(format!("/v1/environments/{ENVIRONMENT}/resources"));
    for id in deployments {
        paths.push(format!("/v1/deployments/{id}"));
        for part in ["logs?limit=500", "manifests", "plan", "events"] {
            paths.push(format!("/v1/deployments/{id}/{part}"));
        }
    }
    let mut found = Vec::new();
    for path in paths {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        found.push((path, answer.text));
    }
    let request = json!({"environment": ENVIRONMENT});
    let plan = client.post("/v1/deployments?dry_run=true", &request).await;
    assert_eq!(plan.status, 200, "{plan:?}");
    found.push(("the plan of a dry run".to_owned(), plan.text));
    let yaml =
        client.request(Method::GET, &format!("/v1/deployments/{}/manifests", deployments[0]));
    let yaml = Client::send(yaml.header("accept", "application/yaml")).await;
    assert!(yaml.text.contains("kind: Secret"), "{yaml:?}");
    found.push(("manifests as YAML".to_owned(), yaml.text));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn i16_secrets_are_nowhere_but_in_the_cluster() {
    let log = |start: Start| start.env("DEPLOYD_LOG", LOG);
    let mut stage = Stage::with(PracticeOptions::new(), log).await;
    stage.secret("canary", CANARY).await;
    // The practice cluster's own kubeconfig has its token in the address too,
    // for kubectl, and addresses are no secrets.
    let token = stage.practice.token().to_owned();
    let kubeconfig = stage.practice.kubeconfig().replace(&format!("/token/{token}"), "");
    stage.secret("demo-cluster", &kubeconfig).await;
    let first = stage.deployed('1').await;
    // A failure tells more than a success does.
    stage.practice.behaviours().set(PodMatch::any().image("2".repeat(64)), Behaviour::crash_loop());
    let second = stage.announce('2').await;
    assert_eq!(stage.ended(&second).await["outcome"], "rolled-back");
    stage.told("deployment.rolled-back", &second).await;

    let objects = stage.practice.objects();
    let secret = objects.get("secrets", NAMESPACE, "backend-db-postgres").unwrap();
    let encoded = secret.pointer("/data/password").unwrap().as_str().unwrap();
    let password = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    let password = String::from_utf8(password).unwrap();
    assert_eq!(password.len(), 32);

    let mut places = answers(&stage.client, &[&first, &second]).await;
    for told in stage.receiver.deliveries() {
        places.push((format!("the webhook {}", told.kind), told.text));
    }
    assert!(stage.daemon.stop().await.success());
    places.push(("the daemon's log".to_owned(), stage.daemon.log()));
    places.extend(files(stage.daemon.data()));
    assert!(places.len() > 30, "{}", places.len());

    let secrets = [
        ("the operator's secret", CANARY),
        ("the generated password", &password),
        ("the key of webhooks", SIGNING_SECRET.trim_start_matches("whsec_")),
        ("the cluster's token", &token),
    ];
    let mut leaks = Vec::new();
    for (name, secret) in secrets {
        let forms = forms(secret);
        for (place, text) in &places {
            if forms.iter().any(|form| text.contains(form)) {
                leaks.push(format!("{name} is in {place}"));
            }
        }
    }
    assert_eq!(leaks, Vec::<String>::new());
}

#[test]
fn secrets_would_be_found() {
    let text = json!({"given": format!("ab{CANARY}cd")}).to_string();
    for before in ["", "x", "xy"] {
        let encoded = STANDARD_NO_PAD.encode(format!("{before}{CANARY}y"));
        assert!(forms(CANARY).iter().any(|form| encoded.contains(form)));
    }
    assert!(forms(CANARY).iter().any(|form| text.contains(form)));
    assert!(!forms(CANARY).iter().any(|form| "canary".contains(form)));
}
