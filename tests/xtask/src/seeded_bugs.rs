//! `cargo xtask seeded-bugs`: switches bugs on, one at a time. The test that is
//! named for a bug must fail with it and pass without it.

use crate::built::{self, TestProgram};
use anyhow::{Context, bail};
use deployd_core::seeded::{ALL, Seeded};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Longer than any test takes on a busy machine. A bug may well make its test
/// hang, and that is a failure too.
const TEST_MAX: Duration = Duration::from_secs(120);

/// A test of a package, and the program that has it.
type Tests = BTreeMap<(String, String), Rc<TestProgram>>;

/// Which targets they are in. Everybody's core is the same one, so one feature
/// reaches all.
const WHERE: [&str; 7] =
    ["--lib", "--test", "engine", "--test", "store", "--features", "deployd-core/seeded-bugs"];

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
    let mut sound = BTreeMap::new();
    let mut escaped = Vec::new();
    let width = ALL.iter().map(|seeded| seeded.name.len()).max().unwrap_or(0);
    for seeded in &wanted {
        let test = (seeded.package.to_owned(), seeded.caught_by.to_owned());
        let verdict = match tests.get(&test) {
            None => Err("there is no such test"),
            Some(program) => {
                // Once for each test, not for each bug.
                let passes = match sound.get(&test) {
                    Some(passes) => *passes,
                    None => {
                        let passes = run(program, seeded, false)?;
                        sound.insert(test, passes);
                        passes
                    }
                };
                match (passes, run(program, seeded, true)?) {
                    (false, _) => Err("the test fails without it"),
                    (true, true) => Err("NOT CAUGHT"),
                    (true, false) => Ok(()),
                }
            }
        };
        let word = verdict.err().unwrap_or("caught");
        println!(
            "{:width$}  {:3}  {word:8}  {} {}",
            seeded.name, seeded.breaks, seeded.package, seeded.caught_by
        );
        if verdict.is_err() {
            escaped.push(seeded.name);
        }
    }
    println!("{} of {} seeded bugs are caught", wanted.len() - escaped.len(), wanted.len());
    if !escaped.is_empty() {
        bail!("not caught as they should be: {}", escaped.join(", "));
    }
    Ok(())
}

/// Builds the tests with the feature, and lists those of the packages.
fn build(root: &Path, packages: &BTreeSet<&str>) -> anyhow::Result<Tests> {
    let mut tests = Tests::new();
    for program in built::tests(root, &WHERE)? {
        if packages.contains(program.package.as_str()) {
            let program = Rc::new(program);
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
        std::thread::sleep(Duration::from_millis(10));
    }
}
