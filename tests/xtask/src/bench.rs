//! `cargo xtask bench NAME`: measures one thing beside what others use for it.
//!
//! How to read what it says: times depend on the machine and on what else it
//! does, so a goal is a ratio within one run. Contenders take turns, a block
//! each; a ratio is the median over all blocks, and a goal is reached when the
//! lower end of its 95 % confidence interval reaches it ([`blocks`]). The last
//! line is one JSON object, for machines; the exit code says whether all goals
//! are reached.

mod apply;
mod blocks;
mod deploy;
mod git;
mod go_peer;
mod history;
mod hooks;
mod hostile;
mod intake;
mod plugin_call;
mod provision;
mod render;
mod report;
mod rollout;

use crate::command::{cargo, run};
use anyhow::bail;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// 500 objects are applied, and applied again, beside kubectl.
    Apply,
    /// A call of a plugin, beside go-plugin and processes; loading all plugins.
    PluginCall,
    /// An application becomes manifests, beside Helm and Kustomize.
    Render,
    /// Databases and names on real servers, beside a native program.
    Provision,
    /// Calls of a good plugin, by itself and beside hostile ones.
    Hostile,
    /// Requests taken for good, beside PostgreSQL and Restate.
    Intake,
    /// Questions about the past of a store with a long history, beside PostgreSQL
    /// and SQLite.
    History,
    /// 10,000 deliveries of a forge for 1,000 applications, beside announcing the same.
    Hooks,
    /// Deployments to a repository of 500 environments, beside a pipeline with the `git`
    /// program.
    Git,
    /// Whole deployments: many at once, one more in a long history, starts,
    /// memory.
    Deploy,
    /// Rollouts under way: what they cost, how soon a failed pod is answered,
    /// memory over a week.
    Rollout,
}

/// How much is measured.
#[derive(Clone, clap::Args)]
pub(crate) struct Amount {
    /// Turns that each contender takes.
    #[arg(long, default_value_t = 21)]
    blocks: usize,
    /// Environments to deploy to, for `deploy`.
    #[arg(long, default_value_t = 1_000)]
    environments: usize,
    /// Deployments in the longer history, for `deploy`.
    #[arg(long, default_value_t = 20_000)]
    history: usize,
    /// Applications with a history in four environments each, for `history`; that a forge
    /// tells of, for `hooks`.
    #[arg(long, default_value_t = 1_000)]
    applications: usize,
    /// Versions that each of them had, for `history`: 250 make a million
    /// deployments.
    #[arg(long, default_value_t = 250)]
    versions: usize,
    /// Canaries under way at once, for `rollout`.
    #[arg(long, default_value_t = 500)]
    rollouts: usize,
    /// Canaries that have a week's checks in 17 minutes, for `rollout`; none for 0.
    #[arg(long, default_value_t = 10)]
    weeks: usize,
    /// A folder for the stores of `history`, to be asked again without making them
    /// anew.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Builds programs, as they are shipped; gives the folder that they are in.
/// Both packages are named, whatever is built: with fewer, their dependencies
/// would be built with fewer features, and so once more.
fn programs(root: &Path, names: &[&str]) -> anyhow::Result<PathBuf> {
    eprintln!("   Building {}, optimised: minutes, the first time", names.join(" and "));
    let mut command = cargo(root);
    command.args(["build", "--release", "--package", "deployd", "--package", "bench"]);
    for name in names {
        command.args(["--bin", name]);
    }
    run(&mut command)?;
    Ok(root.join("target/release"))
}

/// Measures, prints a table and a line of JSON; an error when a goal is missed.
pub(crate) fn bench(root: &Path, name: Name, amount: Amount) -> anyhow::Result<()> {
    let Amount { blocks, environments, history, applications, versions, rollouts, weeks, keep } =
        amount;
    let report = match name {
        Name::Apply => apply::bench(root, blocks)?,
        // It has no contenders that take turns, and makes its report itself.
        Name::Deploy => return deploy::bench(root, environments, history),
        Name::Git => git::bench(root, blocks)?,
        Name::PluginCall => plugin_call::bench(root, blocks)?,
        Name::Render => render::bench(root, blocks)?,
        Name::Provision => provision::bench(root, blocks)?,
        Name::History => history::bench(root, blocks, applications, versions, keep.as_deref())?,
        Name::Hooks => return hooks::bench(root, applications),
        Name::Hostile => hostile::bench(root, blocks)?,
        Name::Rollout => return rollout::bench(root, rollouts, weeks),
        Name::Intake => return intake::bench(root, blocks),
    };
    print!("{report}");
    println!("{}", report.json());
    if !report.ok() {
        bail!("a goal is missed");
    }
    Ok(())
}
