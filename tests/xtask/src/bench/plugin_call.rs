//! `cargo xtask bench plugin-call`: what a plugin costs.
//!
//! All contenders do the work of the notifier `webhook`: read an event of 4 KiB,
//! make an HTTP request of it with a body of 4 KiB, hand it over typed. They
//! differ in what is between the daemon and the plugin:
//!
//! | contender | between |
//! | --- | --- |
//! | deployd | a fresh sandbox per call, with limits, deadline and checks |
//! | go-plugin | gRPC to a warm process in Go, no sandbox |
//! | go-plugin, bytes only | the same transport, with bytes that nobody reads: no JSON |
//! | process in Rust, in Go | a process per call, document and answer by pipes |
//! | the work itself | nothing: a function call |
//!
//! The last one bounds the others: a process that takes 50 times as long as the
//! work can't be beaten by more than 50, whatever a sandbox costs.
//!
//! `load` is a new host with all shipped plugins from the compile cache, one
//! after the other, all checks included; `load one, first call` has its
//! counterpart in `go-plugin, start, first call`, which is also what a process per
//! call costs where go-plugin starts it.

use super::blocks::Measured;
use super::go_peer;
use super::report::Report;
use crate::plugins;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the daemon is to be, in times of what others take.
const GO_PLUGIN: f64 = 8.0;
const PROCESS: f64 = 100.0;
/// What a start of the daemon may wait for its plugins.
const LOAD_MS: f64 = 50.0;

/// Builds all contenders, and measures.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<Report> {
    let shipped = root.join("target/plugins");
    plugins::build(&root.join("plugins"), &shipped)?;
    let go = go_peer::build(&root.join("tests/bench/peers/go-plugin"), &root.join("target/bench"))?;
    let programs = super::programs(root, &["plugin-call", "format-once"])?;
    let output = Command::new(programs.join("plugin-call"))
        .arg(blocks.to_string())
        .args([&shipped, &go, &programs.join("format-once")])
        .stderr(Stdio::inherit())
        .output()
        .context("plugin-call can't be run")?;
    ensure!(output.status.success(), "plugin-call ended with {}", output.status);
    report(&serde_json::from_slice(&output.stdout).context("what plugin-call says")?)
}

fn report(measured: &Measured) -> anyhow::Result<Report> {
    let mut report = Report::new("plugin-call", "deployd", measured)?;
    report.fact("go-plugin", go_peer::versions());
    report.compare(measured, "go-plugin", "deployd", Some(GO_PLUGIN))?;
    report.compare(measured, "go-plugin, bytes only", "deployd", None)?;
    // The quickest process that there can be; others are beside it to be seen.
    report.compare(measured, "process in Rust", "deployd", Some(PROCESS))?;
    report.compare(measured, "process in Go", "deployd", None)?;
    report.compare(measured, "the work itself", "deployd", None)?;
    let (start, load) = ("go-plugin, start, first call", "load one, first call");
    report.compare(measured, start, load, None)?;
    report.compare(measured, start, "deployd", None)?;
    report.at_most(measured, "load", LOAD_MS)?;
    Ok(report)
}
