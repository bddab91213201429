//! `cargo xtask bench provision`: how long a database and a name take to be made.
//!
//! | contender | how it makes them |
//! | --- | --- |
//! | deployd | the shipped drivers `postgres` and `dns-rfc2136`, each call in a fresh sandbox, through the daemon's way out |
//! | native | `tests/bench/peers/native`, with the crates `tokio-postgres` and `domain` |
//!
//! Both do the same on a PostgreSQL with TLS and on a BIND, which is checked first.

use super::blocks::Measured;
use super::report::Report;
use crate::command::{cargo, run};
use crate::{apt, plugins};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The native program is to be at least this many times as slow: ours takes 1.2
/// times as long at most.
const GOAL: f64 = 1.0 / 1.2;

/// Builds both, and measures.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<Report> {
    apt::need(&apt::SERVERS, "what is provisioned on")?;
    let shipped = root.join("target/plugins");
    plugins::build(&root.join("plugins"), &shipped)?;
    let native = native(root, "native")?;
    let programs = super::programs(root, &["provision"])?;
    let output = Command::new(programs.join("provision"))
        .arg(blocks.to_string())
        .arg(&shipped)
        .arg(native)
        .stderr(Stdio::inherit())
        .output()
        .context("provision can't be run")?;
    ensure!(output.status.success(), "provision ended with {}", output.status);
    let measured: Measured =
        serde_json::from_slice(&output.stdout).context("what provision says")?;
    let mut report = Report::new("provision", "deployd", &measured)?;
    // A database and a name, one after the other.
    report.compare(&measured, "native", "deployd", Some(GOAL))?;
    for what in ["databases", "names"] {
        let (peer, ours) = (format!("{what}, native"), format!("{what}, deployd"));
        report.compare(&measured, &peer, &ours, None)?;
    }
    Ok(report)
}

/// Builds a program of `tests/bench/peers/native`, which is no part of the
/// workspace; gives its path.
pub(super) fn native(root: &Path, program: &str) -> anyhow::Result<PathBuf> {
    let target = root.join("target/native");
    let mut build = cargo(&root.join("tests/bench/peers/native"));
    build.args(["build", "--release", "--locked", "--bin", program, "--target-dir"]).arg(&target);
    run(&mut build)?;
    Ok(target.join("release").join(program))
}
