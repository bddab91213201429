//! Whether it is open, until when, and why not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::{Calendar, Window};
use super::reason::{Closure, Reason};
use super::slot::{Slot, SlotState};
use super::spans::{Span, union, without};
use crate::config::{EnvironmentSelector, RollbackRule, WindowEffect};
use crate::{Actor, EnvironmentId, Name, SlotId, Timestamp};

/// How far is looked for the next change, farther each time that there is none. What
/// does not change within more than a year is said not to.
const HORIZONS_DAYS: [u64; 4] = [1, 8, 40, 400];

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3_600_000;

/// The environment that is spoken of.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Which.
    pub environment: &'a EnvironmentId,
    /// Its type.
    pub environment_type: &'a Name,
    /// Slots there. Only those that were granted keep anything.
    pub slots: &'a [Slot],
}

impl Place<'_> {
    /// Whether a selector selects it.
    pub(super) fn is_in(&self, selector: &EnvironmentSelector) -> bool {
        selector.selects(self.environment, self.environment_type)
    }
}

/// What is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Errand {
    /// Something is deployed.
    Deployment,
    /// What ran before is brought back, or what should be there.
    Rollback,
}

/// What calendars say at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[schemars(rename = "CalendarDecision")]
pub enum Decision {
    /// It may begin.
    Open {
        /// Until when, as far as that is known; none when it stays so for longer
        /// than a year.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It may not.
    Closed {
        /// Until when; none when that is not known, or longer than a year.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// All that closes it now.
        reasons: Vec<Reason>,
    },
}

impl Decision {
    /// Whether it may begin.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// When something else may be said.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Open { until } | Self::Closed { until, .. } => *until,
        }
    }
}

/// What calendars say of an environment, for all that may begin there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CalendarOutlook")]
pub struct Outlook {
    /// Of what is deployed.
    pub deployments: Decision,
    /// Of going back, and of healing drift.
    pub rollbacks: Decision,
    /// Of what begins in slots, for each that there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<SlotOutlook>,
}

/// A slot, and what is said of what is to begin in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotOutlook {
    /// The slot.
    pub slot: Slot,
    /// What is said of it.
    pub decision: Decision,
}

impl Outlook {
    /// Where there is no calendar.
    pub const OPEN: Self = Self {
        deployments: Decision::Open { until: None },
        rollbacks: Decision::Open { until: None },
        slots: Vec::new(),
    };

    /// What is said of what is to begin in a slot; none where there is no such.
    pub fn of_slot(&self, id: &SlotId) -> Option<&SlotOutlook> {
        self.slots.iter().find(|known| known.slot.id == *id)
    }

    /// What is said of something.
    pub fn of(&self, errand: Errand) -> &Decision {
        match errand {
            Errand::Deployment => &self.deployments,
            Errand::Rollback => &self.rollbacks,
        }
    }
}

/// That the line is stopped: nothing begins anywhere, whatever calendars say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LineStop")]
pub struct Stop {
    /// Why.
    pub reason: String,
    /// Who has stopped it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Whether it also holds for going back and for healing drift.
    #[serde(default, skip_serializing_if = "RollbackRule::is_exempt")]
    pub rollbacks: RollbackRule,
}

/// All that says when it may be deployed.
#[derive(Debug, Clone, Default)]
pub struct Calendars {
    /// By their names.
    pub calendars: BTreeMap<Name, Calendar>,
    /// Whether the line is stopped.
    pub stop: Option<Stop>,
}

impl Calendars {
    /// Calendars that are for an environment, by name.
    pub fn of<'a>(
        &'a self,
        place: &'a Place<'a>,
    ) -> impl Iterator<Item = (&'a Name, &'a Calendar)> + 'a {
        self.calendars.iter().filter(|(_, calendar)| calendar.selects(place))
    }

    /// What is said of an environment at a time.
    pub fn outlook(&self, place: &Place<'_>, now: Timestamp) -> Outlook {
        let decide = |errand| self.decide(place, errand, now);
        let of_slot = |slot: &Slot| {
            let decision = self.decide_in(slot, now);
            SlotOutlook { slot: slot.clone(), decision }
        };
        Outlook {
            deployments: decide(Errand::Deployment),
            rollbacks: decide(Errand::Rollback),
            slots: place.slots.iter().map(of_slot).collect(),
        }
    }

    /// What is said of what is to begin in a slot. One that was granted opens whatever
    /// calendars say, which is what it was asked for; where the line was stopped, nothing
    /// begins in it either.
    fn decide_in(&self, slot: &Slot, now: Timestamp) -> Decision {
        let id = || slot.id.clone();
        let closed = |until, reason| Decision::Closed { until, reasons: vec![reason] };
        if slot.state != SlotState::Granted || slot.is_over(now) {
            return closed(None, Reason::NoSlot { slot: id(), message: slot.how(now) });
        }
        let Span { from, to } = slot.span;
        match self.stop.as_ref().and_then(stopped(slot.span)) {
            _ if now < from => closed(Some(from), Reason::SlotAhead { slot: id(), at: from }),
            Some(stop) => closed(None, stop.reason),
            None => Decision::Open { until: Some(to) },
        }
    }

    /// What is said of something that is to begin in an environment at a time.
    pub fn decide(&self, place: &Place<'_>, errand: Errand, now: Timestamp) -> Decision {
        let mut decision = Decision::Open { until: None };
        for days in HORIZONS_DAYS {
            let horizon = now.plus_ms(days * DAY_MS);
            let closed = self.closed(place, errand, Span { from: now, to: horizon });
            let spans = union(closed.iter().map(|closure| closure.span).collect());
            let Some(first) = spans.first() else { continue };
            if first.from > now {
                return Decision::Open { until: Some(first.from) };
            }
            let is_now = |closure: &Closure| closure.span.contains(now);
            let reasons = closed.into_iter().filter(is_now).map(|closure| closure.reason).collect();
            // What reaches the horizon may go on beyond it.
            let known = first.to < horizon;
            decision = Decision::Closed { until: known.then_some(first.to), reasons };
            if known {
                break;
            }
        }
        decision
    }

    /// All that closes an environment within a span, and when, in order. What has no
    /// end that is known ends with the span.
    pub fn closed(&self, place: &Place<'_>, errand: Errand, of: Span) -> Vec<Closure> {
        let holds = |rule: RollbackRule| errand == Errand::Deployment || !rule.is_exempt();
        let mut found = Vec::new();
        for (name, calendar) in self.of(place).filter(|(_, calendar)| holds(calendar.rollbacks)) {
            calendar.closed(name, Some(place), of, &mut found);
        }
        found.extend(self.stop.as_ref().filter(|stop| holds(stop.rollbacks)).and_then(stopped(of)));
        // Nothing keeps who goes back from it.
        let kept = place.slots.iter().filter(|slot| slot.span.meets(of)).filter_map(Slot::closure);
        found.extend(kept.filter(|_| errand == Errand::Deployment));
        found.sort_by_key(|closure| closure.span);
        found
    }

    /// What every calendar closes within a span, and when, in order: for those whom it
    /// is for, and does not except.
    pub fn all_closed(&self, of: Span) -> Vec<Closure> {
        let mut found = Vec::new();
        for (name, calendar) in &self.calendars {
            calendar.closed(name, None, of, &mut found);
        }
        found.extend(self.stop.as_ref().and_then(stopped(of)));
        found.sort_by_key(|closure| closure.span);
        found
    }
}

/// That nothing begins in a span, from when the line was stopped.
fn stopped(of: Span) -> impl Fn(&Stop) -> Option<Closure> {
    move |stop| {
        let Stop { reason, by, at, .. } = stop.clone();
        let span = Span { from: at, to: of.to };
        let reason = Reason::Stopped { because: reason, by, at };
        (at < of.to).then_some(Closure { span, reason })
    }
}

impl Calendar {
    /// Adds when it closes an environment, or any for which it is, and why.
    fn closed(&self, name: &Name, place: Option<&Place<'_>>, of: Span, found: &mut Vec<Closure>) {
        let calendar = || name.clone();
        if let Some(message) = &self.unreadable {
            let reason = Reason::Unreadable { calendar: calendar(), message: message.clone() };
            found.push(Closure { span: of, reason });
            return;
        }
        let with = |effect| move |window: &&Window| window.effect == effect;
        for window in self.windows.iter().filter(with(WindowEffect::Deny)) {
            let reason = Reason::Window {
                calendar: calendar(),
                window: window.name.clone(),
                because: window.reason.clone(),
            };
            let closure = |span| Closure { span, reason: reason.clone() };
            found.extend(window.spans(of).into_iter().map(closure));
        }
        for freeze in self.freezes.iter().filter(|freeze| freeze.span.meets(of)) {
            let is_in = |selector| place.is_some_and(|place| place.is_in(selector));
            if freeze.except.iter().any(is_in) {
                continue;
            }
            let reason = Reason::Freeze {
                calendar: calendar(),
                freeze: freeze.name.clone(),
                because: freeze.reason.clone(),
            };
            found.push(Closure { span: freeze.span, reason });
        }
        let allow: Vec<&Window> = self.windows.iter().filter(with(WindowEffect::Allow)).collect();
        if !allow.is_empty() {
            let windows = allow.iter().map(|window| window.name.clone()).collect();
            let reason = Reason::Outside { calendar: calendar(), windows };
            let open = allow.iter().flat_map(|window| window.spans(of)).collect();
            let closure = |span| Closure { span, reason: reason.clone() };
            found.extend(without(of, open).into_iter().map(closure));
        }
    }
}
