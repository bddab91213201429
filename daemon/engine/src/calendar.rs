//! What calendars say of environments, the switch that stops the line, and what is
//! planned and done within a time.

use deployd_core::calendar::{Decision, Errand, Outlook, Place, SlotState, Span, Stop};
use deployd_core::deployment::projection::{
    BY_ENVIRONMENT, DEPLOYMENTS, ENVIRONMENTS, EnvironmentHead, environment_key,
};
use deployd_core::deployment::{DeploymentRecord, EnvironmentState};
use deployd_core::journal::StreamId;
use deployd_core::plan::{Gate, GateCondition};
use deployd_core::ports::{Batch, Index, KeyRange, Order, Put};
use deployd_core::views::{
    CalendarCheck, CalendarView, DoneDeployment, PlannedDeployment, ResumeRequest, StopRequest,
};
use deployd_core::{DeploymentId, EnvironmentId, Timestamp};
use serde_json::json;

use crate::configuration::Configuration;
use crate::journal::until_no_conflict;
use crate::records::{below, decode, get, head_of_deployment, put};
use crate::{Caller, Engine, EngineError, Inner};

/// Whether the line is stopped: one key -> [`Stop`].
const STOP: Index = Index("line-stop");
const STOP_KEY: &[u8] = b"stop";

/// The longest span that is told of at once: a year and a leap day.
const SPAN_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// How long before a span a deployment may have been asked for that ended in it: the
/// longest window. Who waits for longer is found by its environment's history.
const ASKED_BEFORE_MS: u64 = 31 * 24 * 3_600_000;

/// The most that is told of one kind: what a person scrolls through.
const TOLD_MAX: usize = 2_000;

/// The name of the gate at which calendars are asked.
const GATE: &str = "calendar";

impl Engine {
    /// Stops the line: nothing begins anywhere, until somebody has it go on. What has
    /// begun goes on.
    pub async fn stop_line(
        &self,
        caller: &Caller,
        request: StopRequest,
    ) -> Result<Stop, EngineError> {
        let reason = request.reason.trim().to_owned();
        if reason.is_empty() {
            let message = "expected why: everybody whose deployment waits reads it";
            return Err(EngineError::invalid("reason", message));
        }
        let at = self.inner.ports.clock.now();
        let by = caller.actor.clone();
        let stop = Stop { reason, by, at, rollbacks: request.rollbacks };
        let put = put(STOP, STOP_KEY.to_vec(), &stop)?;
        let body =
            json!({"type": "line-stopped", "reason": stop.reason, "rollbacks": stop.rollbacks});
        self.switch(caller, body, put, |known| match known {
            None => Ok(stop.clone()),
            Some(known) => Err(EngineError::Conflict {
                message: format!(
                    "the line is stopped already, by {} at {}: {}; `deployd calendar resume` has it go on",
                    known.by, known.at, known.reason
                ),
            }),
        })
        .await
    }

    /// Has the line go on. Answers with what it was stopped by.
    pub async fn resume_line(
        &self,
        caller: &Caller,
        request: ResumeRequest,
    ) -> Result<Stop, EngineError> {
        let put = Put { index: STOP, key: STOP_KEY.to_vec(), value: None };
        let body = json!({"type": "line-resumed", "reason": request.reason});
        self.switch(caller, body, put, |known| {
            known.ok_or_else(|| EngineError::Conflict { message: "the line is not stopped".into() })
        })
        .await
    }

    async fn switch(
        &self,
        caller: &Caller,
        body: serde_json::Value,
        put: Put,
        answer: impl Fn(Option<Stop>) -> Result<Stop, EngineError>,
    ) -> Result<Stop, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        // With the documents, so that whoever reads those reads this as well.
        let stream = StreamId::configuration();
        let stop = until_no_conflict(|| async {
            let version = inner.version(&stream).await?;
            let answer = answer(inner.stop_of_line().await?)?;
            let batch = Batch { puts: vec![put.clone()], ..Batch::default() };
            let batch = inner.note(stream.clone(), version, caller, body.clone(), batch)?;
            inner.commit(caller, answer, batch, &[]).await
        })
        .await?;
        inner.changes.announce();
        inner.workers.ring();
        Ok(stop)
    }

    /// What calendars say of an environment, now or at a time.
    pub async fn calendar_check(
        &self,
        id: &EnvironmentId,
        at: Option<Timestamp>,
    ) -> Result<CalendarCheck, EngineError> {
        let configuration = self.inner.configuration().await?;
        let at = at.unwrap_or_else(|| self.now());
        let slots = self.inner.slots_until(id, at).await?;
        let place = Place { slots: &slots, ..configuration.place(id)? };
        let calendars = &configuration.calendars;
        Ok(CalendarCheck {
            environment: id.clone(),
            at,
            time_zone: configuration.time_zone(Some(&place)),
            calendars: calendars.of(&place).map(|(name, _)| name.clone()).collect(),
            outlook: calendars.outlook(&place, at),
        })
    }

    /// What is closed, asked for, planned and done within a span: of an environment, or of all.
    pub async fn calendar(
        &self,
        of: Option<&EnvironmentId>,
        span: Span,
    ) -> Result<CalendarView, EngineError> {
        if span.from >= span.to || span.to.ms_since(span.from) > SPAN_MS_MAX {
            let message = format!("found {} to {}, expected 366 days at most", span.from, span.to);
            return Err(EngineError::invalid("to", message));
        }
        let configuration = self.inner.configuration().await?;
        let place = of.map(|id| configuration.place(id)).transpose()?;
        let calendars = &configuration.calendars;
        let mut closures = match &place {
            Some(place) => calendars.closed(place, Errand::Deployment, span),
            None => calendars.all_closed(span),
        };
        let ids: Vec<&EnvironmentId> = match of {
            Some(id) => vec![id],
            None => configuration.environments.keys().collect(),
        };
        let (mut planned, mut slots) = (Vec::new(), Vec::new());
        for id in ids {
            planned.extend(self.inner.planned_in(id).await?);
            slots.extend(self.inner.slots_until(id, span.from).await?);
            if planned.len().max(slots.len()) > TOLD_MAX {
                break;
            }
        }
        slots.retain(|slot| slot.span.meets(span));
        slots.sort_by_key(|slot| slot.span);
        let mut more = closures.len().max(planned.len()).max(slots.len()) > TOLD_MAX;
        closures.truncate(TOLD_MAX);
        planned.truncate(TOLD_MAX);
        slots.truncate(TOLD_MAX);
        let (done, more_done) = self.inner.done_in(of, span).await?;
        more |= more_done;
        let time_zone = configuration.time_zone(place.as_ref());
        let stop = calendars.stop.clone();
        let environment = of.cloned();
        Ok(CalendarView {
            span,
            environment,
            time_zone,
            stop,
            closures,
            slots,
            planned,
            done,
            more,
        })
    }
}

impl Inner {
    /// Whether the line is stopped.
    pub(crate) async fn stop_of_line(&self) -> Result<Option<Stop>, EngineError> {
        get(&*self.ports.store, STOP, STOP_KEY).await
    }

    /// What calendars and slots say of what may begin in an environment now; that it is
    /// open, where nothing is about to.
    pub(crate) async fn outlook(
        &self,
        id: &EnvironmentId,
        state: &EnvironmentState,
        now: Timestamp,
    ) -> Result<Outlook, EngineError> {
        // What waits for a slot that is gone ends, whatever goes on.
        let in_slot = state.queue.iter().any(|queued| queued.request.schedule.slot.is_some());
        let asks = match &state.active {
            // Who may begin has it make way.
            Some(active) => in_slot || active.waits_at_gates(),
            None => !state.queue.is_empty(),
        };
        if !asks {
            return Ok(Outlook::OPEN);
        }
        let configuration = self.configuration().await?;
        // What is no more has no calendar; its deployments fail by themselves.
        let Ok(place) = configuration.place(id) else { return Ok(Outlook::OPEN) };
        let slots = Box::pin(self.slots_for(id, state, now)).await?;
        Ok(configuration.calendars.outlook(&Place { slots: &slots, ..place }, now))
    }

    /// What calendars say of something that is to begin in an environment, if there
    /// are any for it.
    pub(crate) async fn calendar_says(
        &self,
        id: &EnvironmentId,
        errand: Errand,
    ) -> Result<Option<Decision>, EngineError> {
        let configuration = self.configuration().await?;
        let now = self.ports.clock.now();
        let slots = Box::pin(self.slots_until(id, now)).await?;
        let place = Place { slots: &slots, ..configuration.place(id)? };
        let calendars = &configuration.calendars;
        let any = calendars.stop.is_some() || calendars.of(&place).next().is_some();
        let any = any || slots.iter().any(|slot| slot.state == SlotState::Granted);
        Ok(any.then(|| calendars.decide(&place, errand, now)))
    }

    async fn planned_in(&self, id: &EnvironmentId) -> Result<Vec<PlannedDeployment>, EngineError> {
        let store = &*self.ports.store;
        let head: Option<EnvironmentHead> = get(store, ENVIRONMENTS, &environment_key(id)).await?;
        let Some(head) = head else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for deployment in head.active.iter().chain(&head.queue) {
            let record = head_of_deployment(store, deployment).await?;
            let deferred = record.deferral().cloned();
            if deferred.is_none() && record.request.schedule.is_any_time() {
                continue;
            }
            // Between two reads it may have ended.
            if record.ended.is_some() {
                continue;
            }
            found.push(PlannedDeployment {
                deployment: record.id,
                environment: record.environment,
                number: record.number,
                schedule: record.request.schedule,
                deferred,
                comment: record.request.comment,
            });
        }
        Ok(found)
    }

    /// Deployments that ended within a span, oldest first, and whether there are more.
    async fn done_in(
        &self,
        of: Option<&EnvironmentId>,
        span: Span,
    ) -> Result<(Vec<DoneDeployment>, bool), EngineError> {
        let store = &self.ports.store;
        let first = Timestamp(span.from.0.saturating_sub(ASKED_BEFORE_MS));
        let (first, last) =
            (DeploymentId::from_parts(first, [0; 10]), DeploymentId::from_parts(span.to, [0; 10]));
        let mut records: Vec<DeploymentRecord> = Vec::new();
        let more = match of {
            Some(id) => {
                let range = below(&[&id.to_string()]);
                let page = store.scan(BY_ENVIRONMENT, range, Order::Descending, TOLD_MAX).await?;
                for (_, bytes) in &page.entries {
                    let id: DeploymentId = decode("deployment id", bytes)?;
                    if id < first {
                        break;
                    }
                    if id < last {
                        records.push(head_of_deployment(&**store, &id).await?);
                    }
                }
                page.more && records.len() == TOLD_MAX
            }
            None => {
                let range =
                    KeyRange { start: first.0.into_bytes(), end: Some(last.0.into_bytes()) };
                let page = store.scan(DEPLOYMENTS, range, Order::Descending, TOLD_MAX).await?;
                for (_, bytes) in &page.entries {
                    records.push(decode("deployment", bytes)?);
                }
                page.more
            }
        };
        let done = |record: DeploymentRecord| {
            let (to, outcome) = record.ended.zip(record.outcome)?;
            span.contains(to).then(|| DoneDeployment {
                from: record.work.as_ref().map_or(record.queued, |work| work.started),
                deployment: record.id,
                environment: record.environment,
                number: record.number,
                to,
                outcome,
            })
        };
        let mut found: Vec<DoneDeployment> = records.into_iter().filter_map(done).collect();
        found.sort_by_key(|done| done.to);
        Ok((found, more))
    }
}

impl Configuration {
    /// An environment, as calendars look at it: without its slots.
    pub(crate) fn place<'c>(&'c self, id: &'c EnvironmentId) -> Result<Place<'c>, EngineError> {
        let spec = self.environments.get(id);
        let spec = spec.ok_or_else(|| EngineError::not_found(format!("environment {id}")))?;
        Ok(Place { environment: id, environment_type: &spec.environment_type, slots: &[] })
    }

    /// The gate at which calendars are asked before a plan is executed; none where
    /// there are none for the environment.
    pub(crate) fn calendar_gate(&self, id: &EnvironmentId) -> Option<Gate> {
        let place = self.place(id).ok()?;
        let names: Vec<&str> = self.calendars.of(&place).map(|(name, _)| name.as_str()).collect();
        let what = match names.as_slice() {
            [] => return None,
            [_] => "calendar",
            _ => "calendars",
        };
        let message = format!("open by {what} {}", names.join(", "));
        Some(Gate { id: GATE.to_owned(), message, condition: GateCondition::Calendar })
    }

    /// The time zone of the first calendar, of those for an environment if one is
    /// given; UTC where there is none.
    fn time_zone(&self, place: Option<&Place<'_>>) -> String {
        let mut calendars = self.calendars.calendars.values();
        let first = match place {
            Some(place) => calendars.find(|calendar| calendar.selects(place)),
            None => calendars.next(),
        };
        first.map_or("UTC", |calendar| calendar.time_zone()).to_owned()
    }
}
