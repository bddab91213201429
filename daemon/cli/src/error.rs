//! Why a command had no success.

use std::path::Path;

use deployd_config::{DocumentError, ExportError};

use crate::client::Problem;
use crate::exit;

/// Why a command had no success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// Arguments do not fit together.
    #[error("{0}")]
    Usage(String),
    /// The daemon can't be reached, or does not answer in time.
    #[error("deployd at {server} can't be reached: {reason}")]
    Unreachable {
        /// Where it should be.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// The daemon said no.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The daemon answered something that can't be understood.
    #[error("the answer of {server} can't be understood: {reason}")]
    Answer {
        /// Who answered.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was given can't be read as what it should be.
    #[error("{0}")]
    Input(String),
    /// Documents have errors.
    #[error("{}", deployd_config::render(.0))]
    Documents(Vec<DocumentError>),
    /// Something on this machine failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What was asked failed.
    #[error("{0}")]
    Failed(String),
    /// Whoever reads the output has gone.
    #[error("nobody reads the output any more")]
    Closed,
    /// Interrupted from the keyboard.
    #[error("{0}")]
    Interrupted(String),
}

impl CliError {
    /// The exit code that tells of it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Unreachable { .. } => exit::UNREACHABLE,
            Self::Problem(problem) => problem.exit_code(),
            Self::Answer { .. } => exit::DAEMON,
            Self::Input(_) | Self::Documents(_) => exit::INVALID,
            Self::Io { .. } | Self::Failed(_) => exit::FAILED,
            Self::Closed => exit::OK,
            Self::Interrupted(_) => exit::INTERRUPTED,
        }
    }

    /// A file that can't be read or written.
    pub(crate) fn file(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { what: path.as_ref().display().to_string(), source }
    }
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Writing to standard output.
impl From<std::io::Error> for CliError {
    fn from(source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Self::Io { what: "output".to_owned(), source }
    }
}
