//! Hostile clients, over real sockets against the real daemon: whatever they do,
//! its memory is bounded (I13) and others are served.

mod http2;
mod idle;
mod raw;
mod requests;
mod slow;

use tempfile::TempDir;

use crate::client::Client;
use crate::daemon::{Daemon, Start};
use crate::program::Build;
use crate::wait::until;

/// What a daemon may grow by in any of these tests, where nothing else is said:
/// far less than what its clients send.
const GROWTH_MAX: u64 = 48 << 20;

/// A daemon with nothing applied, and what it takes now.
struct Target {
    daemon: Daemon,
    client: Client,
    port: u16,
    before: u64,
    _folder: TempDir,
}

impl Target {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = Start::new(Build::Plain, folder.path());
        let daemon = start.ready().await;
        let client = daemon.client();
        client.get("/openapi.json").await.ok();
        let mut target = Self { daemon, client, port: start.port, before: 0, _folder: folder };
        target.before = target.resident();
        target
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.daemon.data().join("admin-token")).unwrap()
    }

    /// Bytes of memory that the daemon has.
    fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Others are served, reads and writes.
    async fn serves_others(&self) {
        // A new connection: a hostile client could have taken all there are.
        let client = self.daemon.client();
        client.get("/readyz").await.ok();
        client.get("/v1/whoami").await.ok();
        client.put("/v1/secrets/other", "value").await.ok();
    }

    /// Nothing of it has hurt: others are served, and memory is what it was, but
    /// for so much.
    async fn holds(&self, growth_max: u64) {
        self.serves_others().await;
        let growth = self.resident().saturating_sub(self.before);
        println!("grown by {} KiB", growth >> 10);
        assert!(growth <= growth_max, "grown by {growth} bytes, expected {growth_max} at most");
        assert!(!self.daemon.log().contains("panicked"), "{}", self.daemon.log());
    }
}

/// Waits until a task of a hostile client is over.
async fn over<T>(what: &str, task: tokio::task::JoinHandle<T>) -> T {
    until(what, || async { task.is_finished().then_some(()) }).await;
    task.await.unwrap()
}
