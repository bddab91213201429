//! Slots: times in an environment that somebody asks for, and somebody else grants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reason::{Closure, Reason};
use super::spans::Span;
use crate::{Actor, EnvironmentId, SlotId, Timestamp};

/// The longest slot: a weekend, and the day before it. Who needs an environment for
/// longer closes it by a freeze.
const SLOT_MS_MAX: u64 = 3 * 24 * 3_600_000;

/// How far ahead one may ask: as far as a calendar tells of at once.
const AHEAD_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// The most slots of one environment that are open: almost one a week for a year. All
/// of them are looked at whenever something is about to begin there.
pub const OPEN_SLOTS_MAX: usize = 50;

/// Characters of a reason: it is told in one line.
const REASON_CHARS_MAX: usize = 300;

/// A time in an environment that somebody has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Which.
    pub id: SlotId,
    /// Where.
    pub environment: EnvironmentId,
    /// From when until when.
    #[serde(flatten)]
    pub span: Span,
    /// What for.
    pub reason: String,
    /// Who has asked for it, and is the one for whom it is kept.
    pub by: Actor,
    /// When they have asked.
    pub at: Timestamp,
    /// How it stands.
    pub state: SlotState,
    /// What was said to it last; nothing as long as nobody has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<SlotAnswer>,
}

/// How a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SlotState {
    /// Somebody has asked for it, and nobody has answered.
    Requested,
    /// It is theirs: open for them, and closed for others.
    Granted,
    /// They do not get it.
    Refused,
    /// It is not wanted any more, or was taken back.
    Withdrawn,
}

impl SlotState {
    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Who has said something to a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotAnswer {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What can be said to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotAct {
    /// It is theirs.
    Grant,
    /// They do not get it.
    Refuse,
    /// It is not wanted any more, or is taken back.
    Withdraw,
}

/// Why somebody can't say that to a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotRefusal {
    /// Separation of duties.
    #[error("slot {0} was asked for by {1}: somebody else has to answer")]
    Own(SlotId, Actor),
    /// It does not stand so that this can be said.
    #[error("slot {id} {how}")]
    Stands {
        /// Which.
        id: SlotId,
        /// How it stands: what comes behind its name.
        how: String,
    },
    /// Another one was granted.
    #[error("slot {other} of {by} was granted already, from {} to {}: only one can be", .span.from, .span.to)]
    Overlaps {
        /// The other.
        other: SlotId,
        /// Whose.
        by: Actor,
        /// When that is.
        span: Span,
    },
}

/// What is wrong with what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSlot {
    /// The field.
    pub field: &'static str,
    /// What was found, and what was expected.
    pub message: String,
}

/// Whether a slot can be asked for now.
pub fn slot_can_be(span: Span, reason: &str, now: Timestamp) -> Result<(), InvalidSlot> {
    let invalid = |field, message| Err(InvalidSlot { field, message });
    let Span { from, to } = span;
    if from <= now || from.ms_since(now) > AHEAD_MS_MAX {
        return invalid("from", format!("found {from}, expected a time within the next 366 days"));
    }
    if to <= from || to.ms_since(from) > SLOT_MS_MAX {
        let message = format!("found {to}, expected a time after {from}, 3 days later at most");
        return invalid("to", message);
    }
    match reason.chars().count() {
        0 => invalid("reason", "found none, expected what for: who grants it reads it".to_owned()),
        1..=REASON_CHARS_MAX => Ok(()),
        found => invalid(
            "reason",
            format!("found {found} characters, expected {REASON_CHARS_MAX} at most"),
        ),
    }
}

impl Slot {
    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.span.to <= now
    }

    /// Whether somebody has it, or may get it.
    pub fn is_open(&self) -> bool {
        matches!(self.state, SlotState::Requested | SlotState::Granted)
    }

    /// Whether it was refused or withdrawn: what was to begin in it does not.
    pub fn is_gone(&self) -> bool {
        !self.is_open()
    }

    /// The slot after somebody has said something to it, beside the other ones of its
    /// environment.
    pub fn answered(
        &self,
        act: SlotAct,
        answer: SlotAnswer,
        others: &[Self],
    ) -> Result<Self, SlotRefusal> {
        let id = || self.id.clone();
        if act != SlotAct::Withdraw && answer.by == self.by {
            return Err(SlotRefusal::Own(id(), self.by.clone()));
        }
        let possible = match act {
            SlotAct::Grant | SlotAct::Refuse => self.state == SlotState::Requested,
            SlotAct::Withdraw => self.is_open(),
        };
        if !possible || self.is_over(answer.at) {
            return Err(SlotRefusal::Stands { id: id(), how: self.how(answer.at) });
        }
        let state = match act {
            SlotAct::Grant => SlotState::Granted,
            SlotAct::Refuse => SlotState::Refused,
            SlotAct::Withdraw => SlotState::Withdrawn,
        };
        let meets = |other: &&Self| {
            let is_another = other.id != self.id && other.state == SlotState::Granted;
            is_another && other.span.meets(self.span)
        };
        match others.iter().find(meets).filter(|_| act == SlotAct::Grant) {
            None => Ok(Self { state, answer: Some(answer), ..self.clone() }),
            Some(other) => Err(SlotRefusal::Overlaps {
                other: other.id.clone(),
                by: other.by.clone(),
                span: other.span,
            }),
        }
    }

    /// How it stands, behind its name: `was refused by bob: not this week`.
    pub fn how(&self, now: Timestamp) -> String {
        let said = match &self.answer {
            Some(SlotAnswer { by, reason: Some(reason), .. }) => format!(" by {by}: {reason}"),
            Some(SlotAnswer { by, reason: None, .. }) => format!(" by {by}"),
            None => String::new(),
        };
        match self.state {
            _ if self.is_open() && self.is_over(now) => format!("was over at {}", self.span.to),
            SlotState::Requested => "was not granted yet".to_owned(),
            state => format!("was {}{said}", state.as_str()),
        }
    }

    /// When it keeps others than who has asked for it.
    pub(super) fn closure(&self) -> Option<Closure> {
        (self.state == SlotState::Granted).then(|| Closure {
            span: self.span,
            reason: Reason::Slot {
                slot: self.id.clone(),
                by: self.by.clone(),
                because: self.reason.clone(),
            },
        })
    }
}
