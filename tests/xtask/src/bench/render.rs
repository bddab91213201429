//! `cargo xtask bench render`: how long an application takes to become manifests.
//!
//! | contender | how it renders |
//! | --- | --- |
//! | deployd | the templater `score-k8s` in a fresh sandbox per call |
//! | Helm in process | Helm 4's own library with the chart loaded once |
//! | helm template | a process per call |
//! | kubectl kustomize | a process per call |
//!
//! The same two workloads become the same objects, which is checked first. Helm
//! in process answers with text; ours is parsed and checked beyond that.

use super::blocks::Measured;
use super::report::Report;
use crate::{plugins, tools};
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the daemon is to be, in times of what others take.
const IN_PROCESS: f64 = 1.5;
const PROCESS: f64 = 40.0;

/// Helm 4.2.3's library.
const HELM_SDK: &str = "helm-python-sdk==0.2.2";

/// Fetches the peers, builds ours, and measures.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<Report> {
    let shipped = root.join("target/plugins");
    plugins::build(&root.join("plugins"), &shipped)?;
    let cluster = tools::cluster_tools(root)?;
    let python = tools::python(root, "helm-sdk", &[HELM_SDK])?;
    let programs = super::programs(root, &["render"])?;
    let output = Command::new(programs.join("render"))
        .arg(blocks.to_string())
        .args([&shipped, &python.join("python"), &root.join("tests/bench/peers/helm")])
        .args([&cluster.helm, &cluster.kubectl])
        .stderr(Stdio::inherit())
        .output()
        .context("render can't be run")?;
    ensure!(output.status.success(), "render ended with {}", output.status);
    let measured: Measured = serde_json::from_slice(&output.stdout).context("what render says")?;
    let mut report = Report::new("render", "deployd", &measured)?;
    report.fact("Helm's library", HELM_SDK.to_owned());
    report.fact("kubectl and helm", tools::cluster_tools_version());
    report.compare(&measured, "Helm in process", "deployd", Some(IN_PROCESS))?;
    report.compare(&measured, "helm template", "deployd", Some(PROCESS))?;
    report.compare(&measured, "kubectl kustomize", "deployd", Some(PROCESS))?;
    Ok(report)
}
