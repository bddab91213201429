//! Measures deployments to environments that are pulled from one repository, and what a
//! pipeline does instead: prints one JSON object of blocks.
//!
//! `git-deployments DEPLOYD BLOCKS`: the daemon's binary, and how often both are measured.
//!
//! Ours are whole deployments of a daemon of its own process, asked for at once as 500
//! environments ask: planned, provisioned, rendered, committed, and awaited until somebody
//! has pulled them to the practice cluster and they run. The pipeline is a shell that
//! clones, copies, commits and pushes, one environment after the other, and looks no
//! further. Both make one commit for each, in the same repository of `git http-backend` on
//! loopback.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod puller;
mod shell;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::daemon::Daemon;
use bench::rounds::deploy_all;
use bench::{Measured, documents};
use deployd_practice::{Practice, PracticeOptions};
use fixtures::git_server::{GitServer, git};

/// Environments in the repository.
const ENVIRONMENTS: usize = 500;

/// Deployments of a block, of the shell: each takes as long as the others.
const SHELL: usize = 20;

/// The path of an environment.
pub(crate) fn directory(environment: usize) -> String {
    format!("apps/{}/e{environment}", documents::MANY)
}

fn main() -> anyhow::Result<()> {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args_os().skip(1);
    let deployd = PathBuf::from(arguments.next().context("expected the daemon's binary")?);
    let blocks = arguments.next().context("expected the number of blocks")?;
    let blocks = blocks.to_string_lossy().parse().context("the number of blocks")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measured(&deployd, blocks))?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn measured(deployd: &Path, blocks: usize) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let server = GitServer::start(&folder.path().join("served"))?;
    let repository = server.create("environments.git")?;
    let url = server.url("environments.git");
    begin(folder.path(), &url)?;
    let practice = Practice::start(PracticeOptions::new().pace(Duration::ZERO)).await?;
    let puller = puller::start(&repository, &practice);
    let daemon = Daemon::start(deployd, &folder.path().join("data")).await?;
    let (many, kubeconfig) = (documents::MANY, practice.kubeconfig());
    documents::apply(&daemon.client, &kubeconfig, many, ENVIRONMENTS).await?;
    documents::pulled(&daemon.client, &url, server.address.port()).await?;
    let all = documents::environments(many, ENVIRONMENTS)?;
    eprint!("   filling the repository");
    // What is done only once is no part of any block: namespaces, first files.
    deploy_all(&daemon, &all, &documents::set(many, 1)?).await?;
    let mut shell = shell::Shell::new(folder.path(), &url)?;
    let mut measured = Measured::default();
    let files = git(&repository, &["ls-tree", "-r", "--name-only", "main"])?;
    measured.facts.insert("environments", ENVIRONMENTS.to_string());
    measured.facts.insert("files", files.lines().count().to_string());
    for block in 0..blocks {
        eprint!("\r   block {}/{blocks}         ", block + 1);
        let version = block + 2;
        let before = commits(&repository)?;
        pack(&repository)?;
        let began = Instant::now();
        deploy_all(&daemon, &all, &documents::set(many, version)?).await?;
        measured.add("deployd", each(began, ENVIRONMENTS as u32));
        ensure!(commits(&repository)? == before + ENVIRONMENTS, "one commit for each deployment");
        pack(&repository)?;
        let began = Instant::now();
        for environment in (0..SHELL).map(|at| (block * SHELL + at) % ENVIRONMENTS) {
            shell.deploy(environment, version)?;
        }
        measured.add("clone, copy, commit, push", each(began, SHELL as u32));
    }
    eprintln!();
    daemon.stop().await?;
    puller.abort();
    practice.shutdown();
    Ok(measured)
}

/// What each of so many took.
fn each(began: Instant, count: u32) -> Vec<Duration> {
    vec![began.elapsed() / count]
}

fn commits(repository: &Path) -> anyhow::Result<usize> {
    let counted = git(repository, &["rev-list", "--count", "main"])?;
    counted.trim().parse().context("the number of commits")
}

/// What a forge does now and then, and the server of tests never by itself: before each
/// contender, so that both find what they would find there.
fn pack(repository: &Path) -> anyhow::Result<()> {
    git(repository, &["gc", "--quiet"])?;
    Ok(())
}

/// A first commit, as somebody has pushed it.
fn begin(folder: &Path, url: &str) -> anyhow::Result<()> {
    let work = folder.join("begun");
    std::fs::create_dir_all(&work)?;
    std::fs::write(work.join("README.md"), "environments\n")?;
    git(&work, &["init", "-q", "-b", "main", "."])?;
    git(&work, &["add", "-A"])?;
    git(&work, &["commit", "-q", "-m", "begin"])?;
    git(&work, &["push", "-q", url, "main"])?;
    Ok(())
}
