//! What can be done.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::views::TokenScope;

/// A kind of operation: what roles allow, and what every route says that it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// To see everything that is no secret.
    Read,
    /// To announce artifacts, and to attach to them.
    Announce,
    /// To deploy, to plan and to rehearse that, and to prepare it.
    Deploy,
    /// To bring what runs in one environment to another.
    Promote,
    /// To go back to what ran before.
    RollBack,
    /// To pause, resume, retry and cancel deployments, and to move them on.
    Steer,
    /// To approve what waits for it, or to reject it.
    Approve,
    /// To go on with a plan that not all have approved.
    BreakGlass,
    /// To let an image back that has failed.
    LiftQuarantine,
    /// To stop everything from being deployed, and to let it go on.
    StopLine,
    /// To have messages and deliveries sent or read once more.
    Redeliver,
    /// To make an environment like another.
    CreateEnvironment,
    /// To take an environment away with all that it has.
    TearDown,
    /// To change plugins, and documents but those of [`Action::Access`]; to import.
    Configure,
    /// To set secrets and to change their keys.
    Secrets,
    /// To make and to revoke tokens, to say by documents who may do what, and to ask it.
    Access,
    /// To read the journal and the audit.
    Audit,
    /// To take out deployments, or everything.
    Export,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 18] = [
        Self::Read,
        Self::Announce,
        Self::Deploy,
        Self::Promote,
        Self::RollBack,
        Self::Steer,
        Self::Approve,
        Self::BreakGlass,
        Self::LiftQuarantine,
        Self::StopLine,
        Self::Redeliver,
        Self::CreateEnvironment,
        Self::TearDown,
        Self::Configure,
        Self::Secrets,
        Self::Access,
        Self::Audit,
        Self::Export,
    ];

    /// As roles write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Announce => "announce",
            Self::Deploy => "deploy",
            Self::Promote => "promote",
            Self::RollBack => "roll-back",
            Self::Steer => "steer",
            Self::Approve => "approve",
            Self::BreakGlass => "break-glass",
            Self::LiftQuarantine => "lift-quarantine",
            Self::StopLine => "stop-line",
            Self::Redeliver => "redeliver",
            Self::CreateEnvironment => "create-environment",
            Self::TearDown => "tear-down",
            Self::Configure => "configure",
            Self::Secrets => "secrets",
            Self::Access => "access",
            Self::Audit => "audit",
            Self::Export => "export",
        }
    }

    /// The narrowest built-in role that allows it, which those that are wider do, too.
    pub fn least(self) -> TokenScope {
        match self {
            Self::Read => TokenScope::Read,
            Self::Announce => TokenScope::Ci,
            Self::Deploy
            | Self::Promote
            | Self::RollBack
            | Self::Steer
            | Self::Approve
            | Self::LiftQuarantine
            | Self::StopLine
            | Self::Redeliver => TokenScope::Deploy,
            Self::BreakGlass
            | Self::CreateEnvironment
            | Self::TearDown
            | Self::Configure
            | Self::Secrets
            | Self::Access
            | Self::Audit
            | Self::Export => TokenScope::Admin,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
