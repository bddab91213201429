//! Recorded failures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be done about a fault. Code decides on the class, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultClass {
    /// Trying again later may help.
    Transient,
    /// Somebody else owns or changed it.
    Conflict,
    /// The request can't be fulfilled as written.
    Invalid,
    /// Not allowed.
    Denied,
    /// Trying again will not help.
    Permanent,
    /// A plugin or deployd itself broke its contract.
    Bug,
}

/// A failure with all that its reader needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Stable and kebab-case, for programs and for looking up: `image-pull-failed`.
    pub code: String,
    /// What may be done about it.
    pub class: FaultClass,
    /// One or two sentences for a person: what happened, where, what to do.
    pub message: String,
    /// More, as a document; null when there is no more.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
    /// When the other side said when to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    /// A fault without detail.
    pub fn new(class: FaultClass, code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            class,
            message: message.into(),
            detail: serde_json::Value::Null,
            retry_after_ms: None,
        }
    }

    /// Trying again later may help.
    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultClass::Transient, code, message)
    }

    /// Somebody else owns or changed it.
    pub fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultClass::Conflict, code, message)
    }

    /// The request can't be fulfilled as written.
    pub fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultClass::Invalid, code, message)
    }

    /// Not allowed.
    pub fn denied(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultClass::Denied, code, message)
    }

    /// Trying again will not help.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultClass::Permanent, code, message)
    }

    /// A plugin or deployd itself broke its contract.
    pub fn bug(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultClass::Bug, code, message)
    }

    /// The same with a document of detail.
    #[must_use]
    pub fn with_detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = detail;
        self
    }

    /// The same with a wish when to come back.
    #[must_use]
    pub fn with_retry_after_ms(mut self, ms: Option<u64>) -> Self {
        self.retry_after_ms = ms;
        self
    }

    /// The same with what came of it put before it: `reason: message`.
    #[must_use]
    pub fn with_reason(mut self, reason: impl std::fmt::Display) -> Self {
        self.message = format!("{reason}: {}", self.message);
        self
    }

    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        self.class == FaultClass::Transient
    }
}
