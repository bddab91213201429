//! `cargo xtask bench history`: questions about the past, in a store with a long
//! history.
//!
//! | contender | what is asked |
//! | --- | --- |
//! | deployd | the engine, as the API asks it, over its store: without HTTP |
//! | PostgreSQL 15 | the same data in tables with the indexes that the questions want, by prepared statements over loopback; 1 GiB of shared buffers |
//! | SQLite | the same tables, in the process of who asks, also prepared; 1 GiB of pages and mapped memory |
//!
//! All give whole answers: records are read, differences worked out. Before times
//! are taken, answers of all three are compared. They take three turns; before each
//! one's turn its file is read, since not all three may fit in memory together, and
//! whoever was read last would have an advantage.
//!
//! What one more deployment costs is measured with three daemons that have the same
//! documents and a short, a longer and the whole history, in turns.
//!
//! Our store has the daemon's 64 MiB of pages, and everything that a daemon writes
//! but the logs, which go after three months: the journal with its chains, steps,
//! and all other indexes. Peers have what is asked for, and no more.

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

/// How much longer one more deployment may take with a long history behind it than
/// with a short one.
const FLAT: f64 = 1.2;

/// A daemon is to be ready in so many milliseconds.
const START_MS: f64 = 300.0;

/// Builds all of them, and measures.
pub(crate) fn bench(
    root: &Path,
    blocks: usize,
    applications: usize,
    versions: usize,
    keep: Option<&Path>,
) -> anyhow::Result<Report> {
    apt::need(&apt::SERVERS, "what history is compared with")?;
    plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    let peers = native(root, "history")?;
    let programs = super::programs(root, &["deployd", "history"])?;
    let output = Command::new(programs.join("history"))
        .arg(programs.join("deployd"))
        .arg(peers)
        .args([applications, versions, blocks].map(|number| number.to_string()))
        .args(keep)
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
    let short = "one more, short history";
    for long in ["one more, longer history", "one more, whole history"] {
        report.no_slower(&measured, long, short, FLAT)?;
    }
    for start in ["start to ready, ms", "start to ready after SIGKILL, ms"] {
        let took = measured.facts.get(start).and_then(|ms| ms.parse().ok());
        report.fact_at_most(start, took.context("no start was measured")?, START_MS);
    }
    Ok(report)
}
