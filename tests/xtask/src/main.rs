//! `cargo xtask …`: what has to be done around the daemon, one file per job.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people at a terminal")]

mod apt;
mod bench;
mod built;
mod clients;
mod command;
mod demo;
mod fuzz;
mod plugins;
mod promises;
#[allow(
    dead_code,
    unexpected_cfgs,
    unreachable_pub,
    reason = "the core's own file: the table is wanted, and not all of the core built for it"
)]
#[path = "../../../daemon/core/src/seeded.rs"]
mod seeded;
mod seeded_bugs;
mod sim;
mod tally;
mod test;
mod tools;
mod watched;
mod wit_check;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sim::Simulated;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Builds plugins, and checks the contracts.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Build everything and run the main job end to end.
    Demo {
        /// Passed on to `deployd demo`: --once, --kubeconfig FILE, ...
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install what the tests need, and run all of them.
    Test {
        /// Only these parts, with commas between them.
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<test::Part>,
        /// For hours: every pair of faults, more seeds, kills and fuzzing.
        #[arg(long)]
        long: bool,
    },
    /// Measure one thing, beside what others use for it.
    Bench {
        name: bench::Name,
        #[command(flatten)]
        amount: bench::Amount,
    },
    /// Switch bugs on, one at a time: each must be caught by its test.
    SeededBugs {
        /// Only this one.
        name: Option<String>,
    },
    /// Have a fuzzer make up what strangers send.
    Fuzz {
        /// Only this target.
        target: Option<String>,
        /// For so long, each.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Simulate the whole core, by seed.
    Sim {
        /// So many seeds, from 0 on or from `--seed`.
        #[arg(long)]
        seeds: Option<u64>,
        /// The first seed; alone, only this one, with the shortest history that
        /// fails.
        #[arg(long)]
        seed: Option<u64>,
        /// Programs of strategies, in place of requests.
        #[arg(long)]
        rollouts: bool,
    },
    /// Build the plugins of this repository into target/plugins.
    Plugins,
    /// Install what the tests use into target/tools: kubectl, helm, OpenBao.
    Tools,
    /// Work on a plugin of your own.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Compare the contracts in wit/ with the released ones.
    WitCheck {
        /// Record the contracts that are not released yet; from then on they are frozen.
        #[arg(long)]
        release: bool,
    },
}

#[derive(Subcommand)]
enum Plugin {
    /// Build one plugin, or a workspace of plugins, into components.
    Build {
        /// A folder with a plugin.toml, or one whose sub-folders have them.
        folder: PathBuf,
        /// Where the components go [default: FOLDER/target/plugins].
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(job: Job) -> anyhow::Result<()> {
    let root = repository()?;
    match job {
        Job::Demo { arguments } => demo::demo(&root, &arguments),
        Job::Test { only, long } => test::test(&root, &only, long),
        Job::Bench { name, amount } => bench::bench(&root, name, amount),
        Job::SeededBugs { name } => seeded_bugs::seeded_bugs(&root, name.as_deref()),
        Job::Fuzz { target, seconds } => fuzz::fuzz(&root, target.as_deref(), seconds),
        Job::Sim { seeds, seed, rollouts } => {
            let what = if rollouts { Simulated::Rollouts } else { Simulated::Core };
            match (seeds, seed) {
                (None, Some(seed)) => sim::one(&root, what, seed),
                _ => sim::many(&root, what, seed.unwrap_or(0), seeds.unwrap_or(sim::SEEDS)),
            }
        }
        Job::Plugins => plugins::build(&root.join("plugins"), &root.join("target/plugins")),
        Job::Tools => {
            clients::install(&root)?;
            tools::openbao(&root)
        }
        Job::Plugin(Plugin::Build { folder, out }) => {
            let out = out.unwrap_or_else(|| folder.join("target/plugins"));
            plugins::build(&folder, &out)
        }
        Job::WitCheck { release } => wit_check::run(&root.join("wit"), release),
    }
}

/// Where the repository is: two folders above this crate.
fn repository() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("xtask has moved: its repository should be two folders above")
}
