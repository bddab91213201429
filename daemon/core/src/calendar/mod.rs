//! When it may be deployed: what calendars, slots, and a line that was stopped, say of
//! an environment at a time.
//!
//! A document ([`CalendarSpec`](crate::config::CalendarSpec)) is text; [`Calendar::read`]
//! makes of it what can be evaluated, and says all that is wrong with it. Rules of
//! RFC 5545 are expanded here, over the days of the calendar: only what a span can
//! hold is looked at, however long ago a rule began and however rarely it fires.
//! Everything is exact to the minute, by the time zone data that is part of the
//! program, so that the same documents mean the same on every machine.

mod clock;
mod decide;
mod feed;
mod month;
mod occurrences;
mod read;
mod reason;
mod rule;
mod slot;
mod spans;

pub use clock::zone_is_known;
pub use decide::{Calendars, Decision, Errand, Outlook, Place, SlotOutlook, Stop};
pub use feed::feed;
pub use month::{Day, Month, local_text};
pub use read::{Calendar, Wrong};
pub use reason::{Closure, Reason};
pub use slot::{
    InvalidSlot, OPEN_SLOTS_MAX, Slot, SlotAct, SlotAnswer, SlotRefusal, SlotState, slot_can_be,
};
pub use spans::Span;

#[cfg(test)]
mod tests;
