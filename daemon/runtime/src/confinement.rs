//! The process as a whole, before it has threads: it starts the one process that
//! starts compilers, and then takes away from itself what it does not need.
//!
//! The program is also what those processes run, under two names that are no
//! commands for people; see `deployd_host::compiler`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::Context as _;
use deployd_host::compiler::{self, Supervisor};

use crate::sandbox::{self, Confined, Lock, Reach};
use crate::settings::{CompilerSettings, SandboxSettings};

/// The first argument of the process that starts compilers.
const SUPERVISOR: &str = "compiler-supervisor";
/// The first argument of a process that compiles.
const WORKER: &str = "compile-plugin";
/// This very program, also when another stands at its path by now.
const PROGRAM: &str = "/proc/self/exe";

/// Runs what this process was started for by another of ours; none if it was
/// started by anybody else.
pub(crate) fn other_process() -> Option<ExitCode> {
    let role = std::env::args_os().nth(1)?;
    let ended = if role == SUPERVISOR {
        compiler::supervise(|| ourselves(WORKER))
    } else if role == WORKER {
        compiler::work(|cache| sandbox::confine_compiler(cache).map_err(|error| error.to_string()))
    } else {
        return None;
    };
    Some(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ourselves(role: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    // What the daemon was told in its environment is not for compilers.
    command.arg(role).env_clear();
    command
}

/// How long a daemon's state lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// Longer than the daemon.
    ForEver,
    /// It goes with the process.
    UntilTheEnd,
}

/// Starts the process that starts compilers.
pub(crate) fn start_supervisor(settings: &CompilerSettings) -> io::Result<Arc<Supervisor>> {
    Supervisor::start(ourselves(SUPERVISOR), settings.limits()).map(Arc::new)
}

/// Confines a daemon that keeps its state in `data`, and reads `secrets` where
/// they are there. What can't be confined is
/// said in the log, and is an error only if the operator wants it to be.
///
/// To be called before there is any thread beside this one: others would not
/// be confined.
pub(crate) fn confine(
    settings: &SandboxSettings,
    data: &Path,
    secrets: &[PathBuf],
    lasts: Lasts,
) -> anyhow::Result<()> {
    if !settings.enabled {
        tracing::warn!(
            "sandbox.enabled is false: a plugin that breaks out of its sandbox \
             can do whatever this user can"
        );
        return Ok(());
    }
    make_folder(data)?;
    let mut reach = Reach::daemon(data).and(&settings.read, &settings.write);
    if lasts == Lasts::UntilTheEnd {
        reach = reach.and_itself_removed(data);
    }
    for path in cluster_files().iter().chain(secrets) {
        reach = reach.and_if_there(path);
    }
    let confined = sandbox::confine(&reach).context(
        "the daemon can't confine itself; paths of sandbox.read and sandbox.write must be there, \
         and sandbox.enabled = false goes without",
    )?;
    tell(&confined);
    Ok(())
}

/// Where clients of Kubernetes find what they log in with.
fn cluster_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/var/run/secrets/kubernetes.io")];
    match std::env::var_os("KUBECONFIG") {
        Some(paths) => files.extend(std::env::split_paths(&paths)),
        None => files.extend(std::env::home_dir().map(|home| home.join(".kube"))),
    }
    files
}

fn make_folder(data: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| data.display().to_string())
}

fn tell(confined: &Confined) {
    match &confined.files {
        Lock::Holds => {}
        Lock::InPart => {
            tracing::warn!("this kernel's Landlock is an old one: files are confined in part")
        }
        Lock::Missing => tracing::warn!(
            "this kernel has no Landlock (Linux 5.13, lsm=landlock): \
             the daemon can open all files of its user"
        ),
    }
    match &confined.calls {
        Lock::Holds => {}
        Lock::InPart | Lock::Missing => {
            tracing::warn!("this kernel has no seccomp: the daemon could execute programs")
        }
    }
    tracing::info!(landlock = ?confined.files, seccomp = ?confined.calls, "the daemon is confined");
}
