//! The driver `postgres` in its sandbox, through the broker, with a real server
//! that has TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::config::{CaSource, Grant, HostGrant};
use deployd_core::ports::{
    Call, CallLog, DriverAction, DriverPlan, DriverRequest, Drivers, Egress, PluginRef, Progress,
    Provisioned,
};
use deployd_core::{Fault, FaultClass};
use deployd_egress::{Broker, Network};
use postgresql_server::{Options, PASSWORD, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::secrets::request;
use crate::shipped::load_with;
use crate::support::{MemoryVault, Stage, scope};

/// The server, in this world.
const HOST: &str = "db.internal";

/// A world in which all names are this machine.
struct Here;

#[async_trait]
impl Network for Here {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![[127, 0, 0, 1].into()])
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// An authority, in PEM, and a certificate of it for this name, with its key.
fn certificates(name: &str) -> (String, String, String) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let of_server = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&of_server, &issuer).unwrap().pem();
    (pem, certificate, of_server.serialize_pem())
}

struct World {
    stage: Stage,
    server: Server,
    authority: String,
}

impl World {
    fn new(access: &str) -> Self {
        let (authority, certificate, key) = certificates(HOST);
        let tls = Some((certificate.as_str(), key.as_str()));
        let server = Server::start(&Options { tls, access, ..Options::default() }).unwrap();
        let state = tempfile::tempdir().unwrap();
        let broker = |vault: &Arc<MemoryVault>| -> Arc<dyn Egress> {
            Arc::new(Broker::new(Arc::new(Here), vault.clone()))
        };
        let stage = Stage::with_egress(state, Duration::from_secs(60), None, broker);
        stage.vault.set("operator", "db-admin", PASSWORD);
        Self { stage, server, authority }
    }

    async fn driver(&self, host: &str, scheme: &str, authority: &str) -> PluginRef {
        let granted = HostGrant {
            host: host.into(),
            port: self.server.port(),
            scheme: scheme.into(),
            private_address: true,
            ca: Some(CaSource { pem: Some(authority.to_owned()), secret: None }),
            ..HostGrant::default()
        };
        let grant = Grant {
            hosts: vec![granted],
            secrets: [("admin".to_owned(), "db-admin".to_owned())].into(),
            reveal: vec!["admin".to_owned()],
            ..Grant::default()
        };
        load_with(&self.stage, "postgres", &grant).await
    }

    fn request(&self, more: &Value) -> DriverRequest {
        let mut inputs =
            json!({"host": HOST, "port": self.server.port(), "admin_password": "admin"});
        inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        DriverRequest { inputs, ..request() }
    }

    async fn plan(&self, plugin: &PluginRef, more: &Value) -> Result<DriverPlan, Fault> {
        let (scope, log) = (scope(), CallLog::default());
        let call = Call { plugin, scope: &scope, log: &log };
        self.stage.host.plan(call, &self.request(more)).await
    }

    /// What came of it, and what was logged.
    async fn provision(
        &self,
        plugin: &PluginRef,
        request: &DriverRequest,
    ) -> (Result<Provisioned, Fault>, String) {
        let (scope, log) = (scope(), CallLog::default());
        let call = Call { plugin, scope: &scope, log: &log };
        let result = self.stage.host.provision(call, request, None).await;
        let lines = log.take().into_iter().map(|line| line.message).collect::<Vec<_>>();
        let made = result.map(|progress| match progress {
            Progress::Done(made) => made,
            Progress::Pending { .. } => panic!("nothing to wait for"),
        });
        (made, lines.join("\n"))
    }
}

#[tokio::test]
async fn i16_a_database_is_made_over_tls_and_its_password_is_nowhere_but_in_the_vault() {
    let world = World::new("");
    let plugin = world.driver(HOST, "tls", &world.authority).await;
    let inputs = json!({"extensions": ["citext"], "on_destroy": "drop"});
    let planned = world.plan(&plugin, &inputs).await.unwrap();
    assert_eq!(planned.action, DriverAction::Create);

    let first = world.request(&inputs);
    let (made, log) = world.provision(&plugin, &first).await;
    let made = made.unwrap();
    let reference = "\u{27e6}secret:uid-1/password-1\u{27e7}";
    assert_eq!(made.outputs["password"], reference);
    assert!(made.outputs["url"].as_str().unwrap().contains(reference));
    let password = world.stage.vault.value("uid-1", "password-1").unwrap();
    let role = made.outputs["username"].as_str().unwrap();
    let database = made.outputs["name"].as_str().unwrap();
    world
        .server
        .sql_as((role, &password), database, "create table t as select 'a'::citext")
        .unwrap();
    let used = format!("tcp://{HOST}:{} (127.0.0.1)", world.server.port());
    assert!(log.contains("make the database") && log.contains(&used), "{log}");
    let everything = format!("{log} {made:?} {planned:?} {}", world.server.log());
    assert!(!everything.contains(&password) && !everything.contains(PASSWORD), "{everything}");
    // Each use of the account's password is journalled.
    assert_eq!(world.stage.audit.reveals.lock().unwrap().len(), 2);

    // A later deployment returns no secret output, and the password stays; a
    // rotation changes what all references lead to.
    let again = DriverRequest { state: Some(made.state.clone()), ..first };
    let (same, _) = world.provision(&plugin, &again).await;
    assert_eq!(same.unwrap().outputs, made.outputs);
    assert_eq!(world.stage.vault.value("uid-1", "password-1").unwrap(), password);
    let mut rotated = again;
    rotated.inputs["password_generation"] = json!(2);
    let (done, _) = world.provision(&plugin, &rotated).await;
    assert_eq!(done.unwrap().outputs["password"], "\u{27e6}secret:uid-1/password-2\u{27e7}");
    let new = world.stage.vault.value("uid-1", "password-2").unwrap();
    assert_ne!(new, password);
    assert_eq!(world.stage.vault.value("uid-1", "password-1").unwrap(), new);
    world.server.sql_as((role, &new), database, "select 1").unwrap();

    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let gone = world.stage.host.destroy(call, &rotated, None).await.unwrap();
    assert_eq!(gone, Progress::Done(()));
    assert!(world.server.sql_as((role, &new), database, "select 1").is_err());
}

#[tokio::test]
async fn i16_a_server_that_is_not_trusted_gets_no_password() {
    let world = World::new("");
    // Somebody else's authority.
    let (other, ..) = certificates(HOST);
    let plugin = world.driver(HOST, "tls", &other).await;
    let untrusted = world.plan(&plugin, &json!({})).await.unwrap_err();
    assert_eq!(untrusted.class, FaultClass::Permanent, "{untrusted}");
    assert!(untrusted.message.contains("is not trusted"), "{untrusted}");
    let prefer = world.plan(&plugin, &json!({"tls": "prefer"})).await.unwrap_err();
    assert!(prefer.message.contains("is not trusted"), "{prefer}");

    // The right authority, and another name.
    let plugin = world.driver("other.internal", "tls", &world.authority).await;
    let elsewhere = json!({"host": "other.internal"});
    let untrusted = world.plan(&plugin, &elsewhere).await.unwrap_err();
    assert!(untrusted.message.contains("is not trusted"), "{untrusted}");
    let named = json!({"host": "other.internal", "server_name": HOST});
    world.plan(&plugin, &named).await.unwrap();
    let wrong = json!({"host": "other.internal", "server_name": "third.internal"});
    let untrusted = world.plan(&plugin, &wrong).await.unwrap_err();
    assert!(untrusted.message.contains("is not trusted"), "{untrusted}");

    // In plain text, where the grant is for TLS.
    let plugin = world.driver(HOST, "tls", &world.authority).await;
    let plain = world.plan(&plugin, &json!({"tls": "disable"})).await.unwrap_err();
    assert_eq!(plain.class, FaultClass::Denied, "{plain}");
    let told = format!("{untrusted:?} {plain:?} {}", world.server.log());
    assert!(!told.contains(PASSWORD), "{told}");
}

#[tokio::test]
async fn tls_that_is_not_offered_is_told_and_old_passwords_go_through_it_alone() {
    let server = Server::start(&Options::default()).unwrap();
    let world =
        World::new("hostssl all md5er 127.0.0.1/32 md5\nhostssl all plain 127.0.0.1/32 password");
    for (user, encryption) in [("md5er", "md5"), ("plain", "scram-sha-256")] {
        let statement = format!(
            "set password_encryption = '{encryption}'; \
             create role {user} superuser login password '{PASSWORD}'"
        );
        world.server.sql("postgres", &statement).unwrap();
        let plugin = world.driver(HOST, "tls", &world.authority).await;
        world.plan(&plugin, &json!({"admin_user": user})).await.unwrap();
    }
    let without = World { server, ..world };
    let plugin = without.driver(HOST, "tls", &without.authority).await;
    let fault = without.plan(&plugin, &json!({})).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Permanent, "{fault}");
    assert!(fault.message.contains("the server has no TLS"), "{fault}");
}
