//! `cargo xtask bench history`: questions about the past, in a store with a long
//! history.
//!
//! | contender | what is asked |
//! | --- | --- |
//! | deployd | the engine over its store, without HTTP |
//! | PostgreSQL 15 | the same data in tables with the indexes that the questions want, by prepared statements over loopback |
//! | SQLite | the same tables in the same process as who asks |
//!
//! Records are made by the functions that make them of events, of the events of
//! deployments that a daemon has made. Logs are not among them.

use super::blocks::Measured;
use super::provision::native;
use super::report::Report;
use crate::{apt, plugins};
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// The questions, as `tests/bench/src/bin/history` has them.
const QUESTIONS: [&str; 6] = ["look-up", "where", "before", "timeline", "at", "diff"];

/// What look-ups of people may take, mostly.
const LOOK_UP_MS: f64 = 1.0;

/// How much longer one more deployment may take with a long history behind it.
const FLAT: f64 = 1.5;

/// A daemon is to be ready in so many milliseconds.
const START_MS: f64 = 300.0;

/// Builds all of them, and measures.
pub(crate) fn bench(
    root: &Path,
    blocks: usize,
    applications: usize,
    versions: usize,
) -> anyhow::Result<Report> {
    apt::need(&apt::SERVERS, "what history is compared with")?;
    plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    let peers = native(root, "history")?;
    let programs = super::programs(root, &["deployd", "history"])?;
    let output = Command::new(programs.join("history"))
        .arg(programs.join("deployd"))
        .arg(peers)
        .args([applications, versions, blocks].map(|number| number.to_string()))
        .stderr(Stdio::inherit())
        .output()
        .context("history can't be run")?;
    ensure!(output.status.success(), "history ended with {}", output.status);
    let measured: Measured = serde_json::from_slice(&output.stdout).context("what history says")?;
    let mut report = Report::new("history", "deployd", &measured)?;
    for question in QUESTIONS {
        let ours = format!("{question}, deployd");
        for peer in ["PostgreSQL", "SQLite"] {
            report.compare(&measured, &format!("{question}, {peer}"), &ours, Some(1.0))?;
        }
        report.mostly_at_most(&measured, &ours, LOOK_UP_MS)?;
    }
    report.no_slower(&measured, "one more, long history", "one more, short history", FLAT)?;
    let start = measured.facts.get("start to ready, ms").and_then(|ms| ms.parse().ok());
    report.fact_at_most("start to ready, ms", start.context("no start was measured")?, START_MS);
    Ok(report)
}
