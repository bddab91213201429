//! The daemon: images are announced, each of which has a deployment accepted that
//! takes the place of the one that waits. The deployment before it never ends,
//! since its pods are never ready: what is measured is acceptance.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use deployd_practice::{Behaviour, PodMatch, Practice, PracticeOptions};
use serde_json::{Value, json};

use crate::CONNECTIONS;
use crate::load::{self, Connection, Intake};
use crate::process::{Process, free_port};

/// Of the sample: what a platform team applies.
const PLATFORM: [&str; 3] = ["definitions.yaml", "environment-type.yaml", "plugins.yaml"];

/// Between two looks at whether something has happened.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looks before giving up: half a minute.
const LOOKS: usize = 600;

pub(crate) struct Ours {
    daemon: Process,
    practice: Practice,
    port: u16,
    token: String,
    used: usize,
    syncs_per_request: f64,
}

impl Ours {
    pub(crate) async fn start(
        repository: &Path,
        deployd: &Path,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let practice = Practice::start(PracticeOptions::new()).await?;
        practice.behaviours().set(PodMatch::any(), Behaviour::NeverReady);
        let (port, data) = (free_port()?, folder.join("deployd"));
        let mut command = Command::new(deployd);
        command
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .arg("--config")
            .arg(bench::daemon::without_limits())
            .args(["--listen", &format!("127.0.0.1:{port}")]);
        let daemon = Process::start(&mut command, &folder.join("deployd.log"))?;
        let mut ours =
            Self { daemon, practice, port, token: String::new(), used: 0, syncs_per_request: 0.0 };
        for _ in 0..LOOKS {
            match ours.ask("GET", "/readyz", "").await {
                Ok((200, _)) => break,
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        ours.token = fs::read_to_string(data.join("admin-token")).context("it did not start")?;
        ours.configure(repository).await?;
        Ok(ours)
    }

    async fn configure(&mut self, repository: &Path) -> anyhow::Result<()> {
        let kubeconfig = self.practice.kubeconfig();
        let (status, _) = self.ask("PUT", "/v1/secrets/demo-cluster", &kubeconfig).await?;
        ensure!(status == 204, "the secret: {status}");
        let mut files = Vec::new();
        for name in PLATFORM {
            let text = fs::read_to_string(repository.join("daemon/sample/config").join(name))?;
            files.push(json!({"path": name, "text": text}));
        }
        let applications: Vec<String> = (0..CONNECTIONS).map(application).collect();
        files.push(json!({"path": "applications.yaml", "text": applications.join("---\n")}));
        let body = json!({"files": files}).to_string();
        let (status, answer) = self.ask("POST", "/v1/documents:apply", &body).await?;
        ensure!(status == 200, "the documents: {}", String::from_utf8_lossy(&answer));
        // One deployment per environment, which never ends.
        for client in 0..CONNECTIONS {
            let (status, answer) =
                self.ask("POST", "/v1/artifacts", &image(client, client).to_string()).await?;
            ensure!(status == 200, "an image: {}", String::from_utf8_lossy(&answer));
        }
        self.used = CONNECTIONS;
        for _ in 0..LOOKS {
            let (_, answer) = self.ask("GET", "/v1/environments", "").await?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            if text.matches("\"await-ready\"").count() >= CONNECTIONS {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        anyhow::bail!("the first deployments do not come as far as they should")
    }

    /// A request that is no part of what is measured.
    async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut connection = Connection::open(self.port).await?;
        connection.ask(&request(method, path, &self.token, "", body)).await
    }

    pub(crate) async fn block(&mut self) -> anyhow::Result<Intake> {
        let before = self.syncs().await?;
        let token = self.token.clone();
        let announce = move |client: usize, number: usize| {
            let key = format!("idempotency-key: {number}\r\n");
            request("POST", "/v1/artifacts", &token, &key, &image(client, number).to_string())
        };
        let intake = load::block(self.port, self.used, 200, announce).await?;
        // Far past whatever a client has used.
        self.used += (intake.count + 1) * CONNECTIONS;
        let syncs = self.syncs().await? - before;
        self.syncs_per_request = syncs / intake.count as f64;
        Ok(intake)
    }

    pub(crate) fn syncs_per_request(&self) -> f64 {
        self.syncs_per_request
    }

    /// What the daemon's own metrics say.
    async fn syncs(&self) -> anyhow::Result<f64> {
        let (_, text) = self.ask("GET", "/metrics", "").await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix("deployd_store_syncs_total "));
        Ok(value.context("no metric of syncs")?.trim().parse()?)
    }

    /// Another block, whose syncs the kernel counts too.
    pub(crate) async fn syncs_by_strace(&mut self) -> anyhow::Result<String> {
        let mut strace = Command::new("strace");
        let mut strace = strace
            .args(["-f", "-c", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-p"])
            .arg(self.daemon.id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("strace can't be run")?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = self.syncs().await?;
        let intake = self.block().await?;
        let metric = self.syncs().await? - before;
        // It prints its counts when it is interrupted.
        Command::new("kill").args(["-INT", &strace.id().to_string()]).status()?;
        let mut said = String::new();
        std::io::Read::read_to_string(&mut strace.stderr.take().context("no output")?, &mut said)?;
        strace.wait()?;
        let counted: u64 = said
            .lines()
            .filter(|line| line.ends_with("sync"))
            .filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok())
            .sum();
        Ok(format!("{counted}, and {metric} by the metric, for {} requests", intake.count))
    }
}

fn request(method: &str, path: &str, token: &str, more: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{more}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn image(client: usize, number: usize) -> Value {
    json!({
        "repository": format!("registry.example.com/intake/{client}"),
        "digest": format!("sha256:{number:064x}"),
        "ref": "refs/heads/main",
        "commit": format!("{number:040x}"),
    })
}

fn application(number: usize) -> String {
    format!(
        "\
apiVersion: score.dev/v1b1
metadata: {{name: web-{number}}}
containers: {{web: {{image: .}}}}
---
apiVersion: deployd.dev/v1
kind: Application
metadata: {{name: intake-{number}}}
spec:
  workloads: [web-{number}]
  artifacts: [{{repository: registry.example.com/intake/{number}, workload: web-{number}}}]
  flow: [{{environment: development, automatic: {{ref: refs/heads/main}}}}]
---
apiVersion: deployd.dev/v1
kind: Environment
metadata: {{name: development}}
spec: {{application: intake-{number}, type: development}}
"
    )
}
