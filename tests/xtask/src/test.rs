//! `cargo xtask test`: installs what the tests need, and runs all of them.

use crate::command::{cargo, run};
use crate::tally::Tally;
use crate::{apt, clients, fuzz, plugins, promises, seeded_bugs, sim, tools, wit_check};
use anyhow::Context;
use clap::ValueEnum;
use std::fs;
use std::path::Path;

/// A part of the tests.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Formatting and lints.
    Lints,
    /// The contracts in wit/, and the numbers of promises in names of tests.
    Contracts,
    /// Everything of the daemon but what follows.
    Daemon,
    /// The practice cluster, by its own tests and by kubectl and helm; those two
    /// against the cluster that DEPLOYD_TEST_KUBECONFIG names, if it names one.
    Practice,
    /// The client of clusters; against the cluster that DEPLOYD_TEST_KUBECONFIG
    /// names, else against the practice cluster.
    Cluster,
    /// Plugins, natively.
    Plugins,
    /// Bugs on purpose, each of which a test must catch.
    SeededBugs,
    /// The daemon as its users run it: the demo, crashes, bad input.
    BlackBox,
    /// Its HTTP interface: everything that its document describes, asked for by
    /// schemathesis, and hostile clients.
    Http,
    /// What fuzzers have found, and a few seconds of each; `cargo xtask fuzz`
    /// runs longer.
    Fuzz,
}

const ALL: [Part; 10] = [
    Part::Lints,
    Part::Contracts,
    Part::Daemon,
    Part::Practice,
    Part::Cluster,
    Part::Plugins,
    Part::SeededBugs,
    Part::BlackBox,
    Part::Http,
    Part::Fuzz,
];

/// How long each fuzz target runs among the tests.
const FUZZ_SECONDS: u32 = 60;

/// With `--long`: so many seconds for each fuzz target, seeds of the simulation,
/// and kills of the daemon. About nine hours on two processors.
const LONG_FUZZ_SECONDS: u32 = 3_600;
const LONG_SEEDS: u64 = 20_000;
const LONG_KILLS: &str = "10000";

/// Asks for what an OpenAPI document describes.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// The black-box tests that are the part [`Part::Http`].
const OF_HTTP: [&str; 2] = ["conformance::", "hostile::"];

/// Packages that have a part of their own.
const APART: [&str; 3] = ["deployd-cluster", "deployd-practice", "it"];

/// What black-box tests need beside the daemon.
const BLACK_BOX_PACKAGES: [&str; 1] = ["libfaketime"];

/// Builds the daemon twice: one that can be ended at any write and effect, and
/// the one that people run. One target folder, so that dependencies are built
/// once.
fn build_daemons(root: &Path) -> anyhow::Result<()> {
    let built = root.join("target/debug/deployd");
    let features = ["--features", "crash-points"];
    run(cargo(root).args(["build", "--package", "deployd"]).args(features))?;
    let kept = root.join("target/crash-points");
    fs::create_dir_all(&kept)?;
    fs::copy(&built, kept.join("deployd")).context("keeping the daemon with crash points")?;
    run(cargo(root).args(["build", "--package", "deployd"]))
}

/// Runs the tests, all or some parts, each for longer if so wanted; an error when
/// any fails.
pub(crate) fn test(root: &Path, only: &[Part], long: bool) -> anyhow::Result<()> {
    let wanted = |part: Part| only.is_empty() || only.contains(&part);
    let mut tally = Tally::default();
    let needs_plugins =
        [Part::Daemon, Part::BlackBox, Part::Http, Part::Lints].into_iter().any(wanted);
    if needs_plugins {
        plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    }
    for part in ALL.into_iter().filter(|part| wanted(*part)) {
        match part {
            Part::Lints => {
                tally.begin("formatting and lints");
                tally.check("formatting", run(cargo(root).args(["fmt", "--all", "--check"])));
                let mut clippy = cargo(root);
                clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
                tally.check("lints", run(&mut clippy));
            }
            Part::Contracts => {
                tally.begin("contracts");
                tally.check("contracts", wit_check::run(&root.join("wit"), false));
                tally.check("promises", promises::check(root));
            }
            Part::Daemon => {
                let mut command = cargo(root);
                command.args(["test", "--workspace", "--no-fail-fast"]);
                for package in APART {
                    command.args(["--exclude", package]);
                }
                if long {
                    command.env("DEPLOYD_LONG", "1");
                }
                tally.tests("the daemon", &mut command)?;
                if long {
                    tally.begin("the simulation");
                    tally.check("the simulation", sim::many(root, 0, LONG_SEEDS));
                }
            }
            Part::Practice => {
                clients::install(root).context("installing what the tests need")?;
                let mut command = cargo(root);
                command.args(["test", "--package", "deployd-practice", "--no-fail-fast"]);
                tally.tests("the practice cluster", &mut command)?;
            }
            Part::Cluster => {
                let mut command = cargo(root);
                command.args(["test", "--package", "deployd-cluster", "--no-fail-fast"]);
                tally.tests("the client of clusters", &mut command)?;
            }
            Part::Plugins => {
                let mut command = cargo(&root.join("plugins"));
                command.args(["test", "--workspace", "--no-fail-fast"]);
                tally.tests("plugins", &mut command)?;
            }
            Part::SeededBugs => {
                tally.begin("seeded bugs");
                tally.check("seeded bugs", seeded_bugs::seeded_bugs(root, None));
            }
            Part::BlackBox => {
                apt::need(&BLACK_BOX_PACKAGES, "a test with a clock that jumps")?;
                build_daemons(root)?;
                let mut command = cargo(root);
                command.args(["test", "--package", "it", "--no-fail-fast", "--"]);
                for test in OF_HTTP {
                    command.args(["--skip", test]);
                }
                if long {
                    command.env("DEPLOYD_TEST_KILLS", LONG_KILLS);
                }
                tally.tests("the daemon as its users run it", &mut command)?;
            }
            Part::Http => {
                tools::python(root, "schemathesis", &[SCHEMATHESIS])?;
                run(cargo(root).args(["build", "--package", "deployd"]))?;
                let mut command = cargo(root);
                command.args(["test", "--package", "it", "--no-fail-fast", "--"]).args(OF_HTTP);
                tally.tests("the HTTP interface", &mut command)?;
            }
            Part::Fuzz => {
                tally.begin("fuzzing");
                let seconds = if long { LONG_FUZZ_SECONDS } else { FUZZ_SECONDS };
                for (target, result) in fuzz::briefly(root, seconds)? {
                    tally.check(&format!("fuzzing {target}"), result);
                }
            }
        }
    }
    tally.report()
}
