//! `cargo xtask bench hostile`: what a good plugin's callers notice of bad ones.
//!
//! All contenders call the notifier `webhook`, one call after the other. They
//! differ in what goes on in the same host meanwhile:
//!
//! | contender | meanwhile |
//! | --- | --- |
//! | calm | nothing |
//! | beside hostile plugins, never quarantined | eight callers of all guests of `tests/fixtures` that misbehave in a call, each of which would go on for ever |
//! | beside hostile plugins | the same callers, with the daemon's quarantine |
//!
//! Each is compared with the calm block before it, on the same host.

use super::blocks::Measured;
use super::report::Report;
use crate::plugins;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// How many times as long as in calm a call may take.
const WANTED: f64 = 1.5;

/// Builds the host, and measures.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<Report> {
    let shipped = root.join("target/plugins");
    plugins::build(&root.join("plugins"), &shipped)?;
    let programs = super::programs(root, &["hostile"])?;
    let output = Command::new(programs.join("hostile"))
        .arg(blocks.to_string())
        .arg(&shipped)
        .stderr(Stdio::inherit())
        .output()
        .context("hostile can't be run")?;
    ensure!(output.status.success(), "hostile ended with {}", output.status);
    report(&serde_json::from_slice(&output.stdout).context("what hostile says")?)
}

fn report(measured: &Measured) -> anyhow::Result<Report> {
    let mut report = Report::new("hostile", "calm", measured)?;
    let never = "beside hostile plugins, never quarantined";
    report.no_slower(measured, never, "calm", WANTED)?;
    report.no_slower(measured, "beside hostile plugins", "calm, again", WANTED)?;
    Ok(report)
}
