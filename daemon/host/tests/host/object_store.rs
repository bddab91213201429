//! The driver `object-store`, compiled, through the broker, before SeaweedFS.

use std::sync::Arc;

use deployd_core::config::{Grant, HostGrant};
use deployd_core::ports::{Call, CallLog, DriverAction, DriverRequest, Drivers as _, PluginRef};
use deployd_egress::System;
use fixtures::seaweedfs::{ADMIN, SeaweedFs};
use serde_json::json;

use crate::secrets::request;
use crate::shipped::load_with;
use crate::support::{Stage, destroy, provision, scope};

/// A host whose plugin speaks HTTP to this port.
async fn stage(port: u16) -> (Stage, PluginRef) {
    let stage = Stage::over(Arc::new(System));
    stage.vault.set("operator", "store-admin", ADMIN.1);
    let granted = HostGrant {
        host: "127.0.0.1".into(),
        port,
        scheme: "http".into(),
        private_address: true,
        ..HostGrant::default()
    };
    let grant = Grant {
        hosts: vec![granted],
        secrets: [("admin".to_owned(), "store-admin".to_owned())].into(),
        reveal: vec!["admin".to_owned()],
        ..Grant::default()
    };
    let plugin = load_with(&stage, "object-store", &grant).await;
    (stage, plugin)
}

fn wish(endpoint: &str) -> DriverRequest {
    let inputs = json!({
        "endpoint": endpoint,
        "bucket": "shop-uploads",
        "admin": {"access_key_id": ADMIN.0, "secret_key_secret": "admin"},
        "credentials": {"mode": "iam"},
    });
    DriverRequest { inputs, ..request() }
}

#[tokio::test]
async fn i16_a_bucket_comes_and_goes_and_its_keys_are_nowhere_but_in_the_vault() {
    let folder = tempfile::tempdir().unwrap();
    let server = SeaweedFs::start(folder.path()).unwrap();
    let port = server.authority.rsplit(':').next().unwrap().parse().unwrap();
    let (stage, plugin) = stage(port).await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let first = wish(&server.endpoint());
    assert_eq!(stage.host.plan(call, &first).await.unwrap().action, DriverAction::Create);
    let provisioned = provision(&stage, call, &first).await.unwrap();
    assert_eq!(provisioned.outputs["bucket"], "shop-uploads");
    // The administrator's, and the bucket's own.
    let secrets = stage.vault.values();
    assert!(secrets.len() > 1, "no key was kept");

    let again = DriverRequest { state: Some(provisioned.state.clone()), ..first };
    assert_eq!(stage.host.plan(call, &again).await.unwrap().action, DriverAction::None);
    let observed = stage.host.observe(call, &again).await.unwrap();
    assert_eq!(observed.unwrap()["bucket"], "shop-uploads");
    destroy(&stage, call, &again).await;
    assert_eq!(stage.host.observe(call, &again).await.unwrap(), None);

    let used = format!("http://127.0.0.1:{port}");
    let mut told: Vec<String> = log.take().into_iter().map(|line| line.message).collect();
    assert!(told.iter().any(|line| line.contains(&used)), "{told:?}");
    told.push(format!("{provisioned:?}"));
    for secret in secrets {
        assert!(!told.iter().any(|line| line.contains(&secret)), "{told:?}");
    }
}
