//! The API server, in a process of its own: the practice cluster.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use deployd_practice::{Practice, PracticeOptions};

/// How long its start may take: it has nothing to load.
const START: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    process: Child,
    pub(crate) kubeconfig: PathBuf,
}

/// Runs until the process is ended.
pub(crate) async fn serve(file: &Path) -> anyhow::Result<()> {
    let practice = Practice::start(PracticeOptions::default()).await?;
    let unfinished = file.with_extension("new");
    std::fs::write(&unfinished, practice.kubeconfig())?;
    std::fs::rename(&unfinished, file)?;
    std::future::pending().await
}

impl Server {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let kubeconfig = folder.join("kubeconfig");
        let process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(&kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting the practice cluster")?;
        let server = Self { process, kubeconfig };
        let begun = Instant::now();
        while !server.kubeconfig.exists() {
            if begun.elapsed() > START {
                bail!("the practice cluster has not started");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
