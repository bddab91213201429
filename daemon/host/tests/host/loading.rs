//! What is refused when it is loaded, and what the refusal says.

use std::time::Duration;

use deployd_core::Digest;
use deployd_core::config::{Grant, LimitOverrides, PluginKind};
use deployd_core::ports::{PluginRef, Recipe};
use deployd_host::{LoadError, Registration, limits};
use serde_json::json;

use crate::support::{Stage, component, manifest};

/// Loading a fixture fails with these words, and a good plugin still loads.
async fn refused(fixture: &str, kind: PluginKind, says: &[&str]) -> LoadError {
    let stage = Stage::new();
    let bytes = component(fixture);
    let error = stage.register(fixture, &bytes, kind, "", &Grant::default()).await.unwrap_err();
    for says in says {
        assert!(error.to_string().contains(says), "{error}");
    }
    let good = stage.templater("good").await.unwrap();
    assert_eq!(stage.render(&good).await.code(), "done");
    assert_eq!(stage.host.loaded().len(), 1);
    error
}

#[tokio::test]
async fn another_kind() {
    let error = refused("wrong-export", PluginKind::Templater, &[]).await.to_string();
    assert_eq!(
        error,
        "it is to be a templater, and is a notifier: it exports deployd:notifier/notifier@0.1.0"
    );
}

#[tokio::test]
async fn no_known_export() {
    let says =
        ["does not export deployd:templater/templater@0.1.0", "it exports acme:tools/hammer@1.0.0"];
    refused("missing-export", PluginKind::Templater, &says).await;
}

#[tokio::test]
async fn another_version() {
    let error = refused("wrong-version", PluginKind::Templater, &[]).await.to_string();
    assert_eq!(
        error,
        "it offers deployd:templater@0.2.0, this daemon hosts deployd:templater@0.1.0"
    );
}

#[tokio::test]
async fn unknown_imports() {
    let says = [
        "it imports acme:tools/fax@1.0.0, wasi:sockets/tcp@0.2.0;",
        "offers to a templater: deployd:host/log@0.1.0",
        "Plugins have no sockets of their own",
    ];
    refused("unknown-import", PluginKind::Templater, &says).await;
}

#[tokio::test]
async fn a_pure_plugin_must_not_have_the_network() {
    let says = ["it imports deployd:host/net@0.1.0", "pure kinds"];
    refused("imports-net", PluginKind::Templater, &says).await;
}

#[tokio::test]
async fn networks_of_wasi() {
    let says = [
        "it imports wasi:sockets/tcp@0.2.0, wasi:http/outgoing-handler@0.2.0;",
        "no sockets of their own",
        "pure kinds have nothing but a log",
    ];
    refused("imports-sockets", PluginKind::Notifier, &says).await;
}

#[tokio::test]
async fn a_pure_plugin_must_not_have_secrets() {
    let says = ["it imports deployd:host/secrets@0.1.0", "pure kinds"];
    refused("imports-secrets", PluginKind::Strategy, &says).await;
}

#[tokio::test]
async fn exports_and_imports_of_other_types() {
    let says = ["it does not fit deployd:templater@0.1.0"];
    refused("export-is-a-function", PluginKind::Templater, &says).await;
    refused("imports-wrong-types", PluginKind::Templater, &says).await;
}

#[tokio::test]
async fn more_parts_than_anybody_needs() {
    let says = ["no instance of it can be made", "too many parts", "8 memories"];
    refused("many-memories", PluginKind::Templater, &says).await;
    refused("many-instances", PluginKind::Templater, &["too many parts", "32 instances"]).await;
    refused("start-table", PluginKind::Templater, &["table", "100000000"]).await;
}

#[tokio::test]
async fn a_pure_plugin_must_not_know_the_time() {
    let says = ["it imports deployd:host/clock@0.1.0", "pure kinds"];
    refused("imports-clock", PluginKind::Templater, &says).await;
}

#[tokio::test]
async fn a_contract_that_is_not_kept() {
    let says = ["it does not fit deployd:templater@0.1.0"];
    refused("missing-function", PluginKind::Templater, &says).await;
    refused("wrong-types", PluginKind::Templater, &["(deployd:templater@0.1.0)", "type mismatch"])
        .await;
}

#[tokio::test]
async fn a_plugin_that_fails_before_its_first_call() {
    let says = ["no instance of it can be made", "panicked or aborted"];
    refused("start-trap", PluginKind::Templater, &says).await;
    refused("start-loop", PluginKind::Templater, &["processor time", "1000 ms"]).await;
    refused("start-memory", PluginKind::Templater, &["134217728 bytes of memory"]).await;
}

#[tokio::test]
async fn proposals_that_are_off() {
    refused("two-memories", PluginKind::Templater, &["no valid", "multiple memories"]).await;
}

#[tokio::test]
async fn bytes_that_are_no_component() {
    let stage = Stage::new();
    let good = component("good");
    let half = &good[..good.len() / 2];
    for bytes in [&b""[..], b"hello", b"\0asm\x0d\0\x01\0\xff", half] {
        let registered =
            stage.register("x", bytes, PluginKind::Templater, "", &Grant::default()).await;
        assert!(matches!(registered, Err(LoadError::Contract(_))), "{registered:?}");
    }
}

/// Whatever byte is changed: it is refused, or it runs within its limits.
#[tokio::test]
async fn damaged_bytes_never_harm_the_host() {
    let stage = Stage::new();
    let good = component("good");
    for at in (0..good.len()).step_by(61) {
        let mut damaged = good.clone();
        damaged[at] ^= 0x55;
        let grant = Grant {
            limits: LimitOverrides { cpu_ms: Some(20), ..Default::default() },
            ..Grant::default()
        };
        if let Ok(info) =
            stage.register("damaged", &damaged, PluginKind::Templater, "", &grant).await
        {
            drop(stage.render(&info.plugin).await);
            assert!(stage.host.unload(&info.plugin));
        }
    }
    let good = stage.templater("good").await.unwrap();
    assert_eq!(stage.render(&good).await.code(), "done");
}

#[tokio::test]
async fn a_digest_that_does_not_fit() {
    let stage = Stage::new();
    let bytes = component("good");
    let other = Digest::of(b"something else");
    let registration = |text: &'static str, digest| Registration {
        name: "good",
        kind: PluginKind::Templater,
        component: bytes.as_slice().into(),
        manifest: text,
        digest,
        grant: Box::leak(Box::default()),
        config: None,
    };
    let plain: &'static str = manifest("good", PluginKind::Templater, "").leak();
    let tampered: &'static str = format!("digest = \"{other}\"\n{plain}").leak();
    let by_manifest = stage.host.register(registration(tampered, None)).await.unwrap_err();
    assert!(by_manifest.to_string().contains("its plugin.toml says"), "{by_manifest}");
    let by_operator = stage.host.register(registration(plain, Some(other))).await.unwrap_err();
    assert!(by_operator.to_string().contains("the configuration says"), "{by_operator}");
    let right = Some(Digest::of(&bytes));
    assert!(stage.host.register(registration(plain, right)).await.is_ok());
}

#[tokio::test]
async fn a_component_that_is_too_large() {
    let stage = Stage::new();
    let bytes = vec![0; limits::COMPONENT_BYTES + 1];
    let error = stage
        .register("x", &bytes, PluginKind::Templater, "this is not even read", &Grant::default())
        .await
        .unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn all_that_is_not_granted_is_listed() {
    let stage = Stage::new();
    let asks = "[asks]\nsecrets = ['a', 'b']\ngenerate_secrets = true\nmemory_mib = 65\n";
    let error = stage
        .register("good", &component("good"), PluginKind::Templater, asks, &Grant::default())
        .await
        .unwrap_err();
    let LoadError::NotGranted { refused } = &error else { panic!("{error}") };
    assert_eq!(refused.len(), 4, "{error}");
}

#[tokio::test]
async fn a_configuration_is_checked_with_all_its_mistakes() {
    let stage = Stage::new();
    let schema = "[config.schema]\ntype = 'object'\nadditionalProperties = false\n\
                  properties.replicas = { type = 'integer' }\n";
    let config = [("replicas".to_owned(), json!("two")), ("extra".to_owned(), json!(1))].into();
    let bytes = component("good");
    let text = manifest("good", PluginKind::Templater, schema);
    let registration = Registration {
        name: "good",
        kind: PluginKind::Templater,
        component: bytes.as_slice().into(),
        manifest: &text,
        digest: None,
        grant: &Grant::default(),
        config: Some(&config),
    };
    let error = stage.host.register(registration.clone()).await.unwrap_err();
    let LoadError::Config { errors } = &error else { panic!("{error}") };
    assert_eq!(errors.len(), 2, "{error}");
    assert!(error.to_string().contains("/replicas: "), "{error}");
    let info = stage.host.register(Registration { config: None, ..registration }).await.unwrap();
    let found = stage.host.check_config(&info.plugin, &json!({"replicas": 2.5})).unwrap();
    assert_eq!(found[0].path, "/replicas");
    assert!(stage.host.check_config(&info.plugin, &json!({"replicas": 2})).unwrap().is_empty());
}

#[tokio::test]
async fn versions_stand_side_by_side_until_unloaded() {
    let stage = Stage::new();
    let kind = PluginKind::Templater;
    let grant = Grant::default();
    let one = stage.register("t", &component("good"), kind, "", &grant).await.unwrap().plugin;
    let two = stage.register("t", &component("empty"), kind, "", &grant).await.unwrap().plugin;
    assert_eq!(stage.render(&one).await.result.unwrap().len(), 1);
    assert_eq!(stage.render(&two).await.result.unwrap().len(), 0);
    assert!(stage.host.unload(&one) && !stage.host.unload(&one));
    let fault = stage.render(&one).await.result.unwrap_err();
    assert_eq!(fault.code, "plugin-not-loaded");
    assert!(fault.message.contains(&two.digest.short()), "{fault}");
    let unknown = PluginRef { name: "nobody".into(), digest: one.digest };
    assert_eq!(stage.render(&unknown).await.code(), "plugin-not-loaded");
}

#[tokio::test]
async fn what_was_compiled_is_found_again_after_a_restart() {
    let stage = Stage::new();
    let first = stage.granted("good", &Grant::default()).await.unwrap();
    assert!(!first.from_cache);
    let folder = stage.state.path().join("cache/wasmtime");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&folder).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let Stage { host, state, .. } = stage;
    drop(host);
    let stage = Stage::in_folder(state, Duration::from_secs(60));
    let again = stage.granted("good", &Grant::default()).await.unwrap();
    assert!(again.from_cache);
    eprintln!("compiled in {:?}, read in {:?}", first.compiled_in, again.compiled_in);
}

#[test]
fn recipes_are_as_the_contract_says() {
    assert_eq!((Recipe::LENGTH_MIN, Recipe::LENGTH_MAX), (8, 256));
}
