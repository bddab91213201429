//! I16: secrets are in the cluster and in the vault, encrypted, and nowhere
//! else, however they are written.

mod forms;
mod places;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_practice::{Behaviour, PodMatch, PracticeOptions};
use serde_json::{Value, json};

use self::forms::Forms;
use self::places::Places;
use crate::client::Client;
use crate::daemon::Start;
use crate::openbao::OpenBao;
use crate::program::deployd;
use crate::stage::{ENVIRONMENT, NAMESPACE, SIGNING_SECRET, Stage};
use crate::wait::until;

/// A secret of the operator that no plugin is granted.
const CANARY: &str = "canary \"7d1f\"/+&=ä%0A'end";

/// What webhooks are signed with, kept in three places outside deployd.
const IN_VAULT: &str = "whsec_dmF1bHQtdmF1bHQtdmF1bHQtdmF1bHQtdmF1bHQ=";
const IN_ENVIRONMENT: &str = "whsec_ZW52LWVudi1lbnYtZW52LWVudi1lbnYtZW52LWU=";
const IN_KUBERNETES: &str = "whsec_azhzLWs4cy1rOHMtazhzLWs4cy1rOHMtazhzLWs=";

/// What somebody writes over a password in the cluster.
const DRIFTED: &str = "dr1fted-dr1fted-dr1fted";

/// Everything that is logged, but for compilers' thousands of lines.
const LOG: &str = "debug,cranelift=warn,regalloc2=warn,wasmtime=warn";

/// A daemon that may read secrets from everywhere.
fn configured(start: Start, bao: &OpenBao) -> Start {
    let folder = start.data.parent().unwrap().to_owned();
    let outside = folder.join("outside");
    std::fs::create_dir(&outside).unwrap();
    let settings = format!(
        "[secrets]\n\
         files = [{outside:?}]\n\
         environment = [\"APP_*\"]\n\
         [secrets.kubernetes]\n\
         kubeconfig = {:?}\n\
         [secrets.vault]\n\
         address = {:?}\n\
         token-env = \"BAO_TOKEN\"\n",
        outside.join("kubeconfig"),
        bao.address,
    );
    let file = folder.join("deployd.toml");
    std::fs::write(&file, settings).unwrap();
    start
        .env("DEPLOYD_LOG", LOG)
        .env("DEPLOYD_CONFIG", file.to_str().unwrap())
        .env("APP_SIGNING", IN_ENVIRONMENT)
        .env("BAO_TOKEN", OpenBao::TOKEN)
}

/// Has a secret stand for what is kept elsewhere, from where it can be had.
async fn link(stage: &Stage, name: &str, from: &str) {
    let request = stage.client.request(reqwest::Method::PUT, &format!("/v1/secrets/{name}/link"));
    let linked = Client::send(request.json(&json!({"from": from}))).await.ok();
    assert_eq!(linked["problem"], Value::Null, "{linked}");
}

/// Keeps what the daemon needs outside of it, and links to there.
async fn link_all(stage: &Stage, bao: &OpenBao, kubeconfig: &str) {
    let outside = stage.folder().join("outside");
    std::fs::write(outside.join("kubeconfig"), kubeconfig).unwrap();
    link(stage, "demo-cluster", &format!("file:{}", outside.join("kubeconfig").display())).await;
    bao.put("ci", &json!({"signing": IN_VAULT})).await;
    link(stage, "ci-webhook", "vault:secret/ci#signing").await;
    link(stage, "from-environment", "env:APP_SIGNING").await;
    let cluster = Client::new(stage.practice.url(), stage.practice.token());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "signing"},
        "stringData": {"key": IN_KUBERNETES},
    });
    cluster.post("/api/v1/namespaces/default/secrets", &secret).await.ok();
    link(stage, "from-kubernetes", "kubernetes:default/signing#key").await;
    // Somebody is told with each of them.
    let subscription = |name: &str| {
        json!({"path": format!("{name}.json"), "text": json!({
            "apiVersion": "deployd.dev/v1", "kind": "Subscription", "metadata": {"name": name},
            "spec": {
                "notifier": "webhook", "application": "shop", "events": ["deployment.*"],
                "config": {"url": stage.receiver.url()}, "privateAddress": true,
                "signingSecret": name,
            },
        }).to_string()})
    };
    let files = ["from-environment", "from-kubernetes"].map(subscription);
    stage.client.post("/v1/documents:apply", &json!({"files": files})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn i16_secrets_are_nowhere_but_in_the_cluster() {
    let bao = OpenBao::start().await;
    let mut stage = Stage::with(PracticeOptions::new(), |start| configured(start, &bao)).await;
    stage.secret("canary", CANARY).await;
    // The practice cluster's own kubeconfig has its token in the address too,
    // for kubectl, and addresses are no secrets.
    let token = stage.practice.token().to_owned();
    let kubeconfig = stage.practice.kubeconfig().replace(&format!("/token/{token}"), "");
    stage.secret("demo-cluster", &kubeconfig).await;
    link_all(&stage, &bao, &kubeconfig).await;
    let first = stage.deployed('1').await;
    let old_key = std::fs::read(stage.daemon.data().join("secrets.key")).unwrap();
    let rotated = stage.client.post("/v1/secret-keys/rotate", &json!({})).await.ok();
    assert_eq!(rotated["settled"], true, "{rotated}");
    // A failure tells more than a success does.
    stage.practice.behaviours().set(PodMatch::any().image("2".repeat(64)), Behaviour::crash_loop());
    let second = stage.announce('2').await;
    assert_eq!(stage.ended(&second).await["outcome"], "rolled-back");
    stage.told("deployment.rolled-back", &second).await;
    until("everybody was told", || async {
        let pending = stage.client.get("/v1/notifications?status=pending").await.ok();
        pending.as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let dead = stage.client.get("/v1/notifications?status=dead").await.ok();
    assert_eq!(dead, json!([]), "each could be signed");

    let objects = stage.practice.objects();
    let secret = objects.get("secrets", NAMESPACE, "backend-db-postgres").unwrap();
    let encoded = secret.pointer("/data/password").unwrap().as_str().unwrap();
    let password = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    assert_eq!(password.len(), 32);

    // Somebody changes it, which a check for drift finds.
    let cluster = Client::new(stage.practice.url(), stage.practice.token());
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/backend-db-postgres");
    let change = json!({"stringData": {"password": DRIFTED}});
    let request = cluster.request(reqwest::Method::PATCH, &path).body(change.to_string());
    Client::send(request.header("content-type", "application/merge-patch+json")).await.ok();
    let path = format!("/v1/environments/{ENVIRONMENT}/drift");
    let report = stage.client.post(&path, &json!({})).await.ok();
    assert!(report.to_string().contains("backend-db-postgres"), "{report:#}");

    // A delivery, whose secret comes in a header.
    stage.hooked().await;
    assert_eq!(stage.read_delivery(r#"{"events": []}"#).await["status"], "read");

    let mut places = Places::default();
    places.answers(&stage.client).await;
    places.commands(&stage, [&first, &second]).await;
    for told in stage.receiver.deliveries() {
        places.add(format!("the webhook {}", told.kind), told.text);
    }
    let backup = stage.daemon.data().join("backup.redb");
    let request = json!({"path": backup});
    stage.client.post("/v1/backup", &request).await.ok();
    assert!(stage.daemon.stop().await.success());
    places.add("the daemon's log", stage.daemon.log());
    let said = deployd(["doctor", "--data", &stage.daemon.data().display().to_string()]).await;
    assert!(said.out.contains("removable, but for backups from before: "), "{said:?}");
    places.add("what `deployd doctor` says", said.out + &said.err);
    places.store(&stage.daemon.data().join("deployd.redb"));
    places.store(&backup);
    let new_key = std::fs::read(stage.daemon.data().join("secrets.key")).unwrap();
    assert_ne!(old_key, new_key);
    places.files(stage.daemon.data());
    assert!(places.count() > 500, "{}", places.count());

    let key = |signing: &str| signing.trim_start_matches("whsec_").as_bytes().to_vec();
    let secrets = [
        ("the operator's secret", CANARY.as_bytes().to_vec()),
        ("the generated password", password.into_bytes()),
        ("what the password was changed to", DRIFTED.as_bytes().to_vec()),
        ("the key of webhooks that was set", key(SIGNING_SECRET)),
        ("the key of webhooks in Vault", key(IN_VAULT)),
        ("the key of webhooks in the environment", key(IN_ENVIRONMENT)),
        ("the key of webhooks in Kubernetes", key(IN_KUBERNETES)),
        ("the cluster's token, in a file", token.into_bytes()),
        ("the secret of a hook", crate::hooks::SECRET.as_bytes().to_vec()),
        ("Vault's token", OpenBao::TOKEN.as_bytes().to_vec()),
        ("the old key of secrets", old_key),
        ("the new key of secrets", new_key),
    ];
    let mut leaks = Vec::new();
    for (name, secret) in &secrets {
        leaks.extend(places.with(&Forms::of(secret)).map(|place| format!("{name} is in {place}")));
    }
    assert_eq!(leaks, Vec::<String>::new());
    // What was searched is what there is: names of secrets are in it.
    for there in ["from-kubernetes", "vault:secret/ci#signing", "secret-key-rotated"] {
        let found = places.with(&Forms::of(there.as_bytes())).count();
        assert!(found > 2, "{there} is in {found} places");
    }
    assert!(places.with(&Forms::of(ENVIRONMENT.as_bytes())).count() > 20);
}

#[test]
fn secrets_would_be_found() {
    let forms = Forms::of(CANARY.as_bytes());
    let text = json!({"given": format!("ab{CANARY}cd")}).to_string();
    for before in ["", "x", "xy"] {
        let encoded = STANDARD.encode(format!("{before}{CANARY}y"));
        assert!(forms.are_in(encoded.as_bytes()));
    }
    assert!(forms.are_in(text.as_bytes()) && forms.are_in(&[&[0xff], CANARY.as_bytes()].concat()));
    let encoded: String = reqwest::Url::parse_with_params("a:b", [("x", CANARY)]).unwrap().into();
    assert!(forms.are_in(encoded.replace('+', "%20").as_bytes()), "{encoded}");
    assert!(!forms.are_in(b"canary"));
}
