//! Durable requests per second, from 64 connections: `cargo xtask bench intake`
//! has the contenders and what they do.
//!
//! `intake BLOCKS REPOSITORY DEPLOYD POSTGRESQL RESTATE`: turns that each
//! contender takes, where the sample is, the daemon's binary, the folder with
//! PostgreSQL's programs, the folder with Restate's npm packages. Prints one JSON
//! object.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod load;
mod ours;
mod postgres;
mod process;
mod restate;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

/// Clients of each contender, all at the same time.
const CONNECTIONS: usize = 64;

/// How long a block is: long enough for hundreds of commits, and short enough
/// that contenders meet the same disk.
const BLOCK: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// Requests per second, by contender, a number per block.
    rates: BTreeMap<&'static str, Vec<f64>>,
    /// Syncs of our store per accepted request, a number per block.
    syncs: Vec<f64>,
    /// Median and 99th percentile of how long our answers take, in milliseconds.
    latencies_ms: Vec<(f64, f64)>,
    facts: BTreeMap<&'static str, String>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let mut next = |what: &str| arguments.next().with_context(|| format!("expected {what}"));
    let blocks: usize = next("blocks")?.to_string_lossy().parse().context("blocks")?;
    let [repository, deployd, postgresql, packages] =
        [next("the repository")?, next("deployd")?, next("PostgreSQL")?, next("Restate")?]
            .map(PathBuf::from);
    // Two threads for the clients of all: as many as there are processors.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let found = runtime.block_on(async {
        // Below one folder, so that all write to the same disk.
        let folder = tempfile::Builder::new().prefix("intake-").tempdir_in("/var/tmp")?;
        let mut ours = ours::Ours::start(&repository, &deployd, folder.path()).await?;
        let postgres = postgres::Postgres::start(&postgresql, folder.path())?;
        let mut restate = restate::Restate::start(&repository, &packages, folder.path()).await?;
        let mut found = Found::default();
        // The first of each warms caches up, and does not count.
        for block in 0..=blocks {
            let intake = ours.block().await?;
            let inserts = postgres.block()?;
            let sends = restate.block().await?;
            if block == 0 {
                continue;
            }
            found.rates.entry("deployd").or_default().push(intake.rate);
            found.rates.entry("PostgreSQL").or_default().push(inserts);
            found.rates.entry("Restate").or_default().push(sends.rate);
            found.syncs.push(ours.syncs_per_request());
            found.latencies_ms.push((ms(intake.p50), ms(intake.p99)));
            eprintln!(
                "{block:>3}: deployd {:.0}/s, PostgreSQL {inserts:.0}/s, Restate {:.0}/s",
                intake.rate, sends.rate
            );
        }
        found.facts.insert("syncs, as strace counts them", ours.syncs_by_strace().await?);
        found.facts.insert("PostgreSQL", postgres.version()?);
        found.facts.insert("Restate", restate.version()?);
        anyhow::Ok(found)
    })?;
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
