//! Runs other programs, and says what was run when it fails.

use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Cargo, as the user has it.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
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

/// Runs to the end, shows each line as it comes, and hands it on. Returns
/// whether it has succeeded.
pub(crate) fn each_line(command: &mut Command, mut line: impl FnMut(&str)) -> anyhow::Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?} can't be run"))?;
    let output = child.stdout.take().context("no standard output")?;
    for text in BufReader::new(output).lines() {
        let text = text?;
        println!("{text}");
        line(&text);
    }
    Ok(child.wait()?.success())
}
