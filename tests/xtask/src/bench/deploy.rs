//! `cargo xtask bench deploy`: whole deployments by the real daemon.
//!
//! It runs on its own: nobody else's tool does the same work. The practice
//! cluster runs beside it on the same processors, and the figures say how much
//! of their time was the daemon's.

use crate::command::run;
use crate::plugins;
use std::path::Path;
use std::process::Command;

/// Builds the daemon with its plugins, and measures.
pub(crate) fn bench(root: &Path, environments: usize, history: usize) -> anyhow::Result<()> {
    plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    let programs = super::programs(root, &["deploy", "deployd"])?;
    run(Command::new(programs.join("deploy"))
        .arg(programs.join("deployd"))
        .args([environments.to_string(), history.to_string()]))
}
