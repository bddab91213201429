//! `cargo xtask bench git`: how deployments come to a repository of 500 environments.
//!
//! | contender | how it comes there |
//! | --- | --- |
//! | deployd | the daemon's own client of Git, asked for all 500 at once |
//! | clone, copy, commit, push | a shell with the `git` program, one after the other |
//!
//! Both make one commit for each deployment, over HTTP to `git http-backend`.

use super::blocks::Measured;
use super::report::Report;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the daemon is to be, in times of what a pipeline takes.
const PIPELINE: f64 = 10.0;

/// Builds the program, and measures.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<Report> {
    let programs = super::programs(root, &["git-commits"])?;
    let output = Command::new(programs.join("git-commits"))
        .arg(blocks.to_string())
        .stderr(Stdio::inherit())
        .output()
        .context("git-commits can't be run")?;
    ensure!(output.status.success(), "git-commits ended with {}", output.status);
    let measured: Measured =
        serde_json::from_slice(&output.stdout).context("what git-commits says")?;
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
