//! `cargo xtask fuzz`: what strangers send, made up by a fuzzer.
//!
//! Without a sanitizer: there is no unsafe code that it could watch, and without
//! it as much is tried in half the time. Instrumentation needs an option that
//! the stable compiler keeps to itself; RUSTC_BOOTSTRAP is how it is told to
//! offer it, for this build alone.

use crate::command::{cargo, run};
use anyhow::{Context, anyhow, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const CARGO_FUZZ: &str = "0.13.2";

/// All targets, as `tests/fuzz/Cargo.toml` has them.
pub(crate) const TARGETS: [&str; 10] = [
    "documents",
    "placeholders",
    "journal",
    "signatures",
    "plugin-values",
    "postgres",
    "dns-answers",
    "s3-answers",
    "archives",
    "deliveries",
];

/// Lines of a fuzzer that has found something that are told: the end has the
/// panic, the input and its file.
const TOLD_MAX: usize = 30;

/// Targets that run at the same time, among the tests: CI has two processors.
const AT_A_TIME: usize = 2;

/// Runs one target, or all, each for so many seconds; after the corpus that is
/// kept. What a target fails on is left in `tests/fuzz/artifacts`.
pub(crate) fn fuzz(root: &Path, target: Option<&str>, seconds: u32) -> anyhow::Result<()> {
    let targets = match target {
        Some(target) => {
            ensure!(
                TARGETS.contains(&target),
                "there is no target {target}; there are {}",
                TARGETS.join(", ")
            );
            vec![target]
        }
        None => TARGETS.to_vec(),
    };
    let program = cargo_fuzz(root)?;
    let mut failed = Vec::new();
    for target in targets {
        eprintln!("\n== fuzzing {target}");
        if let Err(error) = run(&mut command(root, &program, target, seconds)?) {
            eprintln!("error: {target}: {error:#}");
            failed.push(target);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}; tests/fuzz/artifacts has the inputs", failed.join(", "));
    }
    Ok(())
}

/// The same for all targets among the tests, two at a time: built and run less
/// urgently than everything else, so that they take what other tests leave while
/// they wait. Gives what came of each: a line is printed when it ended well, and the
/// end of what the fuzzer has said is the error when it did not.
pub(crate) fn briefly(
    root: &Path,
    seconds: u32,
) -> anyhow::Result<Vec<(&'static str, anyhow::Result<()>)>> {
    let program = cargo_fuzz(root)?;
    // Once for all, or each target would wait for the one before.
    said(root, &cargo_fuzz_command(root, &program, "build"))
        .context("the targets can't be built")?;
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut outcomes = Vec::new();
        while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
            outcomes.push((*target, quietly(root, &program, target, seconds)));
        }
        outcomes
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        let mut outcomes = Vec::new();
        for worker in workers {
            outcomes.extend(worker.join().map_err(|_| anyhow!("a thread has panicked"))?);
        }
        Ok(outcomes)
    })
}

fn quietly(root: &Path, program: &Path, target: &str, seconds: u32) -> anyhow::Result<()> {
    let said = said(root, &command(root, program, target, seconds)?)?;
    let inputs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{target}: {} inputs in {seconds} s", inputs.context("it ran nothing")?.trim());
    Ok(())
}

/// Runs a command when nothing else wants the processor; gives what it says on
/// standard error, whose end is the error when it fails.
fn said(root: &Path, urgent: &Command) -> anyhow::Result<String> {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(urgent.get_program()).args(urgent.get_args());
    command.envs(urgent.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(root).output().context("nice can't be run")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let lines: Vec<&str> = said.lines().collect();
        let end: Vec<&str> = lines.iter().rev().take(TOLD_MAX).rev().copied().collect();
        bail!("{}\n{}", output.status, end.join("\n"));
    }
    Ok(said)
}

fn command(root: &Path, program: &Path, target: &str, seconds: u32) -> anyhow::Result<Command> {
    // What is found on the way is kept apart; the corpus is for what tells
    // something, and stays small.
    let found = root.join("target/fuzz-corpus").join(target);
    fs::create_dir_all(&found)?;
    let corpus = root.join("tests/fuzz/corpus").join(target);
    let mut command = cargo_fuzz_command(root, program, "run");
    command
        .arg(target)
        .args([&found, &corpus])
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        // A hang is a finding; 10 seconds are thousands of times as long as
        // any input should take.
        .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1"]);
    Ok(command)
}

fn cargo_fuzz_command(root: &Path, program: &Path, job: &str) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .args([job, "--fuzz-dir", "tests/fuzz", "--sanitizer", "none"])
        .arg("--target-dir")
        .arg(root.join("target/fuzz"));
    command
}

/// cargo-fuzz, installed into target/tools/ unless it is there.
fn cargo_fuzz(root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let folder = root.join("target/tools").join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let program = folder.join("bin/cargo-fuzz");
    if !program.exists() {
        eprintln!("    Fetching cargo-fuzz {CARGO_FUZZ}");
        let mut install = cargo(root);
        // It only starts cargo: to optimise it would take longer than it runs.
        install.args([
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "cargo-fuzz",
            "--version",
            CARGO_FUZZ,
        ]);
        run(install.arg("--root").arg(&folder)).context("cargo-fuzz can't be installed")?;
    }
    Ok(program)
}
