//! `cargo xtask seeded-bugs`: switches bugs on, one at a time. The test that is
//! named for a bug must fail with it and pass without it.

use crate::command::cargo;
use anyhow::{Context, bail};
use deployd_core::seeded::{ALL, Seeded};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any test takes on a busy machine. A bug may well make its test
/// hang, and that is a failure too.
const TEST_MAX: Duration = Duration::from_secs(120);

/// A test of a package, and the binary that has it.
type Tests = BTreeMap<(String, String), PathBuf>;

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
            Some(binary) => {
                // Once for each test, not for each bug.
                let passes = match sound.get(&test) {
                    Some(passes) => *passes,
                    None => {
                        let passes = run(root, binary, seeded, false)?;
                        sound.insert(test, passes);
                        passes
                    }
                };
                match (passes, run(root, binary, seeded, true)?) {
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

/// Builds the packages' tests with the feature, and lists them.
fn build(root: &Path, packages: &BTreeSet<&str>) -> anyhow::Result<Tests> {
    let mut command = cargo(root);
    command.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    // Everybody's core is the same one, so one feature reaches all.
    command.args(["--package", "deployd-core", "--features", "deployd-core/seeded-bugs"]);
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command.stderr(Stdio::inherit()).output().context("the tests can't be built")?;
    if !output.status.success() {
        bail!("the tests could not be built: {command:?}");
    }
    let mut tests = Tests::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        let is_test = message.pointer("/profile/test") == Some(&Value::Bool(true));
        let (Some(binary), Some(manifest), true) =
            (text("/executable"), text("/manifest_path"), is_test)
        else {
            continue;
        };
        let package = package_of(Path::new(manifest), packages)?;
        let Some(package) = package else { continue };
        let listed = Command::new(binary)
            .args(["--list", "--format", "terse"])
            .output()
            .with_context(|| format!("{binary} can't be run"))?;
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            if let Some(name) = line.strip_suffix(": test") {
                tests.insert((package.clone(), name.to_owned()), PathBuf::from(binary));
            }
        }
    }
    Ok(tests)
}

/// The name of the package that a manifest describes, if it is wanted.
fn package_of(manifest: &Path, packages: &BTreeSet<&str>) -> anyhow::Result<Option<String>> {
    let text = std::fs::read_to_string(manifest)
        .with_context(|| format!("{} can't be read", manifest.display()))?;
    let manifest: toml::Table = text.parse()?;
    let name = manifest.get("package").and_then(|package| package.get("name"));
    let name = name.and_then(toml::Value::as_str).unwrap_or_default();
    Ok(packages.contains(name).then(|| name.to_owned()))
}

/// Runs one test, with or without the bug. Returns whether it passes.
fn run(root: &Path, binary: &Path, seeded: &Seeded, with: bool) -> anyhow::Result<bool> {
    let mut command = Command::new(binary);
    command.args(["--exact", seeded.caught_by]).current_dir(root);
    // As cargo runs tests: in the folder of their package.
    if let Some(folder) = seeded.package.strip_prefix("deployd-") {
        command.current_dir(root.join("daemon").join(folder));
    }
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
