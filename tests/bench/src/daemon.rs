//! The daemon: the real binary, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use deployd_cli::{Client, ClientOptions};
use tokio::process::{Child, Command};

/// The longest that a start may take before it counts as failed.
const START_MAX: Duration = Duration::from_secs(120);

/// Settings for whoever is asked without a pause by one token.
pub fn without_limits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("without-limits.toml")
}

/// How often a starting daemon is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// The kernel's ticks per second, in which it counts processor time.
const TICKS: f64 = 100.0;

/// A daemon that runs.
pub struct Daemon {
    child: Child,
    address: SocketAddr,
    /// Asks it, as people do.
    pub client: Client,
    token: String,
    http: reqwest::Client,
    /// From its start until it was ready.
    pub took: Duration,
}

/// What the daemon has done so far, or between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Deployments that have succeeded.
    pub succeeded: u64,
    /// Deployments that have not.
    pub not_succeeded: u64,
    /// Steps.
    pub steps: u64,
    /// Environments that are worked on.
    pub busy: u64,
    /// Commits of the store.
    pub commits: u64,
    /// Bytes that the store has written.
    pub written_bytes: u64,
    /// Syncs of the disk.
    pub syncs: u64,
    /// Seconds of processors.
    pub processor_s: f64,
}

impl Usage {
    /// What has come since.
    pub fn until(&self, later: &Self) -> Self {
        Self {
            succeeded: later.succeeded - self.succeeded,
            not_succeeded: later.not_succeeded - self.not_succeeded,
            steps: later.steps - self.steps,
            busy: later.busy,
            commits: later.commits - self.commits,
            written_bytes: later.written_bytes - self.written_bytes,
            syncs: later.syncs - self.syncs,
            processor_s: later.processor_s - self.processor_s,
        }
    }
}

impl Daemon {
    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub async fn start(deployd: &Path, data: &Path) -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = free.local_addr()?;
        drop(free);
        let http = reqwest::Client::new();
        let began = Instant::now();
        let child = Command::new(deployd)
            .args(["serve", "--log", "warn", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .arg("--config")
            .arg(without_limits())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| deployd.display().to_string())?;
        loop {
            let asked = http.get(format!("http://{address}/readyz")).send().await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            ensure!(began.elapsed() < START_MAX, "the daemon does not get ready");
            tokio::time::sleep(ASK_EVERY).await;
        }
        let took = began.elapsed();
        let token = std::fs::read_to_string(data.join("admin-token"))?.trim().to_owned();
        let options = ClientOptions::new(format!("http://{address}")).with_token(&token);
        Ok(Self { child, address, client: Client::new(options)?, token, http, took })
    }

    /// The address of one of its pages.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it answers there, as JSON.
    ///
    /// # Errors
    ///
    /// When it refuses, or does not answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let asked = self.http.get(self.url(path)).bearer_auth(&self.token);
        let answer = asked.send().await?.error_for_status()?;
        serde_json::from_str(&answer.text().await?).with_context(|| path.to_owned())
    }

    /// What it has done since its start.
    pub async fn usage(&self) -> anyhow::Result<Usage> {
        let url = format!("http://{}/metrics", self.address);
        let answer = self.http.get(url).bearer_auth(&self.token).send().await?;
        let text = answer.error_for_status()?.text().await?;
        let metric = |name: &str| -> anyhow::Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(line.with_context(|| format!("no metric {name}"))?.parse()?)
        };
        Ok(Usage {
            succeeded: metric("deployd_deployments_succeeded_total")?,
            not_succeeded: metric("deployd_deployments_not_succeeded_total")?,
            steps: metric("deployd_steps_total")?,
            busy: metric("deployd_environments_busy")?,
            commits: metric("deployd_store_commits_total")?,
            written_bytes: metric("deployd_store_written_bytes_total")?,
            syncs: metric("deployd_store_syncs_total")?,
            processor_s: self.processor_s()?,
        })
    }

    fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("the daemon has ended")
    }

    /// Seconds of processors, of all its threads.
    fn processor_s(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()?))?;
        // After the name, which is in brackets and may hold anything: user time
        // and system time are the 12th and 13th.
        let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat")?;
        let ticks: f64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Ok(ticks / TICKS)
    }

    /// Its resident memory.
    pub fn memory_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("VmRSS")?;
        Ok(kib.trim().parse::<u64>()? * 1024)
    }

    /// Waits until nothing is deployed any more.
    pub async fn until_idle(&self, within: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.usage().await?.busy > 0 {
            ensure!(began.elapsed() < within, "the daemon does not come to rest");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends it in order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.id()?.to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().await?;
        ensure!(told.success(), "kill -TERM {id}");
        let ended = self.child.wait().await?;
        ensure!(ended.success(), "the daemon ended with {ended}");
        Ok(())
    }

    /// Ends it wherever it is.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}
