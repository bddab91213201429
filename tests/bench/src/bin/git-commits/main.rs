//! Measures how deployments come to a repository of many environments, and what a
//! pipeline does instead: prints one JSON object of blocks.
//!
//! Both change the image of an environment's manifest, by one commit for each
//! deployment, in the same repository of `git http-backend` on loopback. Ours are asked for
//! at once, as 500 applications ask that deploy meanwhile; the pipeline is a shell that
//! clones, copies, commits and pushes, one environment after the other.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod ours;
mod shell;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::Measured;
use fixtures::git_server::{GitServer, git};

/// Environments in the repository.
const ENVIRONMENTS: usize = 500;

/// Files of each environment.
const FILES: usize = 8;

/// Deployments of a block, of the shell: each takes as long as the others.
const SHELL: usize = 20;

/// The path of an environment.
pub(crate) fn directory(environment: usize) -> String {
    format!("apps/app-{environment:03}/staging")
}

/// A manifest, as large as those of a small service are.
pub(crate) fn manifest(environment: usize, file: usize, version: usize) -> String {
    let noise: String = (0..40)
        .map(|line| format!("    key-{line}: value of {line} in app {environment}\n"))
        .collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: part-{file}\ndata:\n  image: \
         registry.example/app-{environment}:{version}\n  more: |\n{noise}"
    )
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [blocks] = arguments.as_slice() else { anyhow::bail!("git-commits BLOCKS") };
    let folder = tempfile::tempdir()?;
    let server = GitServer::start(&folder.path().join("served"))?;
    let repository = server.create("environments.git")?;
    fill(folder.path(), &server.url("environments.git"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut ours = ours::Ours::new(&server.url("environments.git"));
    let mut shell = shell::Shell::new(folder.path(), &server.url("environments.git"))?;
    let mut measured = Measured::default();
    measured.facts.insert("environments", ENVIRONMENTS.to_string());
    measured.facts.insert("files", (ENVIRONMENTS * FILES).to_string());
    // What is slow only once is no part of any block: the first look at the repository.
    runtime.block_on(ours.deploy(&[0], 1))?;
    for block in 0..blocks.parse::<usize>()? {
        eprint!("\rblock {}/{blocks}", block + 1);
        let version = block + 2;
        let before = commits(&repository)?;
        let began = Instant::now();
        let all: Vec<usize> = (0..ENVIRONMENTS).collect();
        runtime.block_on(ours.deploy(&all, version))?;
        measured.add("deployd", each(began, ENVIRONMENTS as u32));
        ensure!(commits(&repository)? == before + ENVIRONMENTS, "one commit for each deployment");
        let began = Instant::now();
        for environment in (0..SHELL).map(|at| (block * SHELL + at) % ENVIRONMENTS) {
            shell.deploy(environment, version * 1_000)?;
        }
        measured.add("clone, copy, commit, push", each(began, SHELL as u32));
        ours.forget();
    }
    eprintln!();
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// What each of so many took.
fn each(began: Instant, count: u32) -> Vec<Duration> {
    vec![began.elapsed() / count]
}

fn commits(repository: &Path) -> anyhow::Result<usize> {
    let counted = git(repository, &["rev-list", "--count", "main"])?;
    counted.trim().parse().context("the number of commits")
}

/// The repository with all its environments, as somebody has pushed it.
fn fill(folder: &Path, url: &str) -> anyhow::Result<()> {
    let work = folder.join("filled");
    for environment in 0..ENVIRONMENTS {
        let place = work.join(directory(environment));
        std::fs::create_dir_all(&place)?;
        for file in 0..FILES {
            let text = manifest(environment, file, 0);
            std::fs::write(place.join(format!("part-{file}.yaml")), text)?;
        }
    }
    let script = "git init -q -b main . && git add -A && \
                  git -c user.name=a -c user.email=a@example.com commit -qm first && \
                  git push -q \"$1\" main";
    let status = Command::new("sh").args(["-c", script, "sh", url]).current_dir(&work).status()?;
    ensure!(status.success(), "the repository can't be filled");
    Ok(())
}
