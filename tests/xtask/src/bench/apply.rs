//! `cargo xtask bench apply`: what it takes to apply 500 objects.
//!
//! | contender | what it does |
//! | --- | --- |
//! | deployd | applies with a client that knows nothing yet |
//! | deployd, nothing changed | the same again: it looks at what is there, and sends nothing |
//! | deployd, one request at a time | what is left without requests at the same time |
//! | kubectl | `kubectl apply --server-side`, with its cache of discovery warm |
//!
//! It says as a fact, too, how much memory 3,000 objects take that are there already.
//!
//! The API server is the practice cluster in a process of its own, or the one
//! whose kubeconfig's file `DEPLOYD_TEST_KUBECONFIG` names.

use super::blocks::Measured;
use super::report::Report;
use crate::tools;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the daemon is to be, in times of what kubectl takes.
const FIRST: f64 = 4.0;
const UNCHANGED: f64 = 15.0;

/// Fetches kubectl, builds ours, and measures.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<Report> {
    let kubectl = tools::cluster_tools(root)?.kubectl;
    let programs = super::programs(root, &["apply"])?;
    let mut command = Command::new(programs.join("apply"));
    command.arg(blocks.to_string()).arg(kubectl);
    if let Some(kubeconfig) = std::env::var_os("DEPLOYD_TEST_KUBECONFIG") {
        command.arg(kubeconfig);
    }
    let output = command.stderr(Stdio::inherit()).output().context("apply can't be run")?;
    ensure!(output.status.success(), "apply ended with {}", output.status);
    let measured: Measured = serde_json::from_slice(&output.stdout).context("what apply says")?;
    let mut report = Report::new("apply", "deployd, first", &measured)?;
    report.fact("kubectl", tools::cluster_tools_version());
    report.compare(&measured, "kubectl, first", "deployd, first", Some(FIRST))?;
    let (theirs, ours) = ("kubectl, nothing changed", "deployd, nothing changed");
    report.compare(&measured, theirs, ours, Some(UNCHANGED))?;
    let in_turn = "deployd, first, one request at a time";
    report.compare(&measured, in_turn, "deployd, first", None)?;
    Ok(report)
}
