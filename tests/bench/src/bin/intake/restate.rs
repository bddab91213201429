//! Restate as it comes, on loopback: its ingress is sent to, and answers when it
//! has the request. The service that it then calls does nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use crate::load::{self, Connection, Intake};
use crate::process::{Process, free_port};

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Looks before giving up: a minute.
const LOOKS: usize = 600;

pub(crate) struct Restate {
    program: PathBuf,
    ingress: u16,
    used: usize,
    _server: Process,
    _service: Process,
}

impl Restate {
    pub(crate) async fn start(
        repository: &Path,
        packages: &Path,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let modules = packages.join("node_modules");
        let program = modules.join("@restatedev/restate-server-linux-x64/bin/restate-server");
        let [node, ingress, admin, service] =
            [free_port()?, free_port()?, free_port()?, free_port()?];
        let mut command = Command::new(&program);
        command
            .args(["--no-logo", "--bind-ip", "127.0.0.1", "--listen-mode", "tcp"])
            .args(["--advertised-host", "127.0.0.1"])
            .args(["--bind-port", &node.to_string()])
            .arg("--base-dir")
            .arg(folder.join("restate"))
            .env("RESTATE_INGRESS__BIND_PORT", ingress.to_string())
            .env("RESTATE_ADMIN__BIND_PORT", admin.to_string())
            .env("RESTATE_DISABLE_TELEMETRY", "true")
            .env("RUST_LOG", "warn");
        let server = Process::start(&mut command, &folder.join("restate.log"))?;
        let mut command = Command::new("node");
        command
            .arg(repository.join("tests/bench/peers/restate/service.mjs"))
            .arg(packages)
            .arg(service.to_string());
        let service_process = Process::start(&mut command, &folder.join("service.log"))?;
        let body = format!("{{\"uri\": \"http://127.0.0.1:{service}\"}}");
        let register = request("/deployments", &body);
        let mut last = String::new();
        for _ in 0..LOOKS {
            let answer = match Connection::open(admin).await {
                Ok(mut connection) => connection.ask(&register).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok((200..300, _)) => {
                    return Ok(Self {
                        program,
                        ingress,
                        used: 0,
                        _server: server,
                        _service: service_process,
                    });
                }
                other => last = format!("{other:?}"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        bail!("Restate takes no service: {last}")
    }

    pub(crate) async fn block(&mut self) -> anyhow::Result<Intake> {
        let send = |client: usize, number: usize| {
            let body = format!(
                "{{\"repository\": \"registry.example.com/intake/{client}\", \"digest\": \"sha256:{number:064x}\", \"ref\": \"refs/heads/main\", \"commit\": \"{number:040x}\"}}"
            );
            request("/intake/take/send", &body)
        };
        let intake = load::block(self.ingress, self.used, 202, send).await?;
        self.used += (intake.count + 1) * crate::CONNECTIONS;
        Ok(intake)
    }

    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let said = Command::new(&self.program).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }
}

fn request(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
