//! `cargo xtask bench hooks`: a burst of deliveries of a forge, to the real daemon,
//! beside announcing the same by CI.
//!
//! The practice cluster runs beside it on the same processors, and so does who sends.

use crate::command::run;
use crate::plugins;
use std::path::Path;
use std::process::Command;

/// Versions of each application that are told of.
const VERSIONS: usize = 10;

/// Builds the daemon with its plugins, and measures.
pub(crate) fn bench(root: &Path, applications: usize) -> anyhow::Result<()> {
    plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    let programs = super::programs(root, &["hooks", "deployd"])?;
    run(Command::new(programs.join("hooks"))
        .arg(programs.join("deployd"))
        .args([applications.to_string(), VERSIONS.to_string()]))
}
