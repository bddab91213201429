//! `kubectl apply --server-side`, a process each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

const KINDS: &str = "configmaps,secrets,services,serviceaccounts,deployments";

pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Where it keeps what discovery said: warm after the first turn.
    cache: PathBuf,
    manifests: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(
        program: &Path,
        kubeconfig: &Path,
        folder: &Path,
        objects: &[Value],
    ) -> anyhow::Result<Self> {
        let manifests = folder.join("manifests.yaml");
        // As people have them; kubectl checks lists in another way. JSON is YAML.
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        fs::write(&manifests, documents.join("\n---\n")).context("writing the manifests")?;
        Ok(Self {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            cache: folder.join("cache"),
            manifests,
        })
    }

    fn command(&self, namespace: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        command.args(["--namespace", namespace]).stdin(Stdio::null());
        command
    }

    /// Applies all; it ends when all is applied, and waits for nothing.
    pub(crate) fn apply(&self, namespace: &str) -> anyhow::Result<Duration> {
        let mut command = self.command(namespace);
        command.args(["apply", "--server-side", "--filename"]).arg(&self.manifests);
        command.stdout(Stdio::null());
        let begun = Instant::now();
        let status = command.status().context("kubectl can't be run")?;
        ensure!(status.success(), "kubectl ended with {status}");
        Ok(begun.elapsed())
    }

    /// The objects of the team, with their versions.
    pub(crate) fn versions(&self, namespace: &str) -> anyhow::Result<Vec<String>> {
        let each =
            "{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}";
        let mut command = self.command(namespace);
        command.args(["get", KINDS, "--selector", "team=shop", "--output"]);
        let output = command.arg(format!("jsonpath={each}")).output()?;
        ensure!(output.status.success(), "kubectl get ended with {}", output.status);
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines: Vec<String> = text
            .lines()
            // Controllers write the status of deployments when they like.
            .map(|line| match line.split_once(' ') {
                Some((name, _)) if line.starts_with("Deployment/") => name.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        lines.sort_unstable();
        Ok(lines)
    }
}
