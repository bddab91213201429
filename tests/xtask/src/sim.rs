//! `cargo xtask sim`: the simulation of the core (`daemon/engine/tests/engine/
//! simulation.rs`) over many seeds, on all processors; or one seed again. With
//! `--rollouts`, the one of rollouts (`rollout_model/`) beside it.

use crate::built::{self, TestProgram};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of a run that does not say how many.
pub(crate) const SEEDS: u64 = 2_000;

/// Seeds that one process runs, so that progress is seen.
const CHUNK: u64 = 25;

/// The most rounds of a seed: enough to find the first that fails.
const ROUNDS_MAX: u64 = 14;

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Simulated {
    /// Requests, faults and kills over several environments.
    Core,
    /// Programs of strategies over one.
    Rollouts,
}

impl Simulated {
    fn test(self) -> &'static str {
        match self {
            Self::Core => "simulation::whatever_happens_what_must_hold_holds",
            Self::Rollouts => {
                "rollout_model::whatever_a_strategy_wants_it_ends_in_one_version_and_serves_meanwhile"
            }
        }
    }

    /// How one seed is run again.
    fn again(self) -> &'static str {
        match self {
            Self::Core => "cargo xtask sim --seed ",
            Self::Rollouts => "cargo xtask sim --rollouts --seed ",
        }
    }
}

struct Simulation {
    program: TestProgram,
    what: Simulated,
}

impl Simulation {
    fn build(root: &Path, what: Simulated) -> anyhow::Result<Self> {
        let programs = built::tests(root, &["--test", "engine"])?;
        let program = programs.into_iter().find(|program| program.package == "deployd-engine");
        let program = program.context("the simulation is not among what was built")?;
        Ok(Self { program, what })
    }

    fn run(&self, seed: u64, seeds: u64, rounds: Option<u64>) -> anyhow::Result<Output> {
        let mut command = self.program.command();
        command.args(["--exact", self.what.test(), "--nocapture"]);
        command.env("DEPLOYD_SEED", seed.to_string()).env("DEPLOYD_SEEDS", seeds.to_string());
        if let Some(rounds) = rounds {
            command.env("DEPLOYD_ROUNDS", rounds.to_string());
        }
        command.output().with_context(|| format!("{command:?} can't be run"))
    }
}

/// Runs one seed. When it fails, finds the fewest of its rounds that do, and
/// shows their history.
pub(crate) fn one(root: &Path, what: Simulated, seed: u64) -> anyhow::Result<()> {
    let simulation = Simulation::build(root, what)?;
    let whole = simulation.run(seed, 1, None)?;
    if whole.status.success() {
        println!("seed {seed}: what must hold holds");
        return Ok(());
    }
    // A rollout has no rounds that could be left out.
    for rounds in (1..=ROUNDS_MAX).filter(|_| what == Simulated::Core) {
        let ran = simulation.run(seed, 1, Some(rounds))?;
        if !ran.status.success() {
            show(&ran);
            bail!("seed {seed} fails, with its first {rounds} rounds alone");
        }
    }
    show(&whole);
    bail!("seed {seed} fails");
}

fn show(ran: &Output) {
    println!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

/// Runs many seeds, and goes on after one that fails.
pub(crate) fn many(root: &Path, what: Simulated, first: u64, seeds: u64) -> anyhow::Result<()> {
    let simulation = Simulation::build(root, what)?;
    let bar = ProgressBar::new(seeds).with_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left {msg}",
    )?);
    let next = AtomicU64::new(first);
    let end = first.saturating_add(seeds);
    let failed = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        loop {
            let begin = next.fetch_add(CHUNK, Ordering::Relaxed);
            let mut seed = begin;
            let stop = begin.saturating_add(CHUNK).min(end);
            if seed >= stop {
                return Ok(());
            }
            while seed < stop {
                let ran = simulation.run(seed, stop - seed, None)?;
                if ran.status.success() {
                    bar.inc(stop - seed);
                    break;
                }
                let Some(bad) = failing(&ran, what) else {
                    show(&ran);
                    bail!("a run of seeds {seed} to {stop} ended without naming a seed");
                };
                bar.println(format!("seed {bad} fails; again: {}{bad}", what.again()));
                bar.inc(bad.saturating_sub(seed) + 1);
                if let Ok(mut failed) = failed.lock() {
                    failed.push(bad);
                    bar.set_message(format!("{} failed", failed.len()));
                }
                seed = bad.saturating_add(1);
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(|handle| match handle.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread has panicked"),
        })
    })?;
    let took = bar.elapsed();
    bar.finish_and_clear();
    let failed = failed.into_inner().unwrap_or_default();
    let rate = seeds as f64 / took.as_secs_f64().max(0.001);
    println!(
        "{seeds} seeds in {:.0} s, {rate:.0} a second, {} failed",
        took.as_secs_f64(),
        failed.len()
    );
    if !failed.is_empty() {
        bail!("seeds that fail: {failed:?}; each again: {}N", what.again());
    }
    Ok(())
}

/// The seed that a run names as failing.
fn failing(ran: &Output, what: Simulated) -> Option<u64> {
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    let (_, after) = text.split_once(&format!("again: {}", what.again()))?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
