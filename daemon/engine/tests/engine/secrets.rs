//! I16: a secret's value is where it must be, and nowhere else.

use deployd_core::deployment::Outcome;
use deployd_core::ports::Store;
use deployd_core::secret::{OPERATOR, SecretValue};
use serde_json::{Value, json};

use crate::documents::name;
use crate::documents::{artifact, image, plugin};
use crate::world::{SIGNING_SECRET, Stage, World, assert_succeeded, caller};

/// Every byte that the store keeps: what it writes as its copy, with lists of
/// bytes read as bytes, and what is compressed as it was before.
pub async fn everything(world: &World) -> Vec<Vec<u8>> {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("everything-{}-{number}", std::process::id());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    world.store.backup(&file).await.unwrap();
    let text = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut found = Vec::new();
    collect(&serde_json::from_slice(&text).unwrap(), &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => found.push(text.clone().into_bytes()),
        Value::Array(items) => {
            let byte = |item: &Value| item.as_u64().and_then(|n| u8::try_from(n).ok());
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) if !bytes.is_empty() => {
                    found.extend(zstd::decode_all(bytes.as_slice()));
                    found.push(bytes);
                }
                _ => items.iter().for_each(|item| collect(item, found)),
            }
        }
        Value::Object(fields) => fields.iter().for_each(|(key, item)| {
            found.push(key.clone().into_bytes());
            collect(item, found);
        }),
        _ => {}
    }
}

pub fn holds(everything: &[Vec<u8>], text: &str) -> bool {
    everything.iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn i16_a_canary_is_found_in_the_cluster_s_secret_only() {
    let stage = Stage::new().await;
    stage
        .engine
        .set_secret(&caller(), &name("api-key"), SecretValue::new(b"canary-operator".to_vec()))
        .await
        .unwrap();
    let token = stage
        .engine
        .create_token(&caller(), &name("ci"), deployd_core::views::TokenScope::Ci)
        .await
        .unwrap();
    assert_succeeded(&stage.deployed("1").await);
    stage.world.cluster().broken.insert(image("backend", "2"));
    assert_eq!(stage.deployed("2").await.outcome, Some(Outcome::RolledBack));
    stage.all_told().await;

    let kept = everything(&stage.world).await;
    assert!(holds(&kept, "\u{27e6}secret:"), "the search finds what is there");
    assert!(holds(&kept, "deployment-queued"), "the search finds what is there");
    assert!(holds(&kept, "planned: 5 resources"), "also in logs, which are compressed");
    assert!(!holds(&kept, "canary"));
    assert!(!holds(&kept, SIGNING_SECRET));
    assert!(!holds(&kept, &token.secret));
    for received in &stage.world.receivers().received {
        assert!(!format!("{received:?}{}", received.event()).contains("canary"));
    }
    for call in &stage.world.drivers().calls {
        assert!(!format!("{call:?}").contains("canary"));
    }
    for (object, content) in &stage.world.cluster().objects {
        let mut rest = content.clone();
        if object.kind == "Secret" {
            assert!(rest["stringData"].to_string().contains("canary"));
            rest["stringData"].take();
        }
        assert!(!rest.to_string().contains("canary"), "{object}");
    }
    let found = stage.engine.authenticate(&token.secret).await.unwrap().unwrap();
    assert_eq!(found.actor.0, token.token.name.as_str());
    assert_eq!(found.scope, Some(token.token.scope));
    stage.engine.revoke_token(&caller(), &name("ci")).await.unwrap();
    assert!(stage.engine.authenticate(&token.secret).await.unwrap().is_none());
    assert!(stage.world.vault.lock().unwrap().keys().any(|secret| secret.owner == OPERATOR));
}

/// The ways in which a value shows when somebody has made a text of it.
fn forms(value: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let bytes = value.as_bytes();
    // As part of something longer it stands at any of three places of a group.
    let inside = |skip: usize| {
        let part = bytes[skip..].chunks_exact(3).flatten().copied().collect::<Vec<u8>>();
        STANDARD_NO_PAD.encode(part)
    };
    let percent = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(*byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    let hex = |byte: &u8| format!("{byte:02x}");
    let quoted = serde_json::to_string(value).unwrap();
    vec![
        value.to_owned(),
        value.chars().rev().collect(),
        STANDARD.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        inside(0),
        inside(1),
        inside(2),
        bytes.iter().map(percent).collect(),
        bytes.iter().map(hex).collect(),
        quoted.trim_matches('"').to_owned(),
        serde_json::to_string(&quoted).unwrap().trim_matches('"').to_owned(),
        format!("{bytes:?}"),
    ]
}

#[tokio::test(start_paused = true)]
async fn i16_no_form_of_a_secret_is_kept_logged_or_told() {
    let stage = Stage::new().await;
    stage.world.drivers().script("postgres").log = vec!["connected".to_owned()];
    stage.world.drivers().script("postgres").transient = 2;
    stage.apply(vec![plugin("rolling", "strategy", json!({"deadline-ms": 1_000}))]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.world.cluster().broken.insert(image("backend", "2"));
    let failed = stage.deployed("2").await;
    assert_eq!(failed.outcome, Some(Outcome::RolledBack));
    stage.all_told().await;

    let calls = stage.world.drivers().calls.clone();
    let mut values = vec![SIGNING_SECRET.to_owned()];
    for call in calls.iter().filter(|call| call.what == "provision") {
        for name in ["password", "kubeconfig"] {
            values.push(crate::fakes::drivers::canary(&call.request.uid, name));
        }
    }
    let mut channels = everything(&stage.world).await;
    channels.push(serde_json::to_vec(&failed).unwrap());
    channels.push(serde_json::to_vec(&stage.engine.manifests(&failed.id).await.unwrap()).unwrap());
    channels.push(serde_json::to_vec(&stage.engine.plan_of(&failed.id).await.unwrap()).unwrap());
    channels.push(
        serde_json::to_vec(&stage.engine.plan(&crate::world::request()).await.unwrap()).unwrap(),
    );
    channels.push(serde_json::to_vec(&stage.engine.environments().await.unwrap()).unwrap());
    channels.push(serde_json::to_vec(&stage.engine.documents(None).await.unwrap()).unwrap());
    let logs = stage.engine.logs(&failed.id, 0, 1_000).await.unwrap();
    assert!(!logs.is_empty());
    channels.push(serde_json::to_vec(&logs).unwrap());
    for received in &stage.world.receivers().received {
        channels.push(received.request.body.clone());
        channels.push(format!("{:?}", received.request.headers).into_bytes());
    }
    channels.push(format!("{:?}", stage.engine.counters()).into_bytes());
    channels.push(format!("{calls:?}").into_bytes());
    for value in &values {
        for form in forms(value) {
            assert!(!holds(&channels, &form), "{value}: {form}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i16_a_secret_in_a_wrong_place_is_refused() {
    let stage = Stage::new().await;
    stage.apply(vec![plugin("templater", "templater", json!({"misplace": true}))]).await;
    let record = stage.deployed("1").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let fault = record.fault.unwrap();
    assert_eq!(fault.code, "secret-misplaced");
    assert!(fault.message.contains("/spec/env/DB"), "{fault}");
    assert!(stage.world.cluster().objects.is_empty());
}

#[tokio::test(start_paused = true)]
async fn i16_a_template_s_request_can_t_name_a_secret() {
    let stage = Stage::new().await;
    let mut marked = artifact("frontend", "1");
    marked.tag = Some("\u{27e6}secret:operator/signing\u{27e7}".to_owned());
    stage.engine.announce(&caller(), vec![marked]).await.unwrap();
    assert!(!holds(&everything(&stage.world).await, SIGNING_SECRET));
}
