//! Why it is closed, for people and for the journal.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Actor, DeploymentId, Name, SlotId, Timestamp};

use super::spans::Span;

/// Why nothing begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[schemars(rename = "CalendarReason")]
pub enum Reason {
    /// A window denies.
    Window {
        /// The calendar.
        calendar: Name,
        /// The window.
        window: Name,
        /// What its document says why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },
    /// A freeze.
    Freeze {
        /// The calendar.
        calendar: Name,
        /// The freeze.
        freeze: Name,
        /// What its document says why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },
    /// None of the windows that allow is open.
    Outside {
        /// The calendar.
        calendar: Name,
        /// Its windows that allow.
        windows: Vec<Name>,
    },
    /// Somebody has stopped the line.
    Stopped {
        /// Why.
        because: String,
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
    },
    /// A calendar's document can't be read any more.
    Unreadable {
        /// The calendar.
        calendar: Name,
        /// What is wrong with it.
        message: String,
    },
    /// It comes by itself, and somebody went back.
    WentBack {
        /// Who.
        by: Actor,
        /// By which deployment.
        deployment: DeploymentId,
    },
    /// It was asked for at a time.
    Scheduled {
        /// The time.
        at: Timestamp,
    },
    /// A slot is kept for what somebody deploys in it.
    Slot {
        /// The slot.
        slot: SlotId,
        /// For whom.
        by: Actor,
        /// What for.
        because: String,
    },
    /// It is to begin in a slot, which has not begun.
    SlotAhead {
        /// The slot.
        slot: SlotId,
        /// When that begins.
        at: Timestamp,
    },
    /// It is to begin in a slot, which was not granted, or is no more.
    NoSlot {
        /// The slot.
        slot: SlotId,
        /// How it stands: `was not granted yet`.
        message: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |f: &mut fmt::Formatter<'_>, because: &Option<String>| match because {
            Some(because) => write!(f, ": {because}"),
            None => Ok(()),
        };
        match self {
            Self::Window { calendar, window, because: why } => {
                write!(f, "window {window} of calendar {calendar}")?;
                because(f, why)
            }
            Self::Freeze { calendar, freeze, because: why } => {
                write!(f, "freeze {freeze} of calendar {calendar}")?;
                because(f, why)
            }
            Self::Outside { calendar, windows } => {
                let windows: Vec<&str> = windows.iter().map(Name::as_str).collect();
                write!(f, "outside of the windows of calendar {calendar}: {}", windows.join(", "))
            }
            Self::Stopped { because, by, at } => {
                write!(f, "the line was stopped by {by} at {at}: {because}")
            }
            Self::Unreadable { calendar, message } => {
                write!(f, "calendar {calendar} can't be read, apply it again: {message}")
            }
            Self::WentBack { by, deployment } => write!(
                f,
                "{by} went back by {deployment}, and what comes by itself waits until `deployd flow release` has it go on"
            ),
            Self::Scheduled { at } => write!(f, "it is to begin at {at}"),
            Self::Slot { slot, by, because } => {
                write!(f, "slot {slot} is kept for {by}: {because}")
            }
            Self::SlotAhead { slot, at } => {
                write!(f, "it is to begin in slot {slot}, which begins at {at}")
            }
            Self::NoSlot { slot, message } => {
                write!(f, "it is to begin in slot {slot}, which {message}")
            }
        }
    }
}

/// A time in which it is closed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CalendarClosure")]
pub struct Closure {
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// Why.
    pub reason: Reason,
}
