//! `cargo xtask seeded-bugs`: switches bugs on, one at a time. The test that is
//! named for a bug must fail with it and pass without it.

use crate::built::{self, TestProgram};
use crate::seeded::{ALL, Seeded};
use anyhow::{Context, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any test takes on a busy machine. A bug may well make its test
/// hang, and that is a failure too.
const TEST_MAX: Duration = Duration::from_secs(120);

/// A test of a package, and the program that has it.
type Tests = BTreeMap<(String, String), Arc<TestProgram>>;

/// Whether tests pass without any bug.
type Sound = Mutex<BTreeMap<(String, String), bool>>;

/// Bugs that are switched on at the same time, each in a process of its own: CI
/// has two processors.
const AT_A_TIME: usize = 2;

/// Which targets they are in.
const WHERE: [&str; 5] = ["--lib", "--test", "engine", "--test", "store"];

/// Runs the named tests of all bugs, or of one. Fails when a bug is not caught,
/// when a test fails without its bug, and when there is no such test.
pub(crate) fn seeded_bugs(root: &Path, only: Option<&str>) -> anyhow::Result<()> {
    let wanted: Vec<&Seeded> =
        ALL.iter().filter(|seeded| only.is_none_or(|name| name == seeded.name)).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|seeded| seeded.name).collect();
        bail!("there is no such bug; expected one of {}", names.join(", "));
    }
    let packages: BTreeSet<&str> = wanted.iter().map(|seeded| seeded.package).collect();
    let tests = build(root, &packages)?;
    let next = AtomicUsize::new(0);
    let sound = Sound::default();
    let worker = || {
        let mut verdicts = Vec::new();
        while let Some(seeded) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            verdicts.push((*seeded, verdict(seeded, &tests, &sound)));
        }
        verdicts
    };
    let verdicts = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        let mut verdicts = Vec::new();
        for worker in workers {
            verdicts.extend(worker.join().map_err(|_| anyhow!("a thread has panicked"))?);
        }
        anyhow::Ok(verdicts)
    })?;
    let mut escaped = Vec::new();
    let width = ALL.iter().map(|seeded| seeded.name.len()).max().unwrap_or(0);
    for (seeded, verdict) in verdicts {
        let verdict = verdict?;
        let word = verdict.unwrap_or("caught");
        println!(
            "{:width$}  {:3}  {word:8}  {} {}",
            seeded.name, seeded.breaks, seeded.package, seeded.caught_by
        );
        if verdict.is_some() {
            escaped.push(seeded.name);
        }
    }
    println!("{} of {} seeded bugs are caught", wanted.len() - escaped.len(), wanted.len());
    if !escaped.is_empty() {
        bail!("not caught as they should be: {}", escaped.join(", "));
    }
    Ok(())
}

/// What is wrong with how a bug is caught, if anything is.
fn verdict(seeded: &Seeded, tests: &Tests, sound: &Sound) -> anyhow::Result<Option<&'static str>> {
    let test = (seeded.package.to_owned(), seeded.caught_by.to_owned());
    let Some(program) = tests.get(&test) else { return Ok(Some("there is no such test")) };
    // Once for each test, as far as possible, and not for each bug.
    let known = sound.lock().unwrap_or_else(PoisonError::into_inner).get(&test).copied();
    let passes = match known {
        Some(passes) => passes,
        None => run(program, seeded, false)?,
    };
    sound.lock().unwrap_or_else(PoisonError::into_inner).insert(test, passes);
    Ok(match (passes, run(program, seeded, true)?) {
        (false, _) => Some("the test fails without it"),
        (true, true) => Some("NOT CAUGHT"),
        (true, false) => None,
    })
}

/// Builds the tests, and lists those of the packages.
fn build(root: &Path, packages: &BTreeSet<&str>) -> anyhow::Result<Tests> {
    let mut tests = Tests::new();
    for program in built::tests(root, &WHERE)? {
        if packages.contains(program.package.as_str()) {
            let program = Arc::new(program);
            for name in program.tests()? {
                tests.insert((program.package.clone(), name), program.clone());
            }
        }
    }
    Ok(tests)
}

/// Runs one test, with or without the bug. Returns whether it passes.
fn run(program: &TestProgram, seeded: &Seeded, with: bool) -> anyhow::Result<bool> {
    let mut command = program.command();
    command.args(["--exact", seeded.caught_by]);
    command.env_remove("DEPLOYD_SEEDED_BUG").stdout(Stdio::null()).stderr(Stdio::null());
    if with {
        command.env("DEPLOYD_SEEDED_BUG", seeded.name);
    }
    let mut child = command.spawn().with_context(|| format!("{command:?} can't be run"))?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if begun.elapsed() > TEST_MAX {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
