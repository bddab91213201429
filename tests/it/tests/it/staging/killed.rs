//! The daemon, killed at every message to PostgreSQL and to BIND: the next one
//! makes of it what was asked for, and nothing is left behind.
//!
//! `DEPLOYD_TEST_MESSAGE=17` repeats that place alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deployd_practice::{Practice, PracticeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::proxy::{self, Trap};
use super::{ADDRESS, ENVIRONMENT, HOST, Servers, database};
use crate::compiled;
use crate::daemon::Start;
use crate::patient::Patient;
use crate::program::Build;
use crate::sample;
use crate::stage::{SIGNING_SECRET, begun};

/// Places that are tried at the same time: CI has two cores.
const LANES: u64 = 2;

/// Names one place, to try no other.
const ONLY: &str = "DEPLOYD_TEST_MESSAGE";

/// What one place after the other is tried on.
struct Lane {
    patient: Patient,
    practice: Practice,
    servers: Servers,
    /// Where the daemon finds them.
    ports: [u16; 2],
    trap: Arc<Trap>,
    zone: Vec<String>,
    set: Value,
    _folder: TempDir,
}

impl Lane {
    /// Everything is there, development is deployed, and staging is not.
    async fn prepare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let practice = Practice::start(PracticeOptions::new()).await.unwrap();
        let servers = Servers::start(folder.path());
        let trap = Arc::new(Trap::default());
        let [postgresql, dns] = servers.ports();
        let ports = [proxy::to(postgresql, trap.clone()).await, proxy::to(dns, trap.clone()).await];
        let start = Start::new(Build::Plain, folder.path());
        compiled::give(&start.data);
        let mut patient = Patient::new(start.spawn(), start);
        patient.secret("demo-cluster", &practice.kubeconfig()).await;
        patient.secret("ci-webhook", SIGNING_SECRET).await;
        for (name, value) in servers.secrets() {
            patient.secret(name, value).await;
        }
        // Nobody listens to what it tells.
        let documents = sample::documents("http://127.0.0.1:9");
        patient.post("/v1/documents:apply", "documents", &documents).await.ok();
        let images: Value =
            ["frontend", "backend"].map(|name| sample::image(name, '1')).into_iter().collect();
        let announced = patient.post("/v1/artifacts", "images", &images).await;
        let record = patient.ended(&begun(&announced)).await;
        assert_eq!(record["outcome"], "succeeded", "{record:#}");
        let (zone, set) = (servers.zone(), record["request"]["set"].clone());
        Self { patient, practice, servers, ports, trap, zone, set, _folder: folder }
    }

    /// Makes an environment and takes it away; the daemon is killed at one message
    /// to a server meanwhile. Says whether it came to that message.
    async fn run(&mut self, at: u64) -> bool {
        let before = self.patient.crashes;
        // No data is worth keeping here: what is left is an orphan.
        let change = |text: String| text.replace("on_destroy: rename", "on_destroy: drop");
        let documents = self.servers.documents(self.ports, change);
        self.patient.post("/v1/documents:apply", &format!("staging-{at}"), &documents).await.ok();
        self.trap.set(self.patient.daemon.pid(), at);

        let request = json!({"environment": ENVIRONMENT, "setDigest": self.set});
        self.done("/v1/deployments", &format!("deploy-{at}"), &request).await;
        let there = database(&self.practice);
        assert_eq!(self.servers.as_workload(&there, "select 7").unwrap(), "7");
        assert_eq!(self.servers.databases(), [there.name.as_str()]);
        assert_eq!(self.servers.roles(), [there.user.as_str()]);
        assert_eq!(self.servers.dig(HOST, "A"), [ADDRESS]);

        let path = format!("/v1/environments/{ENVIRONMENT}/delete");
        self.done(&path, &format!("delete-{at}"), &json!({})).await;
        assert_eq!(self.servers.databases(), Vec::<String>::new());
        assert_eq!(self.servers.roles(), Vec::<String>::new());
        assert_eq!(self.servers.zone(), self.zone);
        let crashes = self.patient.crashes - before;
        assert!(crashes <= 1, "it is killed only once");
        crashes == 1
    }

    async fn done(&mut self, path: &str, key: &str, request: &Value) {
        let accepted = self.patient.post(path, key, request).await.ok();
        let record = self.patient.ended(accepted["id"].as_str().unwrap()).await;
        assert_eq!(record["outcome"], "succeeded", "{record:#}");
    }
}

/// Tries each place from this one on, every so many; gives how many there were.
async fn sweep(first: u64, every: u64, tried: Arc<AtomicU64>) -> usize {
    let mut lane = Lane::prepare().await;
    let mut covered = 0;
    let mut at = first;
    loop {
        tried.store(at, Ordering::SeqCst);
        if !lane.run(at).await {
            return covered;
        }
        covered += 1;
        at += every;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_i6_i7_killed_at_any_message_to_a_server_and_no_orphan_is_left() {
    if let Ok(only) = std::env::var(ONLY) {
        let crashed = Lane::prepare().await.run(only.parse().unwrap()).await;
        println!("{only}: {}", if crashed { "killed there" } else { "it never came there" });
        return;
    }
    let mut covered = 0;
    let lanes: Vec<_> = (1..=LANES)
        .map(|first| {
            let tried = Arc::new(AtomicU64::new(first));
            (tried.clone(), tokio::spawn(sweep(first, LANES, tried)))
        })
        .collect();
    for (tried, lane) in lanes {
        match lane.await {
            Ok(count) => covered += count,
            Err(error) => {
                let at = tried.load(Ordering::SeqCst);
                panic!("killed at message {at}: {error}\nrepeat with {ONLY}={at}");
            }
        }
    }
    println!("killed at {covered} messages to servers");
    // TLS, a login and a dozen statements; questions and updates of a zone; and
    // all of it again to take it away: less means that the way is another.
    assert!(covered >= 40, "{covered}");
}
