//! Where a call belongs, and how long work waits.

use std::time::Duration;

/// Where a call belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The application's name.
    pub application: String,
    /// The environment's name.
    pub environment: String,
    /// The environment's type, such as `production`.
    pub environment_type: String,
    /// The deployment that caused the call; empty for a drift check or a preview.
    pub deployment: String,
}

/// Where long work stands. The host waits, not the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Handed back unchanged with the next call.
    pub token: String,
    /// When to ask again.
    pub poll_after: Duration,
    /// What it is waiting for, for a person.
    pub message: String,
}
