//! What the daemon takes away from itself before it listens: a mistake in the
//! code that compiled plugins run in, or in any other, is then not yet a shell.
//!
//! Two locks of the kernel, both for good, and both for threads that are started
//! later: [`confine`] is called before there are any.
//!
//! - Landlock ([`files`]): which files can be opened.
//! - seccomp ([`calls`]): which system calls are answered with "not permitted";
//!   above all, no program can be executed.
//!
//! A kernel without one of them is no reason not to serve: the log says so, and
//! `deployd doctor` does.

mod calls;
mod files;

use std::path::{Path, PathBuf};

pub(crate) use files::Reach;

/// How a lock is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lock {
    /// It holds.
    Holds,
    /// It holds in part: the kernel does not know all of it.
    InPart,
    /// The kernel does not have it.
    Missing,
}

/// What came of [`confine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confined {
    pub(crate) files: Lock,
    pub(crate) calls: Lock,
}

/// Why the process is not confined, on a kernel that could.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("Landlock: {0}")]
    Files(#[from] landlock::RulesetError),
    #[error("Landlock: {path}: {source}")]
    Path { path: PathBuf, source: std::io::Error },
    #[error("seccomp: {0}")]
    Calls(#[from] seccompiler::Error),
    #[error("seccomp: {0}")]
    Backend(#[from] seccompiler::BackendError),
}

/// Confines the calling thread, and all that it starts from now on.
pub(crate) fn confine(reach: &Reach) -> Result<Confined, ConfineError> {
    Ok(Confined { files: files::restrict(reach)?, calls: calls::restrict(calls::Who::Daemon)? })
}

/// Confines a process that compiles: no files but the cache's, no network.
pub(crate) fn confine_compiler(cache: &Path) -> Result<(), ConfineError> {
    files::restrict(&Reach::compiler(cache))?;
    calls::restrict(calls::Who::Compiler)?;
    Ok(())
}

/// What this kernel has, without using it.
pub(crate) fn offered() -> Confined {
    Confined { files: files::offered(), calls: calls::offered() }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::Command;

    use super::*;

    /// Set for the process that a test starts to be confined.
    const INSIDE: &str = "DEPLOYD_TEST_CONFINED";

    /// Runs one test of this program in a process of its own, which confines
    /// itself: what is taken away never comes back.
    fn in_a_process(test: &str) -> bool {
        if std::env::var_os(INSIDE).is_some() {
            return true;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &format!("sandbox::tests::{test}"),
                "--nocapture",
                "--test-threads=1",
            ])
            .env(INSIDE, folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        false
    }

    fn folder() -> PathBuf {
        std::env::var_os(INSIDE).unwrap().into()
    }

    fn denied<T: std::fmt::Debug>(result: std::io::Result<T>) {
        assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_confined_daemon_reaches_its_own_files_and_executes_nobody() {
        if !in_a_process("a_confined_daemon_reaches_its_own_files_and_executes_nobody") {
            return;
        }
        let data = folder().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(folder().join("outside"), "secret").unwrap();
        let confined = confine(&Reach::daemon(&data)).unwrap();
        if confined.files == Lock::Missing || confined.calls == Lock::Missing {
            // This kernel has less: nothing to see, and nothing claimed.
            assert_eq!(confined, offered());
            return;
        }
        // Threads that are started later are confined as well.
        std::thread::spawn(move || {
            std::fs::write(data.join("store"), "x").unwrap();
            std::fs::rename(data.join("store"), data.join("store-2")).unwrap();
            denied(std::fs::read(folder().join("outside")));
            denied(std::fs::write(folder().join("new"), "x"));
            denied(std::fs::read("/etc/passwd"));
            std::fs::read("/etc/hosts").unwrap();
            denied(Command::new("/bin/true").status());
            denied(Command::new(std::env::current_exe().unwrap()).status());
            // The network is what a daemon is for.
            TcpListener::bind(("127.0.0.1", 0)).unwrap();
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_confined_compiler_has_no_network_either() {
        if !in_a_process("a_confined_compiler_has_no_network_either") {
            return;
        }
        let cache = folder().join("cache");
        std::fs::create_dir(&cache).unwrap();
        confine_compiler(&cache).unwrap();
        if offered().calls == Lock::Missing || offered().files == Lock::Missing {
            return;
        }
        std::fs::write(cache.join("entry"), "x").unwrap();
        denied(std::fs::write(folder().join("new"), "x"));
        denied(std::fs::read("/etc/hosts"));
        denied(TcpListener::bind(("127.0.0.1", 0)));
        denied(Command::new("/bin/true").status());
    }
}
