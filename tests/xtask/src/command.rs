//! Runs other programs, and says what was run when it fails.

use anyhow::{Context, bail};
use std::path::Path;
use std::process::Command;

/// Cargo, as the user has it.
///
/// Without what cargo has told this program of its own package: build scripts
/// that look at it would run again, and all that depends on them be built again,
/// whenever a person has used cargo in between.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs to the end; an error when it does not succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?} can't be run"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
