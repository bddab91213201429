//! A real server: what it has, and all the ways in which it does not give it.

use deployd_core::ports::SecretSource as _;
use deployd_core::{Fault, FaultClass};
use deployd_vault::{KvAddress, KvSource, KvToken};
use serde_json::json;

use crate::stage::{Bao, ROOT, Variables, source};

/// A value that no fault may have in it.
const CANARY: &str = "canary-7d1f ä\n\"";

async fn text(source: &KvSource, link: &str) -> String {
    let value = source.read(&link.parse().unwrap()).await.unwrap();
    String::from_utf8(value.expose().to_vec()).unwrap()
}

#[track_caller]
fn is(fault: &Fault, class: FaultClass, code: &str, says: &str) {
    assert_eq!((fault.class, fault.code.as_str()), (class, code), "{fault}");
    let all = format!("{fault:?}");
    assert!(all.contains(says), "{says}: {all}");
    assert!(!all.contains("canary") && !all.contains(ROOT), "{all}");
}

#[tokio::test]
async fn i16_what_openbao_gives_and_how_it_refuses() {
    let mut bao = Bao::start().await;
    let variables = Variables::default();
    variables.set("TOKEN", ROOT);
    let source = source(&bao.address, &variables, |settings| settings).await;
    let refused = async |link: &str| source.read(&link.parse().unwrap()).await.unwrap_err();

    bao.put("secret/data/shop/db", json!({"password": CANARY, "port": 5432})).await;
    assert_eq!(text(&source, "vault:secret/shop/db#password").await, CANARY);
    // What is changed there counts at once.
    bao.put("secret/data/shop/db", json!({"password": "canary-2", "port": 5432})).await;
    assert_eq!(text(&source, "vault:secret/shop/db#password").await, "canary-2");
    // Names that mean something in URLs are names.
    bao.put("secret/data/a%20b/c%3Fd%25", json!({"x": "canary-3"})).await;
    assert_eq!(text(&source, "vault:secret/a b/c?d%#x").await, "canary-3");
    // A mount with a slash in its name.
    bao.ask("POST", "sys/mounts/team/kv", json!({"type": "kv", "options": {"version": "2"}})).await;
    bao.put("team/kv/data/db", json!({"x": "canary-4"})).await;
    assert_eq!(text(&source, "vault:team/kv//db#x").await, "canary-4");

    use FaultClass::{Denied, Invalid, Permanent, Transient};
    let fault = refused("vault:secret/shop/db#user").await;
    is(&fault, Invalid, "vault-field-missing", "user");
    let fault = refused("vault:secret/shop/db#port").await;
    is(&fault, Invalid, "vault-field-invalid", "port");
    let fault = refused("vault:secret/shop/none#x").await;
    is(&fault, Invalid, "vault-path-missing", "secret/data/shop/none");
    let fault = refused("vault:nowhere/db#x").await;
    is(&fault, Invalid, "vault-path-missing", "nowhere/data/db");
    // Version 1 of the engine has no versions.
    bao.ask("POST", "sys/mounts/one", json!({"type": "kv", "options": {"version": "1"}})).await;
    bao.ask("POST", "one/data/db", json!({"x": CANARY})).await;
    let fault = refused("vault:one/db#x").await;
    is(&fault, Permanent, "vault-answer-unreadable", "version 2");

    bao.ask("DELETE", "secret/data/shop/db", json!(null)).await;
    let fault = refused("vault:secret/shop/db#password").await;
    is(&fault, Invalid, "vault-version-deleted", "its newest version, 2, was deleted");
    bao.ask("POST", "secret/undelete/shop/db", json!({"versions": [2]})).await;
    assert_eq!(text(&source, "vault:secret/shop/db#password").await, "canary-2");
    bao.ask("POST", "secret/destroy/shop/db", json!({"versions": [2]})).await;
    let fault = refused("vault:secret/shop/db#password").await;
    is(&fault, Invalid, "vault-version-deleted", "its newest version, 2, was destroyed");
    bao.put("secret/data/shop/db", json!({"password": CANARY})).await;

    // A token that may read one path, and is taken away.
    let policy = json!({"policy": "path \"secret/data/shop/db\" { capabilities = [\"read\"] }"});
    bao.ask("POST", "sys/policies/acl/one", policy).await;
    let made = bao.ask("POST", "auth/token/create", json!({"policies": ["one"]})).await;
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    variables.set("TOKEN", &token);
    assert_eq!(text(&source, "vault:secret/shop/db#password").await, CANARY);
    let fault = refused("vault:secret/shop/other#x").await;
    is(&fault, Denied, "vault-denied", "policies do not allow to read secret/data/shop/other");
    bao.ask("POST", "auth/token/revoke", json!({"token": token})).await;
    let fault = refused("vault:secret/shop/db#password").await;
    is(&fault, Denied, "vault-denied", "expired");
    assert!(!format!("{fault:?}").contains(&token));
    variables.set("TOKEN", " \n");
    let fault = refused("vault:secret/shop/db#password").await;
    is(&fault, Permanent, "vault-token-unreadable", "the variable TOKEN");
    variables.set("TOKEN", ROOT);
    assert_eq!(text(&source, "vault:secret/shop/db#password").await, CANARY);

    bao.ask("PUT", "sys/seal", json!(null)).await;
    let fault = refused("vault:secret/shop/db#password").await;
    is(&fault, Transient, "vault-sealed", "unseal");
    bao.end();
    let fault = refused("vault:secret/shop/db#password").await;
    is(&fault, Transient, "connect-failed", "can't be connected to");
}

#[tokio::test]
async fn a_token_in_a_file_is_read_for_each_use_and_namespaces_are_told() {
    let bao = Bao::start().await;
    bao.ask("POST", "sys/namespaces/platform", json!({})).await;
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    bao.ask_in(Some("platform"), "POST", "sys/mounts/kv", mount).await;
    let data = json!({"data": {"x": "canary"}});
    // The engine is being set up for a moment after it was mounted.
    bao.ask_in(Some("platform"), "GET", "kv/config", json!(null)).await;
    bao.ask_in(Some("platform"), "POST", "kv/data/db", data).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let source = source(&bao.address, &Variables::default(), |settings| KvAddress {
        token: KvToken::File(file.clone()),
        namespace: Some("platform".to_owned()),
        ..settings
    })
    .await;
    let link = "vault:kv/db#x".parse().unwrap();
    let fault = source.read(&link).await.unwrap_err();
    is(&fault, FaultClass::Permanent, "vault-token-unreadable", "secrets.vault.token-file");
    for (token, code) in [
        ("", "vault-token-unreadable"),
        ("two words", "vault-token-unreadable"),
        ("x", "vault-denied"),
    ] {
        std::fs::write(&file, token).unwrap();
        assert_eq!(source.read(&link).await.unwrap_err().code, code, "{token}");
    }
    std::fs::write(&file, format!("{ROOT}\n")).unwrap();
    assert_eq!(text(&source, "vault:kv/db#x").await, "canary");
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authority_that_is_named() {
    let bao = Bao::with_tls().await;
    bao.put("secret/data/db", json!({"x": "canary"})).await;
    let variables = Variables::default();
    variables.set("TOKEN", ROOT);
    let strangers = source(&bao.address, &variables, |settings| settings).await;
    let link = "vault:secret/db#x".parse().unwrap();
    let fault = strangers.read(&link).await.unwrap_err();
    is(&fault, FaultClass::Permanent, "tls-untrusted", "secrets.vault.ca-file");
    let ca = |file| move |settings| KvAddress { ca_file: Some(file), ..settings };
    let trusted = source(&bao.address, &variables, ca(bao.ca())).await;
    assert_eq!(text(&trusted, "vault:secret/db#x").await, "canary");
    let nowhere = source(&bao.address, &variables, ca("/nonexistent".into())).await;
    let fault = nowhere.read(&link).await.unwrap_err();
    is(&fault, FaultClass::Permanent, "vault-ca-unreadable", "/nonexistent");
}
