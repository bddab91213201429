//! `cargo xtask bench intake`: how many requests a second are taken for good.
//!
//! | contender | what a request is |
//! | --- | --- |
//! | deployd | an image is announced over HTTP: authenticated, routed, a deployment queued in the place of the one before, all of it on stable storage |
//! | PostgreSQL | a row inserted by pgbench: one transaction, synced, over a Unix socket |
//! | Restate | a durable `send` over HTTP |
//!
//! Each has 64 clients at the same time, all write to the same disk, and they
//! take turns. Syncs are those of our store, by the daemon's own metric; the
//! kernel's count (strace) of one more block is a fact beside it.

use super::blocks::Estimate;
use crate::{apt, tools};
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the daemon is to be, in times of what others reach.
const RESTATE: f64 = 3.0;
const POSTGRESQL: f64 = 1.0;
/// Syncs per request.
const SYNCS: f64 = 1.0 / 20.0;

/// Where Debian has PostgreSQL's programs.
const POSTGRESQL_PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// Restate's server, and the SDK that a service of it is written with.
const RESTATE_PACKAGES: [&str; 2] =
    ["@restatedev/restate-server-linux-x64@1.7.12", "@restatedev/restate-sdk@1.17.2"];

/// What the measuring program has printed.
#[derive(Deserialize)]
struct Found {
    rates: BTreeMap<String, Vec<f64>>,
    syncs: Vec<f64>,
    latencies_ms: Vec<(f64, f64)>,
    facts: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Goal {
    goal: String,
    wanted: f64,
    reached: f64,
    ok: bool,
}

/// What was found, for people and for machines.
#[derive(Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    facts: BTreeMap<String, String>,
    figures: BTreeMap<String, Estimate>,
    ratios: BTreeMap<String, Estimate>,
    goals: Vec<Goal>,
    ok: bool,
}

/// Fetches the peers, builds ours, and measures; an error when a goal is missed.
pub(crate) fn bench(root: &Path, blocks: usize) -> anyhow::Result<()> {
    if !Path::new(POSTGRESQL_PROGRAMS).join("pgbench").exists() || which("strace").is_none() {
        ensure!(apt::can_install(), "PostgreSQL 15 and strace are needed, and can't be installed");
        apt::install(&["postgresql-15", "strace"])?;
    }
    let restate = tools::npm(root, "restate", &RESTATE_PACKAGES)?;
    let programs = super::programs(root, &["intake", "deployd"])?;
    let output = Command::new(programs.join("intake"))
        .arg(blocks.to_string())
        .args([root, &programs.join("deployd"), Path::new(POSTGRESQL_PROGRAMS), &restate])
        .stderr(Stdio::inherit())
        .output()
        .context("intake can't be run")?;
    ensure!(output.status.success(), "intake ended with {}", output.status);
    let found: Found = serde_json::from_slice(&output.stdout).context("what intake says")?;
    let report = Report::of(found)?;
    print!("{report}");
    println!("{}", serde_json::to_string(&report)?);
    if !report.ok {
        bail!("a goal is missed");
    }
    Ok(())
}

fn which(program: &str) -> Option<std::path::PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|path| path.join(program)).find(|path| path.exists())
}

impl Report {
    fn of(found: Found) -> anyhow::Result<Self> {
        let rates = |name: &str| found.rates.get(name).with_context(|| format!("no {name}"));
        let ours = rates("deployd")?;
        let mut report = Self {
            bench: "intake",
            facts: found.facts.clone(),
            figures: BTreeMap::new(),
            ratios: BTreeMap::new(),
            goals: Vec::new(),
            ok: true,
        };
        for (name, rates) in &found.rates {
            report.figures.insert(format!("{name}, per second"), Estimate::of(rates.clone())?);
        }
        for (name, wanted) in [("Restate", RESTATE), ("PostgreSQL", POSTGRESQL)] {
            // Each block is compared with the neighbour of the same turn.
            let ratios = ours.iter().zip(rates(name)?).map(|(ours, peer)| ours / peer).collect();
            let ratio = Estimate::of(ratios)?;
            let goal = format!("{wanted} times as many as {name}");
            report.ratios.insert(format!("deployd : {name}"), ratio);
            let (reached, ok) = (ratio.at_least, ratio.at_least >= wanted);
            report.goal(Goal { goal, wanted, reached, ok });
        }
        let syncs = Estimate::of(found.syncs)?;
        report.figures.insert("syncs per request".to_owned(), syncs);
        let goal = "at most one sync per 20 requests".to_owned();
        let (reached, ok) = (syncs.at_most, syncs.at_most <= SYNCS);
        report.goal(Goal { goal, wanted: SYNCS, reached, ok });
        let (p50, p99) = found.latencies_ms.into_iter().unzip();
        report.figures.insert("an answer of ours, ms, p50".to_owned(), Estimate::of(p50)?);
        report.figures.insert("an answer of ours, ms, p99".to_owned(), Estimate::of(p99)?);
        Ok(report)
    }

    fn goal(&mut self, goal: Goal) {
        self.ok &= goal.ok;
        self.goals.push(goal);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (name, fact) in &self.facts {
            writeln!(f, "{name}: {fact}")?;
        }
        writeln!(f, "\n{:36}{:>14}{:>14}{:>14}", "", "median", "at least", "at most")?;
        for (name, figure) in self.figures.iter().chain(&self.ratios) {
            let Estimate { median, at_least, at_most } = figure;
            writeln!(f, "{name:36}{median:>14.3}{at_least:>14.3}{at_most:>14.3}")?;
        }
        writeln!(f)?;
        for Goal { goal, reached, ok, .. } in &self.goals {
            writeln!(f, "{} {goal}: {reached:.3}", if *ok { "reached" } else { "MISSED " })?;
        }
        writeln!(f)
    }
}
