//! `cargo xtask bench rollout`: rollouts under way, by the real daemon.
//!
//! It runs on its own: Argo Rollouts and Flagger need a cluster that runs
//! containers. The practice cluster runs beside the daemon on the same processors;
//! what is said of processor time is the daemon's alone.

use crate::command::run;
use crate::plugins;
use std::path::Path;
use std::process::Command;

/// Builds the daemon with its plugins, and measures.
pub(crate) fn bench(root: &Path, rollouts: usize, weeks: usize) -> anyhow::Result<()> {
    plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    let programs = super::programs(root, &["rollout", "deployd"])?;
    run(Command::new(programs.join("rollout"))
        .arg(programs.join("deployd"))
        .args([rollouts.to_string(), weeks.to_string()]))
}
