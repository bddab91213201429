//! The driver `object-store`, compiled, through the broker, before SeaweedFS.

use std::sync::Arc;
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::config::{Grant, HostGrant};
use deployd_core::ports::{
    Call, CallLog, DriverAction, DriverRequest, Drivers, Egress, PluginRef, Progress, Provisioned,
};
use deployd_egress::{Broker, System};
use fixtures::seaweedfs::{ADMIN, SeaweedFs};
use serde_json::json;

use crate::secrets::request;
use crate::shipped::load_with;
use crate::support::{MemoryVault, Stage, scope};

/// How often a test asks again before it gives up.
const ASKS: usize = 200;

/// A host whose plugin speaks HTTP to this port.
async fn stage(port: u16) -> (Stage, PluginRef) {
    let (state, first) = (tempfile::tempdir().unwrap(), Duration::from_secs(60));
    let broker = |vault: &Arc<MemoryVault>| -> Arc<dyn Egress> {
        Arc::new(Broker::new(Arc::new(System), vault.clone()))
    };
    let stage = Stage::with_egress(state, first, None, broker);
    stage.vault.set("operator", "store-admin", ADMIN.1);
    let granted = HostGrant {
        host: "127.0.0.1".into(),
        port,
        scheme: "http".into(),
        methods: Vec::new(),
        private_address: true,
        ca: None,
        system_roots: false,
        client_certificate: None,
        credential: None,
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

async fn provision(
    stage: &Stage,
    call: Call<'_>,
    request: &DriverRequest,
) -> Result<Provisioned, Fault> {
    let mut token = None;
    for _ in 0..ASKS {
        match stage.host.provision(call, request, token.as_deref()).await? {
            Progress::Done(provisioned) => return Ok(provisioned),
            Progress::Pending { token: next, .. } => token = Some(next),
        }
    }
    panic!("it is never there");
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
    let made = stage.vault.values();

    let again = DriverRequest { state: Some(provisioned.state.clone()), ..first };
    assert_eq!(stage.host.plan(call, &again).await.unwrap().action, DriverAction::None);
    let observed = stage.host.observe(call, &again).await.unwrap();
    assert_eq!(observed.unwrap()["bucket"], "shop-uploads");
    for _ in 0..ASKS {
        if let Progress::Done(()) = stage.host.destroy(call, &again, None).await.unwrap() {
            break;
        }
    }
    assert_eq!(stage.host.observe(call, &again).await.unwrap(), None);

    let used = format!("http://127.0.0.1:{port}");
    let mut told: Vec<String> = log.take().into_iter().map(|line| line.message).collect();
    assert!(told.iter().any(|line| line.contains(&used)), "{told:?}");
    told.push(format!("{provisioned:?}"));
    for secret in made {
        assert!(!told.iter().any(|line| line.contains(&secret)), "{told:?}");
    }
}
