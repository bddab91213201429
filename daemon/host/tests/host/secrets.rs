//! Secrets: granted, revealed with a record, never in plain sight.

use std::sync::atomic::Ordering;

use deployd_core::Fault;
use deployd_core::config::{Grant, LimitOverrides, PluginKind};
use deployd_core::ports::{
    Call, CallLog, DriverAction, DriverRequest, Drivers, LogLine, PluginRef, Progress, Provisioned,
};
use serde_json::json;

use crate::support::{Stage, component, scope};

const ASKS: &str = "[asks]\nsecrets = ['token']\nreveal_secrets = true\n";
const VALUE: &str = "hunter2-hunter2";

fn grant() -> Grant {
    Grant {
        secrets: [("token".to_owned(), "dns-token".to_owned())].into(),
        reveal: vec!["token".to_owned()],
        ..Grant::default()
    }
}

pub fn request() -> DriverRequest {
    DriverRequest {
        uid: "uid-1".into(),
        resource_type: "dns".into(),
        class: "default".into(),
        id: "web".into(),
        params: json!({}),
        inputs: json!({}),
        state: None,
        idempotency_key: "key".into(),
    }
}

async fn driver(stage: &Stage, fixture: &str) -> PluginRef {
    stage.vault.set("operator", "dns-token", VALUE);
    let bytes = component(fixture);
    stage.register(fixture, &bytes, PluginKind::Driver, ASKS, &grant()).await.unwrap().plugin
}

async fn provision(
    stage: &Stage,
    plugin: &PluginRef,
) -> (Result<Progress<Provisioned>, Fault>, Vec<LogLine>) {
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin, scope: &scope, log: &log };
    let result = stage.host.provision(call, &request(), None).await;
    (result, log.take())
}

#[tokio::test]
async fn a_revealed_secret_is_recorded_scrubbed_and_stored() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-reveals").await;
    let (result, log) = provision(&stage, &plugin).await;
    let Ok(Progress::Done(provisioned)) = result else { panic!("{result:?}") };
    assert_eq!(provisioned.outputs, json!({"password": "\u{27e6}secret:uid-1/password\u{27e7}"}));
    assert_eq!(stage.vault.value("uid-1", "password").as_deref(), Some(VALUE));
    assert_eq!(log[0].message, "[secret]");
    let reveals = stage.audit.reveals.lock().unwrap().clone();
    assert_eq!(reveals.len(), 1);
    assert_eq!((reveals[0].name.as_str(), reveals[0].secret.name.as_str()), ("token", "dns-token"));
    assert_eq!(reveals[0].scope, scope());
}

#[tokio::test]
async fn what_can_not_be_recorded_is_not_revealed() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-reveals").await;
    *stage.audit.refuse.lock().unwrap() = true;
    let fault = provision(&stage, &plugin).await.0.unwrap_err();
    assert_eq!(fault.code, "plugin-unavailable");
    assert!(fault.message.contains("the journal is full"), "{fault}");
}

#[tokio::test]
async fn nothing_is_had_without_a_grant() {
    let stage = Stage::new();
    stage.vault.set("operator", "dns-token", VALUE);
    let bytes = component("driver-reveals");
    let kind = PluginKind::Driver;
    // Granted, and not asked for.
    let refused = stage.register("a", &bytes, kind, "", &grant()).await.unwrap_err().to_string();
    assert!(refused.contains("asks.reveal_secrets"), "{refused}");
    let placed = Grant { reveal: Vec::new(), ..grant() };
    let plugin = stage.register("a", &bytes, kind, "", &placed).await.unwrap().plugin;
    let fault = provision(&stage, &plugin).await.0.unwrap_err();
    assert_eq!(fault.code, "plugin-denied");
    assert!(fault.message.contains("granted are: none"), "{fault}");
    // Asked for, and not granted.
    let registered = stage.register("b", &bytes, kind, ASKS, &Grant::default()).await;
    assert!(registered.unwrap_err().to_string().contains("grant.reveal"));
    // May be placed, and not be read.
    let asks = "[asks]\nsecrets = ['*']\n";
    let plugin = stage.register("c", &bytes, kind, asks, &placed).await.unwrap().plugin;
    let fault = provision(&stage, &plugin).await.0.unwrap_err();
    assert!(fault.message.contains("does not let this plugin reveal \"token\""), "{fault}");
    assert!(stage.audit.reveals.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_secret_in_plain_sight_is_refused() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-leaks").await;
    let (result, _) = provision(&stage, &plugin).await;
    let fault = result.unwrap_err();
    assert_eq!(fault.code, "plugin-secret-in-plain-sight");
    assert!(!format!("{fault:?}").contains(VALUE));
}

#[tokio::test]
async fn handles_are_limited() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-handles").await;
    let fault = provision(&stage, &plugin).await.0.unwrap_err();
    assert_eq!(fault.code, "plugin-too-many-handles", "{fault}");
}

#[tokio::test]
async fn the_other_functions_of_a_driver_are_called_too() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-leaks").await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let plan = stage.host.plan(call, &request()).await.unwrap();
    assert_eq!((plan.action, plan.outputs), (DriverAction::Create, json!({})));
    assert_eq!(stage.host.observe(call, &request()).await.unwrap(), None);
    assert_eq!(stage.host.destroy(call, &request(), None).await.unwrap(), Progress::Done(()));
}

#[tokio::test]
async fn a_panic_of_the_host_stays_inside_the_call() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-reveals").await;
    stage.vault.1.store(true, std::sync::atomic::Ordering::Relaxed);
    let fault = provision(&stage, &plugin).await.0.unwrap_err();
    assert_eq!(fault.code, "plugin-host-panicked");
    assert!(fault.message.contains("the vault fell over"), "{fault}");
    stage.vault.1.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(provision(&stage, &plugin).await.0.is_ok());
}

#[tokio::test]
async fn i16_a_fault_does_not_tell_a_secret() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-tells-a-secret").await;
    let fault = provision(&stage, &plugin).await.0.unwrap_err();
    assert_eq!(fault.code, "plugin-permanent");
    assert!(fault.message.ends_with(": [secret]"), "{fault}");
    assert!(!fault.detail.to_string().contains(VALUE));
}

#[tokio::test]
async fn a_handle_that_nobody_gave() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-bogus-handle").await;
    let fault = provision(&stage, &plugin).await.0.unwrap_err();
    assert_eq!(fault.code, "plugin-trapped");
    assert!(fault.message.contains("a handle that it does not have"), "{fault}");
}

/// What is recorded with every event of a resource can't be large.
#[tokio::test]
async fn states_and_tokens_have_a_limit() {
    let stage = Stage::new();
    for (fixture, says) in [
        ("driver-large-state", "the state has 1048576 bytes, and may have 256 KiB"),
        ("driver-large-token", "the token has 1048576 bytes, and may have 64 KiB"),
    ] {
        let plugin = driver(&stage, fixture).await;
        let fault = provision(&stage, &plugin).await.0.unwrap_err();
        assert_eq!(fault.code, "plugin-output-too-large");
        assert!(fault.message.contains(says), "{fault}");
    }
}

/// Who is never ready holds nothing: each answer is a call of its own, and when
/// the next is made is the engine's business.
#[tokio::test]
async fn waiting_for_ever_is_no_call_for_ever() {
    let stage = Stage::new();
    let plugin = driver(&stage, "driver-waits-for-ever").await;
    for _ in 0..20 {
        let (result, _) = provision(&stage, &plugin).await;
        let Ok(Progress::Pending { poll_after_ms, .. }) = result else { panic!("{result:?}") };
        assert_eq!(poll_after_ms, 0);
    }
    let status = &stage.host.status()[0];
    assert_eq!((status.counts.calls, status.counts.running, status.strikes), (20, 0, 0));
}

/// A host function that hangs ends with the call's own time.
#[tokio::test]
async fn a_call_into_the_host_that_hangs() {
    let stage = Stage::new();
    stage.vault.set("operator", "dns-token", VALUE);
    let limits = LimitOverrides { wall_ms: Some(100), ..LimitOverrides::default() };
    let bytes = component("driver-reveals");
    let grant = Grant { limits, ..grant() };
    let plugin = stage.register("hangs", &bytes, PluginKind::Driver, ASKS, &grant).await.unwrap();
    stage.vault.2.store(true, Ordering::Relaxed);
    let fault = provision(&stage, &plugin.plugin).await.0.unwrap_err();
    assert_eq!(fault.code, "plugin-unavailable");
    assert_eq!((stage.host.status()[0].counts.running, stage.host.status()[0].strikes), (0, 0));
    stage.vault.2.store(false, Ordering::Relaxed);
    assert!(provision(&stage, &plugin.plugin).await.0.is_ok());
}
