//! The driver `dns-rfc2136`, compiled, through the broker, before BIND 9.

use std::sync::Arc;

use deployd_core::config::{Grant, HostGrant};
use deployd_core::ports::{Call, CallLog, DriverAction, DriverRequest, Drivers as _};
use deployd_egress::System;
use fixtures::bind::{KEYS, Pair, ZONE};
use serde_json::{Value, json};

use crate::secrets::request;
use crate::shipped::load_with;
use crate::support::{Stage, destroy, provision, scope};

const NAME: &str = "shop.apps.example.com";

fn grant(ports: &[u16]) -> Grant {
    let host = |port: &u16| HostGrant {
        host: "127.0.0.1".into(),
        port: *port,
        scheme: "tcp".into(),
        private_address: true,
        ..HostGrant::default()
    };
    Grant {
        hosts: ports.iter().map(host).collect(),
        secrets: [("key".to_owned(), "zone-key".to_owned())].into(),
        reveal: vec!["key".to_owned()],
        ..Grant::default()
    }
}

fn inputs(pair: &Pair) -> Value {
    json!({
        "server": "127.0.0.1",
        "port": pair.primary.port,
        "zone": ZONE,
        "key": {"name": KEYS[0].0, "secret": "key"},
        "name": NAME,
        "records": {"A": ["192.0.2.10"], "TXT": "deployed"},
        "authoritative_servers": [
            {"server": "127.0.0.1", "port": pair.primary.port},
            {"server": "127.0.0.1", "port": pair.secondary.port},
        ],
    })
}

/// A host whose plugins speak to whom they are granted, for real.
fn stage() -> Stage {
    let stage = Stage::over(Arc::new(System));
    stage.vault.set("operator", "zone-key", KEYS[0].2);
    stage
}

#[tokio::test]
async fn i16_a_name_comes_and_goes_and_its_key_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::start(folder.path()).unwrap();
    let stage = stage();
    let ports = [pair.primary.port, pair.secondary.port];
    let plugin = load_with(&stage, "dns-rfc2136", &grant(&ports)).await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let first = DriverRequest { inputs: inputs(&pair), ..request() };
    assert_eq!(stage.host.plan(call, &first).await.unwrap().action, DriverAction::Create);
    let provisioned = provision(&stage, call, &first).await.unwrap();
    assert_eq!(provisioned.outputs["host"], NAME);
    for server in [&pair.primary, &pair.secondary] {
        assert_eq!(server.dig(&[NAME, "A"]).unwrap(), ["192.0.2.10"]);
        assert_eq!(server.dig(&[NAME, "TXT"]).unwrap(), ["\"deployed\""]);
    }

    let again = DriverRequest { state: Some(provisioned.state.clone()), ..first };
    assert_eq!(stage.host.plan(call, &again).await.unwrap().action, DriverAction::None);
    let observed = stage.host.observe(call, &again).await.unwrap();
    assert_eq!(observed.unwrap(), provisioned.outputs);
    destroy(&stage, call, &again).await;
    for server in [&pair.primary, &pair.secondary] {
        assert!(server.dig(&[NAME, "A"]).unwrap().is_empty());
    }

    // The server has another secret for the key: the fault says so, and no more.
    let other = KEYS[1].2;
    stage.vault.set("operator", "zone-key", other);
    let fault = provision(&stage, call, &again).await.unwrap_err();
    assert!(fault.message.contains("BADSIG"), "{fault}");

    // Each connection is in the log, each reveal in the journal, the key in neither.
    let mut told: Vec<String> = log.take().into_iter().map(|line| line.message).collect();
    for port in ports {
        let used = format!("tcp://127.0.0.1:{port}");
        assert!(told.iter().any(|line| line.starts_with(&used)), "{told:?}");
    }
    assert!(!stage.audit.reveals.lock().unwrap().is_empty());
    told.push(format!("{provisioned:?} {fault:?}"));
    for (_, _, secret) in KEYS {
        assert!(!told.iter().any(|line| line.contains(secret)), "{told:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_granted_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::start(folder.path()).unwrap();
    let stage = stage();
    // The secondary is missing, which is no reason to wait.
    let plugin = load_with(&stage, "dns-rfc2136", &grant(&[pair.primary.port])).await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let request = DriverRequest { inputs: inputs(&pair), ..request() };
    let fault = provision(&stage, call, &request).await.unwrap_err();
    assert_eq!(fault.code, "plugin-denied", "{fault}");
    assert!(fault.message.contains(&pair.secondary.port.to_string()), "{fault}");
    // It goes on where it was when the grant is complete.
    let ports = [pair.primary.port, pair.secondary.port];
    let plugin = load_with(&stage, "dns-rfc2136", &grant(&ports)).await;
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    provision(&stage, call, &request).await.unwrap();
    assert_eq!(pair.secondary.dig(&[NAME, "A"]).unwrap(), ["192.0.2.10"]);
}
