//! The workspace's tests, built once and run one program after the other.
//!
//! Whatever is wanted of it, cargo is always asked for the whole workspace, and
//! told which targets: a package that is built by itself asks less of its
//! dependencies than all packages do together, and so has most of them compiled
//! once more. They are built once for all parts, with the places where a test ends
//! the daemon and the bugs that tests must catch: neither is there unless a variable
//! says so. The daemon as people run it, without both, is built for itself.
//!
//! They are compiled by clippy's driver, which is the compiler that lints what it
//! compiles: `cargo clippy` would go over everything, dependencies too, once more.

use crate::command::{cargo, run};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What programs of tests have and what people run has not.
const FEATURES: [&str; 2] = ["--features", "deployd/crash-points,deployd-core/seeded-bugs"];

/// A program of tests.
pub(crate) struct TestProgram {
    /// The package that it is of.
    pub(crate) package: String,
    /// Its target: the package's library, a binary or a file of tests.
    pub(crate) target: String,
    folder: PathBuf,
    program: PathBuf,
}

impl TestProgram {
    /// The command that runs it, as cargo would: in the folder of its package.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder);
        command
    }

    /// The names of its tests.
    pub(crate) fn tests(&self) -> anyhow::Result<Vec<String>> {
        let listed = self
            .command()
            .args(["--list", "--format", "terse"])
            .output()
            .with_context(|| format!("{} can't be run", self.program.display()))?;
        let text = String::from_utf8_lossy(&listed.stdout);
        Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }
}

/// What came of a build.
#[derive(Default)]
struct Built {
    programs: Vec<TestProgram>,
    /// What was warned of, as it is told to people.
    warnings: Vec<String>,
}

/// Builds programs of tests; `which` says which targets, all when it is empty.
pub(crate) fn tests(root: &Path, which: &[&str]) -> anyhow::Result<Vec<TestProgram>> {
    Ok(build(root, which)?.programs)
}

/// Builds them all, for what the compiler and clippy have to say of them.
///
/// # Errors
///
/// When they warn of anything.
pub(crate) fn lints(root: &Path) -> anyhow::Result<()> {
    let warnings = build(root, &[])?.warnings;
    ensure!(warnings.is_empty(), "{} warnings\n{}", warnings.len(), warnings.join("\n"));
    Ok(())
}

/// A command of cargo's that works on what tests are built as.
pub(crate) fn linting(root: &Path, arguments: &[&str]) -> anyhow::Result<Command> {
    let asked = Command::new("rustc")
        .current_dir(root)
        .args(["--print", "sysroot"])
        .output()
        .context("rustc can't be run")?;
    let sysroot = String::from_utf8(asked.stdout)?;
    let driver = Path::new(sysroot.trim()).join("bin/clippy-driver");
    ensure!(driver.exists(), "{} is not there; install clippy", driver.display());
    let mut command = cargo(root);
    command.args(arguments).args(FEATURES).env("RUSTC_WORKSPACE_WRAPPER", driver);
    Ok(command)
}

fn build(root: &Path, which: &[&str]) -> anyhow::Result<Built> {
    let mut command = linting(root, &["test", "--workspace", "--no-run"])?;
    command.args(which).args(["--message-format", "json"]);
    let output = command.stderr(Stdio::inherit()).output().context("the tests can't be built")?;
    let mut built = Built::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        if let Some(rendered) = text("/message/rendered") {
            eprintln!("{rendered}");
            built.warnings.push(rendered.to_owned());
        }
        let is_test = message.pointer("/profile/test") == Some(&Value::Bool(true));
        let (Some(program), Some(manifest), Some(target), true) =
            (text("/executable"), text("/manifest_path"), text("/target/name"), is_test)
        else {
            continue;
        };
        let manifest = Path::new(manifest);
        built.programs.push(TestProgram {
            package: package_of(manifest)?,
            target: target.to_owned(),
            folder: manifest.parent().unwrap_or(root).to_path_buf(),
            program: program.into(),
        });
    }
    ensure!(output.status.success(), "the tests could not be built: {command:?}");
    Ok(built)
}

/// What is built of a daemon. The test is a small one: with any at all, cargo asks as
/// much of dependencies as for all tests, and compiles none of them once more.
const DAEMON: [&str; 6] = ["build", "--workspace", "--bin", "deployd", "--test", "vault"];

/// Builds all programs of tests, and the daemon twice: the one that can be ended at
/// any write and effect, and last the one that people run.
pub(crate) fn with_daemons(root: &Path) -> anyhow::Result<Vec<TestProgram>> {
    let programs = tests(root, &[])?;
    run(&mut linting(root, &DAEMON)?)?;
    let (built, kept) = (root.join("target/debug/deployd"), root.join("target/crash-points"));
    fs::create_dir_all(&kept)?;
    fs::copy(&built, kept.join("deployd"))
        .with_context(|| format!("keeping the daemon with crash points, {}", built.display()))?;
    run(cargo(root).args(DAEMON))?;
    Ok(programs)
}

/// The name of the package that a manifest describes.
fn package_of(manifest: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(manifest)
        .with_context(|| format!("{} can't be read", manifest.display()))?;
    let table: toml::Table = text.parse()?;
    let name = table.get("package").and_then(|package| package.get("name")?.as_str());
    Ok(name.with_context(|| format!("{} names no package", manifest.display()))?.to_owned())
}
