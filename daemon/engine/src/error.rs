//! Why a request was refused or failed.

use deployd_core::Fault;
use deployd_core::compare::merge::Conflict as MergeConflict;
use deployd_core::ports::{StoreError, VaultError};
use deployd_core::views::AffectedResource;
use serde::{Deserialize, Serialize};

/// Something that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: a field, a document, a resource.
    pub place: String,
    /// What is wrong there, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// Why a request was refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The request can't be fulfilled as it is; all that is wrong with it.
    #[error("the request can't be fulfilled: {}", list(.problems))]
    Invalid {
        /// At least one.
        problems: Vec<Problem>,
    },
    /// It does not fit what is.
    #[error("{message}")]
    Conflict {
        /// What is in the way, and what to do.
        message: String,
    },
    /// Resources that are there would come from elsewhere.
    #[error(
        "resources that are there would come from another definition, or none: {}; force it if that is meant",
        affected(.resources)
    )]
    Affects {
        /// At least one.
        resources: Vec<AffectedResource>,
    },
    /// What changed on both sides.
    #[error(
        "both sides have changed {}, and differently; prefer ours or theirs, or make them the same first",
        paths(.conflicts)
    )]
    Unmerged {
        /// At least one.
        conflicts: Vec<MergeConflict>,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used before for a different request; choose another key")]
    KeyReuse,
    /// Something that was needed failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn affected(resources: &[AffectedResource]) -> String {
    let lines: Vec<String> = resources.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

fn paths(conflicts: &[MergeConflict]) -> String {
    let paths: Vec<&str> = conflicts.iter().map(|conflict| conflict.path.as_str()).collect();
    paths.join(", ")
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect();
    lines.join("; ")
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyReuse => Self::KeyReuse,
            other => Self::Store(other),
        }
    }
}

impl EngineError {
    /// There is no such thing.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::NotFound { what: what.to_string() }
    }

    /// One thing is wrong.
    pub(crate) fn invalid(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { problems: vec![Problem::new(place, message)] }
    }

    /// Whether another attempt may go better: the store did not answer, or somebody
    /// was quicker. What is damaged, or not there, stays so.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Store(error) if !matches!(error, StoreError::Damaged(_)))
    }

    /// Something that deployd itself wrote can't be read, or the like.
    pub(crate) fn bug(what: impl std::fmt::Display) -> Self {
        Self::Fault(Fault::bug("internal", what.to_string()))
    }

    /// As a step records it.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::NotFound { .. } | Self::Invalid { .. } => {
                let detail = match &self {
                    Self::Invalid { problems } => {
                        serde_json::to_value(problems).unwrap_or_default()
                    }
                    _ => serde_json::Value::Null,
                };
                Fault::invalid("invalid-request", self.to_string()).with_detail(detail)
            }
            Self::Conflict { message } => Fault::conflict("conflict", message),
            Self::Unmerged { .. } => Fault::conflict("unmerged", self.to_string()),
            Self::Affects { .. } => Fault::conflict("resources-affected", self.to_string()),
            Self::KeyReuse => Fault::conflict("idempotency-key-reuse", self.to_string()),
            // The store being busy or another one having been quicker passes.
            Self::Store(_) => Fault::transient("store", self.to_string()),
            Self::Vault(VaultError::Unresolved { ref fault, .. }) => {
                Fault { message: self.to_string(), ..Fault::clone(fault) }
            }
            Self::Vault(VaultError::Store(error)) => Fault::transient("store", error.to_string()),
            Self::Vault(error) => Fault::permanent("secret", error.to_string()),
        }
    }
}
