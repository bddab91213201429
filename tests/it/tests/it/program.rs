//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Which build of the daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build {
    /// The one that people run.
    Plain,
    /// The one that can be ended at any write and effect.
    CrashPoints,
}

impl Build {
    pub(crate) fn path(self) -> PathBuf {
        let path = match self {
            Self::Plain => "target/debug/deployd",
            Self::CrashPoints => "target/crash-points/deployd",
        };
        let path = root().join(path);
        assert!(
            path.exists(),
            "{} is not there; `cargo xtask test --only black-box` builds it",
            path.display()
        );
        path
    }

    /// The program, with nothing of this process's settings of deployd.
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(self.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DEPLOYD_")) {
            command.env_remove(name);
        }
        command
    }
}

/// What a command that ends by itself has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `deployd` with these arguments to its end.
pub(crate) async fn deployd<const N: usize>(arguments: [&str; N]) -> Said {
    let mut command = Build::Plain.command();
    command.args(arguments);
    ended(command).await
}

/// Runs a command to its end.
pub(crate) async fn ended(mut command: Command) -> Said {
    tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
}
