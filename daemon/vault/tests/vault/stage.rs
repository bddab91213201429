//! What the tests share: a way out, and an OpenBao.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deployd_core::Timestamp;
use deployd_core::config::{CaSource, HostGrant};
use deployd_core::ports::{Access, Clock, Egress, EgressLimits, Exchange, Random, Use, Uses};
use deployd_egress::{Broker, System};
use deployd_store::MemoryStore;
use deployd_vault::{Environment, KeySettings, KvAddress, KvSource, KvToken, Sources, StoreVault};
use serde_json::{Value, json};
use tempfile::TempDir;

/// No server needs this long; it only keeps a broken test from hanging.
const GUARD: Duration = Duration::from_secs(60);

/// The token of everything.
pub(crate) const ROOT: &str = "root-5e1f0c";

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).unwrap();
    }
}

struct Unrecorded;

impl Uses for Unrecorded {
    fn record(&self, _: Use) {}
}

/// A clock that stands still.
struct Beginning;

impl Clock for Beginning {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

/// The one way out, as the daemon has it.
pub(crate) async fn egress() -> Arc<dyn Egress> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let settings = KeySettings { file, variable: None, previous_variables: Vec::new() };
    let (store, random) = (Arc::new(MemoryStore::new()), Arc::new(SystemRandom));
    let environment: Environment = Arc::new(|_| None);
    let vault = StoreVault::open(
        store,
        random,
        Arc::new(Beginning),
        settings,
        &environment,
        Sources::default(),
    );
    Arc::new(Broker::new(Arc::new(System), Arc::new(vault.await.unwrap())))
}

/// Variables that tests set.
#[derive(Clone, Default)]
pub(crate) struct Variables(Arc<Mutex<BTreeMap<String, String>>>);

impl Variables {
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    fn environment(&self) -> Environment {
        let this = self.clone();
        Arc::new(move |name| this.0.lock().unwrap().get(name).cloned())
    }
}

/// Asks the Vault at this address with the token in the variable `TOKEN`.
pub(crate) async fn source(
    address: &str,
    variables: &Variables,
    change: impl FnOnce(KvAddress) -> KvAddress,
) -> KvSource {
    let settings = change(KvAddress {
        address: address.to_owned(),
        token: KvToken::Variable("TOKEN".to_owned()),
        ca_file: None,
        namespace: None,
    });
    KvSource::new(egress().await, variables.environment(), settings).unwrap()
}

/// An OpenBao in development mode, on loopback; ends with it.
pub(crate) struct Bao {
    child: Child,
    folder: TempDir,
    pub(crate) address: String,
    egress: Arc<dyn Egress>,
}

impl Bao {
    /// In plain text.
    pub(crate) async fn start() -> Self {
        Self::with(false).await
    }

    /// With a certificate of an authority that nobody knows.
    pub(crate) async fn with_tls() -> Self {
        Self::with(true).await
    }

    async fn with(tls: bool) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/openbao/bao");
        assert!(program.exists(), "no {}: run `cargo xtask tools`", program.display());
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .env_clear()
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if tls {
            command.arg("-dev-tls").arg("-dev-tls-cert-dir").arg(folder.path());
        }
        let child = command.spawn().unwrap();
        let scheme = if tls { "https" } else { "http" };
        let address = format!("{scheme}://127.0.0.1:{port}");
        let mut bao = Self { child, folder, address, egress: egress().await };
        let begun = Instant::now();
        while bao
            .try_ask("GET", "sys/health", &Value::Null, None)
            .await
            .is_none_or(|(s, _)| s != 200)
        {
            assert!(bao.child.try_wait().unwrap().is_none(), "it has ended");
            assert!(begun.elapsed() < GUARD, "it does not get ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bao
    }

    /// The authority of its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("vault-ca.pem")
    }

    async fn try_ask(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        namespace: Option<&str>,
    ) -> Option<(u16, Value)> {
        let ca = std::fs::read_to_string(self.ca()).ok();
        let (scheme, port) = (self.address.split_once(':')?.0, self.address.rsplit_once(':')?.1);
        let grant = HostGrant {
            host: "127.0.0.1".to_owned(),
            port: port.parse().unwrap(),
            scheme: scheme.to_owned(),
            private_address: true,
            ca: ca.map(|pem| CaSource { pem: Some(pem), secret: None }),
            ..HostGrant::default()
        };
        let limits = EgressLimits::default();
        let access = Access { grants: Arc::new([grant]), limits, uses: Arc::new(Unrecorded) };
        let mut headers = vec![("x-vault-token".to_owned(), ROOT.to_owned())];
        headers.extend(namespace.map(|name| ("x-vault-namespace".to_owned(), name.to_owned())));
        let request = Exchange {
            method: method.to_owned(),
            url: format!("{}/v1/{path}", self.address),
            headers,
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        };
        let answer = self.egress.exchange(&access, request).await.ok()?;
        Some((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// Asks with the token of everything.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        self.ask_in(None, method, path, body).await
    }

    /// The same in a namespace.
    pub(crate) async fn ask_in(
        &self,
        namespace: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> Value {
        let (status, answer) = self.try_ask(method, path, &body, namespace).await.unwrap();
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Writes a secret.
    pub(crate) async fn put(&self, path: &str, data: Value) {
        self.ask("POST", path, json!({"data": data})).await;
    }

    /// Ends it.
    pub(crate) fn end(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        self.end();
    }
}
