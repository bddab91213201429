//! `cargo xtask bench git`: deployments to 500 environments that are pulled from one
//! repository.
//!
//! | contender | what it does |
//! | --- | --- |
//! | deployd | whole deployments by the daemon, asked for all at once: planned, rendered, committed, pulled to the practice cluster, and running |
//! | clone, copy, commit, push | a shell with the `git` program, one after the other |
//!
//! Both make one commit for each deployment, over HTTP to `git http-backend`.

use super::blocks::Measured;
use super::report::Report;
use crate::plugins;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the daemon is to be, in times of what a pipeline takes.
const PIPELINE: f64 = 10.0;

/// Builds the program, and measures.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<Report> {
    plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    let programs = super::programs(root, &["git-deployments", "deployd"])?;
    let output = Command::new(programs.join("git-deployments"))
        .arg(programs.join("deployd"))
        .arg(blocks.to_string())
        .stderr(Stdio::inherit())
        .output()
        .context("git-deployments can't be run")?;
    ensure!(output.status.success(), "git-deployments ended with {}", output.status);
    let measured: Measured =
        serde_json::from_slice(&output.stdout).context("what git-deployments says")?;
    let mut report = Report::new("git", "deployd", &measured)?;
    let names: Vec<String> = measured.contenders().map(str::to_owned).collect();
    for name in names {
        let each = measured.time(&name, |block| block.p50)?.median;
        let per_minute = format!("{:.0}", 60e6 / each);
        report.fact(&format!("deployments per minute, {name}"), per_minute);
    }
    report.compare(&measured, "clone, copy, commit, push", "deployd", Some(PIPELINE))?;
    Ok(report)
}
