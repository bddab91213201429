//! Slots: who asks for a time in an environment, who answers, and what begins in it.

use deployd_core::calendar::{
    OPEN_SLOTS_MAX, Slot, SlotAct, SlotAnswer, SlotRefusal, SlotState, Span, slot_can_be,
};
use deployd_core::deployment::{EnvironmentState, Schedule};
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Index, KeyRange, Order, Put};
use deployd_core::views::{SlotReply, SlotRequest};
use deployd_core::{EnvironmentId, Fault, Name, SlotId, Timestamp};
use serde_json::json;

use crate::journal::until_no_conflict;
use crate::records::{decode, get, numbered_key, put};
use crate::{Caller, Engine, EngineError, Inner};

/// Slots: id -> [`Slot`].
const SLOTS: Index = Index("slots");

/// Slots that were not refused or withdrawn: environment, end, id -> id. Those that are
/// over come before all that are not.
const BY_END: Index = Index("slots-by-end");

/// The most that are told of at once: what a person scrolls through.
const TOLD_MAX: usize = 2_000;

/// Characters of why somebody answers so: it is told in one line.
const REASON_CHARS_MAX: usize = 300;

/// Which slots are wanted.
#[derive(Debug, Clone, Default)]
pub struct SlotFilter {
    /// Of this environment.
    pub environment: Option<EnvironmentId>,
    /// Of environments of this application.
    pub application: Option<Name>,
    /// Also those that are over, were refused, or withdrawn.
    pub all: bool,
}

impl SlotFilter {
    fn wants(&self, id: &EnvironmentId) -> bool {
        self.environment.as_ref().is_none_or(|wanted| wanted == id)
            && self.application.as_ref().is_none_or(|wanted| *wanted == id.application)
    }
}

impl Engine {
    /// Asks for a slot.
    pub async fn request_slot(
        &self,
        caller: &Caller,
        request: SlotRequest,
    ) -> Result<Slot, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        let SlotRequest { environment, from, to, reason } = request;
        inner.configuration().await?.place(&environment)?;
        let (span, reason, at) = (Span { from, to }, reason.trim().to_owned(), self.now());
        slot_can_be(span, &reason, at)
            .map_err(|wrong| EngineError::invalid(wrong.field, wrong.message))?;
        let mut random = [0; 10];
        inner.ports.random.fill(&mut random);
        let (id, by) = (SlotId::from_parts(at, random), caller.actor.clone());
        let state = SlotState::Requested;
        let slot = Slot { id, environment, span, reason, by, at, state, answer: None };
        let stream = StreamId::slots(&slot.environment.application);
        until_no_conflict(|| async {
            let version = inner.version(&stream).await?;
            if inner.slots_until(&slot.environment, at).await?.len() >= OPEN_SLOTS_MAX {
                let message = format!(
                    "{OPEN_SLOTS_MAX} slots of {} are open already; withdraw one that is not wanted",
                    slot.environment
                );
                return Err(EngineError::Conflict { message }.into());
            }
            let puts = vec![
                put(SLOTS, slot.id.0.as_bytes().to_vec(), &slot)?,
                put(BY_END, end_key(&slot), &slot.id)?,
            ];
            let body = json!({"type": "slot-requested", "slot": slot});
            let batch = Batch { puts, ..Batch::default() };
            let batch = inner.note(stream.clone(), version, caller, body, batch)?;
            inner.commit(caller, slot.clone(), batch, &[]).await
        })
        .await
    }

    /// Says something to a slot. Whether the caller may grant one is for who calls this
    /// to know; that nobody grants their own is known here.
    pub async fn answer_slot(
        &self,
        caller: &Caller,
        id: &SlotId,
        act: SlotAct,
        reply: SlotReply,
    ) -> Result<Slot, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        let reason = reply.reason.map(|reason| reason.trim().to_owned());
        let reason = reason.filter(|reason| !reason.is_empty());
        match &reason {
            None if act == SlotAct::Refuse => {
                let message = "found none, expected why: who has asked for the slot reads it";
                return Err(EngineError::invalid("reason", message));
            }
            Some(reason) if reason.chars().count() > REASON_CHARS_MAX => {
                let message = format!("expected {REASON_CHARS_MAX} characters at most");
                return Err(EngineError::invalid("reason", message));
            }
            _ => {}
        }
        let environment = self.slot(id).await?.environment;
        let stream = StreamId::slots(&environment.application);
        let slot = until_no_conflict(|| async {
            let version = inner.version(&stream).await?;
            let at = self.now();
            let others = inner.slots_until(&environment, at).await?;
            let answer = SlotAnswer { by: caller.actor.clone(), at, reason: reason.clone() };
            let slot =
                self.slot(id).await?.answered(act, answer, &others).map_err(|it| refused(&it))?;
            let mut puts = vec![put(SLOTS, id.0.as_bytes().to_vec(), &slot)?];
            if slot.is_gone() {
                puts.push(Put { index: BY_END, key: end_key(&slot), value: None });
            }
            let kind = format!("slot-{}", slot.state.as_str());
            let body = json!({"type": kind, "slot": slot});
            let batch = Batch { puts, ..Batch::default() };
            let batch = inner.note(stream.clone(), version, caller, body, batch)?;
            inner.commit(caller, slot, batch, &[]).await
        })
        .await?;
        // Who waits for it, or because of it, may go on, or end.
        inner.workers.wake(inner, &environment);
        Ok(slot)
    }

    /// A slot.
    pub async fn slot(&self, id: &SlotId) -> Result<Slot, EngineError> {
        let slot = self.inner.known_slot(id).await?;
        slot.ok_or_else(|| EngineError::not_found(format!("slot {id}")))
    }

    /// Slots: those that are open by when they are, or all, the newest first.
    pub async fn slots(&self, filter: &SlotFilter) -> Result<Vec<Slot>, EngineError> {
        let inner = &self.inner;
        if filter.all {
            let range = KeyRange { start: Vec::new(), end: None };
            let page = inner.ports.store.scan(SLOTS, range, Order::Descending, TOLD_MAX).await?;
            let slots = page.entries.iter().map(|(_, bytes)| decode(SLOTS.0, bytes));
            let mut slots = slots.collect::<Result<Vec<Slot>, _>>()?;
            slots.retain(|slot| filter.wants(&slot.environment));
            return Ok(slots);
        }
        let configuration = inner.configuration().await?;
        let mut found = Vec::new();
        for id in configuration.environments.keys().filter(|id| filter.wants(id)) {
            found.extend(inner.slots_until(id, self.now()).await?);
            if found.len() > TOLD_MAX {
                break;
            }
        }
        found.sort_by_key(|slot| slot.span);
        found.truncate(TOLD_MAX);
        Ok(found)
    }
}

impl Inner {
    async fn known_slot(&self, id: &SlotId) -> Result<Option<Slot>, EngineError> {
        get(&*self.ports.store, SLOTS, id.0.as_bytes()).await
    }

    /// Slots of an environment that were not refused or withdrawn, and are not over at a
    /// time, in the order of their ends.
    pub(crate) async fn slots_until(
        &self,
        id: &EnvironmentId,
        now: Timestamp,
    ) -> Result<Vec<Slot>, EngineError> {
        let name = id.to_string();
        let mut range = KeyRange::prefix(&[name.as_bytes(), &[0]].concat());
        range.start = numbered_key(&name, now.0.saturating_add(1));
        let store = &self.ports.store;
        let page = store.scan(BY_END, range, Order::Ascending, TOLD_MAX).await?;
        let mut found = Vec::with_capacity(page.entries.len());
        for (_, bytes) in &page.entries {
            found.extend(self.known_slot(&decode(BY_END.0, bytes)?).await?);
        }
        Ok(found)
    }

    /// What decides of what may begin in an environment: its slots that are not over, and
    /// those that were refused or withdrawn while something waits for them.
    pub(crate) async fn slots_for(
        &self,
        id: &EnvironmentId,
        state: &EnvironmentState,
        now: Timestamp,
    ) -> Result<Vec<Slot>, EngineError> {
        let mut found = self.slots_until(id, now).await?;
        let active = state.active.iter().map(|active| &active.request);
        let requests = active.chain(state.queue.iter().map(|queued| &queued.request));
        for wanted in requests.filter_map(|request| request.schedule.slot.as_ref()) {
            if found.iter().all(|slot| slot.id != *wanted) {
                found.extend(self.known_slot(wanted).await?);
            }
        }
        Ok(found)
    }

    /// The schedule of what somebody wants to begin in a slot: it ends with that. Refused
    /// where it could never begin in it, and where the slot is somebody else's.
    pub(crate) async fn in_slot(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        schedule: Schedule,
    ) -> Result<Schedule, EngineError> {
        let Some(wanted) = &schedule.slot else { return Ok(schedule) };
        let invalid = |message| EngineError::invalid("schedule.slot", message);
        let slot = self.known_slot(wanted).await?;
        let slot = slot.filter(|slot| slot.environment == *id).ok_or_else(|| {
            invalid(format!(
                "found {wanted}, expected one of {id}: `deployd calendar slot list` has them"
            ))
        })?;
        if slot.by != caller.actor {
            let message = format!("slot {wanted} was asked for by {}, and is theirs", slot.by);
            return Err(Fault::denied("not-your-slot", message).into());
        }
        let now = self.ports.clock.now();
        if slot.is_gone() || slot.is_over(now) {
            let message = format!("slot {wanted} {}", slot.how(now));
            return Err(EngineError::Conflict { message });
        }
        let end = slot.span.to;
        let expires = Some(schedule.expires.map_or(end, |expires| expires.min(end)));
        Ok(Schedule { expires, ..schedule })
    }
}

fn end_key(slot: &Slot) -> Vec<u8> {
    let mut key = numbered_key(&slot.environment.to_string(), slot.span.to.0);
    key.extend_from_slice(slot.id.0.as_bytes());
    key
}

fn refused(refusal: &SlotRefusal) -> EngineError {
    match refusal {
        SlotRefusal::Own(..) => Fault::denied("own-slot", refusal.to_string()).into(),
        SlotRefusal::Stands { .. } | SlotRefusal::Overlaps { .. } => {
            EngineError::Conflict { message: refusal.to_string() }
        }
    }
}
