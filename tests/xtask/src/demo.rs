//! `cargo xtask demo`: builds everything, then runs `deployd demo`.

use crate::command::{cargo, run};
use crate::plugins;
use std::path::Path;
use std::process::Command;

/// Builds plugins and daemon, and runs the demo with these arguments.
pub(crate) fn demo(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    plugins::build(&root.join("plugins"), &root.join("target/plugins"))?;
    run(cargo(root).args(["build", "--package", "deployd"]))?;
    run(Command::new(root.join("target/debug/deployd")).arg("demo").args(arguments))
}
