//! What can go wrong, by what was tried.

use std::io;
use std::path::PathBuf;

use deployd_core::ports::{StoreError, VerifyReport};

use crate::sealed::Findings;

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or this one, has it open.
    #[error("{path} is in use by another process; only one can have a store open")]
    InUse {
        /// The store.
        path: String,
    },
    /// It was written by a later version of deployd.
    #[error(
        "{path} has version {found} of the format, and this version of deployd knows versions up \
         to {supported}: use the version that wrote it, or a later one"
    )]
    Newer {
        /// The store.
        path: String,
        /// The version in the file.
        found: u32,
        /// The last version that is known.
        supported: u32,
    },
    /// It is something else than a store.
    #[error("{path} is no store of deployd: {why}")]
    NotAStore {
        /// The file.
        path: String,
        /// What was expected and is not there.
        why: String,
    },
    /// It was a store and can't be read as one.
    #[error("{path} is damaged: {why}; restore a backup")]
    Damaged {
        /// The store.
        path: String,
        /// What was found.
        why: String,
    },
    /// The file can't be opened, created, read or written.
    #[error("can't open {path}: {source}")]
    Io {
        /// The store.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl OpenError {
    /// The same about another path.
    pub(crate) fn at(self, path: &std::path::Path) -> Self {
        let path = path.display().to_string();
        match self {
            Self::InUse { .. } => Self::InUse { path },
            Self::Newer { found, supported, .. } => Self::Newer { path, found, supported },
            Self::NotAStore { why, .. } => Self::NotAStore { path, why },
            Self::Damaged { why, .. } => Self::Damaged { path, why },
            Self::Io { source, .. } => Self::Io { path, source },
        }
    }
}

/// Why a backup was not restored. Nothing is at the target then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A restore never replaces a store.
    #[error("{} exists already; move it away first", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The copy can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy is not what was written.
    #[error(
        "the backup does not verify: {} broken chains, {} damaged records",
        report.broken.len(), report.damaged.len()
    )]
    Unsound {
        /// What is wrong with it.
        report: Box<VerifyReport>,
    },
    /// Copying failed.
    #[error("can't write {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a step within a transaction did not go through.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This request is refused; others are not concerned.
    Refused(StoreError),
    /// The database failed.
    Database(Box<redb::Error>),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// Whether what is in the file is the reason, and not what was asked, nor a
    /// disk that fails.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Refused(error) => matches!(error, StoreError::Damaged(_)),
            Self::Database(error) => matches!(**error, redb::Error::Corrupted(_)),
        }
    }

    /// The answer to a read of `what` that failed so.
    pub(crate) fn of_read(self, what: &str, findings: &Findings) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) => match *error {
                redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                    StoreError::Stopped(format!("reading {what} failed: {error}"))
                }
                error => damaged(what, &error.to_string(), findings),
            },
        }
    }
}

/// What to say of `what` when it can't be read any more.
pub(crate) fn damaged(what: &str, otherwise: &str, findings: &Findings) -> StoreError {
    StoreError::Damaged(format!("{what}: {}", findings.describe(otherwise)))
}

/// A failure of what was to be read again and is no such thing.
pub(crate) fn damaged_entry(what: String) -> Failure {
    Failure::Refused(StoreError::Damaged(what))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

macro_rules! database_failures {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}

database_failures!(
    redb::StorageError,
    redb::TableError,
    redb::CommitError,
    redb::TransactionError,
    redb::DatabaseError,
    redb::SetDurabilityError
);
