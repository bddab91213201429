//! Whole deployments, by a daemon of its own process, on a practice cluster in
//! this one: how many a second, what one more costs with a long history, how
//! long a start takes, how much memory an idle daemon has.
//!
//! `deploy DEPLOYD ENVIRONMENTS HISTORY`: the daemon's binary, the environments
//! to deploy to, and how many deployments the longer of two histories has (the
//! shorter one has a twentieth). Prints a table, and one JSON object as its
//! last line.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod history;
mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use deployd_cli::Style;
use deployd_core::EnvironmentId;
use deployd_core::deployment::Outcome;
use deployd_core::set::DeploymentSet;
use deployd_practice::{Practice, PracticeOptions};

use bench::daemon::{Daemon, Usage};
use bench::documents;
use bench::rounds::{AT_ONCE, ROUND_MAX, accept_all, deploy_all, request};
use report::Report;

/// Deployments that are measured one by one, in each of two histories.
const ONE_MORE: usize = 41;

/// Starts of each kind.
const STARTS: usize = 7;

/// How long an idle daemon is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args_os().skip(1);
    let deployd = PathBuf::from(arguments.next().context("expected the daemon's binary")?);
    let mut number = |what: &str| -> anyhow::Result<usize> {
        let text = arguments.next().with_context(|| format!("expected the number of {what}"))?;
        text.to_string_lossy().parse().with_context(|| what.to_owned())
    };
    let (environments, history) = (number("environments")?, number("deployments in history")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(bench(&deployd, environments.max(1), history.max(20)))?;
    let figures = report.figures();
    print!("{figures}");
    println!("{}", figures.json());
    ensure!(figures.ok(), "a goal is missed");
    Ok(())
}

async fn bench(deployd: &Path, environments: usize, history: usize) -> anyhow::Result<Report> {
    let mut report = Report::new();
    let pods = PracticeOptions::new().pace(Duration::ZERO);
    let practice = Practice::start(pods).await?;
    let folder = tempfile::Builder::new().prefix("deployd-bench-").tempdir()?;

    eprintln!("   {environments} environments");
    let data = folder.path().join("many");
    let daemon = Daemon::start(deployd, &data).await?;
    documents::apply(&daemon.client, &practice.kubeconfig(), documents::MANY, environments).await?;
    let all = documents::environments(documents::MANY, environments)?;
    for (round, name) in [(1, "first deployments"), (2, "further deployments")] {
        let set = documents::set(documents::MANY, round)?;
        let before = daemon.usage().await?;
        let began = Instant::now();
        deploy_all(&daemon, &all, &set).await?;
        let took = began.elapsed();
        report.throughput(name, all.len(), took, &before.until(&daemon.usage().await?));
    }
    let daemon = starts(&mut report, deployd, &data, daemon, &all).await?;
    daemon.stop().await?;

    eprintln!("   histories of {} and {history}", history / 20);
    one_more(&mut report, deployd, folder.path(), &practice, history).await?;
    practice.shutdown();
    Ok(report)
}

/// Starts after a clean stop, and after SIGKILL in the middle of deployments.
async fn starts(
    report: &mut Report,
    deployd: &Path,
    data: &Path,
    mut daemon: Daemon,
    all: &[EnvironmentId],
) -> anyhow::Result<Daemon> {
    let (mut clean, mut killed) = (Vec::new(), Vec::new());
    for n in 0..STARTS {
        daemon.stop().await?;
        daemon = Daemon::start(deployd, data).await?;
        clean.push(daemon.took);
        // Some are deployed to when the daemon ends.
        let some = all.get(..all.len().min(AT_ONCE)).unwrap_or(all);
        let before = daemon.usage().await?;
        accept_all(&daemon, some, &documents::set(documents::MANY, 100 + n)?).await?;
        while before.until(&daemon.usage().await?).steps < some.len() as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        daemon.kill().await?;
        daemon = Daemon::start(deployd, data).await?;
        killed.push(daemon.took);
        daemon.until_idle(ROUND_MAX).await?;
    }
    report.start("start to ready, after a clean stop", &clean);
    report.start("start to ready, after SIGKILL", &killed);
    Ok(daemon)
}

/// The cost of one more deployment in a short history and in a long one: two
/// daemons, which take turns.
async fn one_more(
    report: &mut Report,
    deployd: &Path,
    folder: &Path,
    practice: &Practice,
    long: usize,
) -> anyhow::Result<()> {
    let mut stages = Vec::new();
    for (application, deployments) in [("short", long / 20), ("long", long)] {
        let data = folder.join(application);
        let daemon = Daemon::start(deployd, &data).await?;
        documents::apply(&daemon.client, &practice.kubeconfig(), application, 1).await?;
        let all = documents::environments(application, 1)?;
        let id = all.first().context("no environment")?.clone();
        deploy_all(&daemon, &all, &documents::set(application, 0)?).await?;
        daemon.stop().await?;
        history::grow(&data, &id, deployments).await?;
        let daemon = Daemon::start(deployd, &data).await?;
        stages.push((application, daemon, id, deployments, Vec::new()));
    }
    for n in 0..ONE_MORE {
        for (application, daemon, id, _, times) in &mut stages {
            let set = documents::set(application, 1 + n)?;
            times.push(one(daemon, id, &set).await?);
        }
    }
    for (_, daemon, _, deployments, times) in &stages {
        report.one_more(*deployments, times);
        tokio::time::sleep(REST).await;
        let name = format!("memory, idle, {deployments} in history, after deployments");
        report.memory(&name, daemon.memory_bytes()?, false);
    }
    for (_, daemon, ..) in stages {
        daemon.stop().await?;
    }
    let daemon = Daemon::start(deployd, &folder.join("long")).await?;
    report.long_start(daemon.took);
    tokio::time::sleep(REST).await;
    report.memory("memory, idle, all plugins loaded", daemon.memory_bytes()?, true);
    daemon.stop().await?;
    report.flat();
    Ok(())
}

/// One deployment from the request to its end: time, and the daemon's work.
async fn one(
    daemon: &Daemon,
    id: &EnvironmentId,
    set: &DeploymentSet,
) -> anyhow::Result<(Duration, Usage)> {
    let before = daemon.usage().await?;
    let began = Instant::now();
    let accepted = daemon.client.deploy(&request(id, set)).await?;
    let record = deployd_cli::follow(&daemon.client, &accepted.id, Style::Silent).await?;
    let took = began.elapsed();
    ensure!(record.outcome == Some(Outcome::Succeeded), "deployment {}", accepted.id);
    Ok((took, before.until(&daemon.usage().await?)))
}
