//! One worker per environment that has something to do: asks `next`, appends and
//! performs, until nothing is left.

mod claim;
mod recording;
mod registry;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::deployment::{
    EnvironmentState, Event, Intent, StepId, interrupted, is_due, next,
};
use deployd_core::ports::{Claim, StoreError};
use deployd_core::{DeploymentId, EnvironmentId, Fault, Timestamp};
use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::effects::{self, Contents, Leave, Performed, Record};
use crate::environments::EnvironmentEntry;
use crate::{Counts, EngineError, Inner};

use claim::CLAIM_RENEW_MS;
pub(crate) use registry::{Workers, start, stop};

/// The wait after a worker failed, before it tries again. It doubles with each
/// failure in a row.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest such wait: an environment whose record can't be read costs one
/// line of the daemon's log a minute, and nobody else anything.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The longest sleep without looking again: a bound on what a jump of the
/// clock on the wall can do.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Events that are appended together: a bound for what one transaction takes,
/// and more than most deployments have.
const EVENTS_AT_ONCE: usize = 500;

/// A step that is being performed.
struct Flight {
    deployment: DeploymentId,
    task: tokio::task::Id,
    leave: watch::Sender<Leave>,
}

struct Worker {
    engine: Arc<Inner>,
    id: EnvironmentId,
    claim: Option<Claim>,
    /// Whether steps that are recorded as running may be another worker's, who
    /// is gone: so it is at the start, until that is recorded.
    fresh: bool,
    running: JoinSet<(DeploymentId, StepId, Performed)>,
    flights: BTreeMap<StepId, Flight>,
    /// Who watches what a rollout has brought while it only waits, and in which
    /// step it does.
    guard: JoinSet<Finished>,
    guarded: Option<StepId>,
    /// When to perform a step again that has nothing new to tell.
    polls: BTreeMap<StepId, Timestamp>,
    /// What the steps of the active deployment have in common.
    contents: Arc<Contents>,
}

/// A step that was performed, and what came of it.
struct Finished {
    deployment: DeploymentId,
    step: StepId,
    record: Record,
}

/// Works until nothing is left; begins anew when the worker itself fails, so
/// that no environment is forgotten.
async fn supervise(engine: Arc<Inner>, id: EnvironmentId, bell: Arc<Notify>) {
    loop {
        let work = AssertUnwindSafe(work(engine.clone(), id.clone(), &bell));
        if work.catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!(environment = %id, "a worker has panicked; please report it");
        tokio::time::sleep(PAUSE_MAX).await;
    }
}

async fn work(engine: Arc<Inner>, id: EnvironmentId, bell: &Arc<Notify>) {
    let mut worker = Worker {
        engine,
        id,
        claim: None,
        fresh: true,
        running: JoinSet::new(),
        flights: BTreeMap::new(),
        guard: JoinSet::new(),
        guarded: None,
        polls: BTreeMap::new(),
        contents: Arc::default(),
    };
    let mut pause = PAUSE;
    loop {
        let round = worker.round().await;
        if round.is_ok() {
            pause = PAUSE;
        }
        match round {
            Ok(Round::Again) => {}
            Ok(Round::Wait(until)) => worker.wait(until, bell).await,
            Ok(Round::Idle) => {
                worker.release().await;
                if worker.engine.workers.leave(&worker.id, bell) {
                    worker.engine.environments.forget(&worker.id);
                    return;
                }
            }
            Err(error) => {
                if matches!(error, EngineError::Store(StoreError::Fenced { .. })) {
                    worker.lost_claim();
                }
                if worker.engine.workers.is_stopping()
                    && worker.engine.workers.leave(&worker.id, bell)
                {
                    return;
                }
                tracing::error!(environment = %worker.id, %error, "the worker will try again");
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(pause) => {}
                    // What changes may be what was wrong; but a request after
                    // another must not keep a store busy that fails.
                    () = async { tokio::time::sleep(PAUSE).await; bell.notified().await } => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

enum Round {
    /// Something was appended.
    Again,
    /// Nothing to do until then, or until something happens.
    Wait(Option<Timestamp>),
    /// Nothing to do at all.
    Idle,
}

impl Worker {
    async fn round(&mut self) -> Result<Round, EngineError> {
        let stopping = self.engine.workers.is_stopping();
        let entry = self.engine.environment(&self.id).await?;
        let now = self.engine.ports.clock.now();
        if stopping {
            for flight in self.flights.values() {
                flight.leave.send_replace(Leave::Stopping);
            }
            if self.running.is_empty() {
                return Ok(Round::Idle);
            }
        }
        if self.fresh {
            let events = interrupted(&entry.state);
            if !events.is_empty() {
                tracing::info!(environment = %self.id, steps = events.len(), "resuming after an interruption");
                self.renew(now).await?;
                let records = events.into_iter().map(Record::from).collect();
                match self.append(&entry, records).await {
                    // What runs from now on is this worker's.
                    Ok(()) => self.fresh = false,
                    // Somebody asked for something meanwhile: look again.
                    Err(EngineError::Store(StoreError::Conflict { .. })) => {}
                    Err(error) => return Err(error),
                }
                return Ok(Round::Again);
            }
            self.fresh = false;
        }
        if !stopping && let Some(event) = self.engine.outdated(&entry).await? {
            self.renew(now).await?;
            self.append(&entry, vec![Record::from(event)]).await?;
            return Ok(Round::Again);
        }
        let attested = if stopping { Vec::new() } else { self.engine.attested(&entry).await? };
        if !attested.is_empty() {
            self.renew(now).await?;
            let records = attested.into_iter().map(Record::from).collect();
            self.append(&entry, records).await?;
            return Ok(Round::Again);
        }
        self.watch_over(&entry, stopping);
        let intents = self.intents(&entry.state, now).await?;
        // What is deferred until nobody knows when is rung for by calendars.
        let is_deferred = entry.state.is_deferred() && !stopping;
        let is_idle = self.running.is_empty() && self.guard.is_empty();
        if intents.is_empty() && is_idle && !is_deferred {
            return Ok(Round::Idle);
        }
        if self.claim.is_none() || !self.only_waits(&intents, now) {
            self.renew(now).await?;
        }
        if !self.decisions(&intents).is_empty() {
            self.append(&entry, Vec::new()).await?;
            return Ok(Round::Again);
        }
        let mut wake: Option<Timestamp> = None;
        let mut sooner = |at: Timestamp| wake = Some(wake.map_or(at, |known| known.min(at)));
        for intent in intents {
            match intent {
                Intent::Append(_) => {}
                Intent::WakeAt(at) => sooner(at),
                Intent::Perform { step, .. } if self.flights.contains_key(&step) => {}
                Intent::Perform { .. } if stopping => {}
                Intent::Perform { deployment, step } => match self.polls.get(&step) {
                    Some(at) if !is_due(*at, now) => sooner(*at),
                    _ => self.perform(&entry, deployment, step),
                },
                Intent::Abandon { step, .. } => {
                    if let Some(flight) = self.flights.get(&step) {
                        flight.leave.send_replace(Leave::Abandoned);
                    }
                }
            }
        }
        Ok(Round::Wait(wake))
    }

    /// What should happen now, by what calendars say now.
    async fn intents(
        &self,
        state: &EnvironmentState,
        now: Timestamp,
    ) -> Result<Vec<Intent>, EngineError> {
        let outlook = self.engine.outlook(&self.id, state, now).await?;
        Ok(next(state, now, &outlook))
    }

    /// Whether nothing is done, and nothing to be done now. Then the claim may run
    /// out: who takes it over disturbs nothing, and what this worker appends later
    /// is refused by its fence. Rollouts wait for hours, hundreds at a time; to
    /// renew each claim all the while would be most of what they cost.
    fn only_waits(&self, intents: &[Intent], now: Timestamp) -> bool {
        let later = |intent: &Intent| match intent {
            Intent::WakeAt(_) => true,
            Intent::Perform { step, .. } => {
                self.polls.get(step).is_some_and(|at| !is_due(*at, now))
            }
            Intent::Append(_) | Intent::Abandon { .. } => false,
        };
        self.running.is_empty() && intents.iter().all(later)
    }

    /// What is to be recorded of what should happen now.
    fn decisions(&self, intents: &[Intent]) -> Vec<Event> {
        if self.engine.workers.is_stopping() {
            return Vec::new();
        }
        let event = |intent: &Intent| match intent {
            // A driver that is just being asked whether it is done may say
            // so: a deployment does not end before its last answer.
            Intent::Append(Event::DeploymentEnded { .. }) if !self.running.is_empty() => None,
            Intent::Append(event) => Some(event.clone()),
            _ => None,
        };
        intents.iter().filter_map(event).take(EVENTS_AT_ONCE).collect()
    }

    fn perform(&mut self, entry: &Arc<EnvironmentEntry>, deployment: DeploymentId, step: StepId) {
        Counts::count(&self.engine.counts.steps);
        let engine = self.engine.clone();
        let entry = entry.clone();
        let environment = self.id.clone();
        let name = step.clone();
        let of = deployment.clone();
        let contents = self.contents.clone();
        let (leave, left) = watch::channel(Leave::Stay);
        let handle = self.running.spawn(async move {
            let performing =
                effects::perform(engine, environment, entry, &deployment, &name, left, contents);
            let performed = Box::pin(performing).await;
            (deployment, name, performed)
        });
        self.flights.insert(step, Flight { deployment: of, task: handle.id(), leave });
    }

    /// Has what a rollout has brought watched, for as long as it stands still.
    fn watch_over(&mut self, entry: &Arc<EnvironmentEntry>, stopping: bool) {
        let active = entry.state.active.as_ref();
        let active = active.filter(|active| !stopping && !active.is_stopping());
        let waits =
            active.and_then(|active| Some((active.id.clone(), active.stands_still()?.id.clone())));
        if self.guarded.as_ref() == waits.as_ref().map(|(_, step)| step) {
            return;
        }
        self.guard = JoinSet::new();
        self.guarded = waits.as_ref().map(|(_, step)| step.clone());
        let Some((deployment, step)) = waits else { return };
        let (engine, entry) = (self.engine.clone(), entry.clone());
        let (environment, contents) = (self.id.clone(), self.contents.clone());
        self.guard.spawn(async move {
            let (of, name) = (deployment.clone(), step.clone());
            let guard = effects::guard(engine, environment, entry, of, name, contents);
            Finished { deployment, step, record: Box::pin(guard).await }
        });
    }

    /// Until something that runs has ended, the bell rings, or it is time.
    async fn wait(&mut self, until: Option<Timestamp>, bell: &Notify) {
        let now = self.engine.ports.clock.now();
        let longest = match self.running.is_empty() {
            true => SLEEP_MAX,
            false => SLEEP_MAX.min(Duration::from_millis(CLAIM_RENEW_MS / 2)),
        };
        let sleep =
            until.map_or(longest, |at| Duration::from_millis(at.ms_since(now))).min(longest);
        tokio::select! {
            // In order, so that a run can be repeated from its seed; whichever
            // is ready, everything is looked at afterwards.
            biased;
            Some(ended) = self.running.join_next() => {
                let mut finished = Vec::new();
                finished.extend(self.ended(ended));
                // What ended meanwhile is recorded with it.
                while finished.len() < EVENTS_AT_ONCE
                    && let Some(ended) = self.running.try_join_next()
                {
                    finished.extend(self.ended(ended));
                }
                self.record(finished).await;
            }
            Some(failed) = self.guard.join_next() => match failed {
                Ok(finished) => self.record(vec![finished]).await,
                Err(error) => {
                    // The rollout itself goes on; it is watched again in its next step.
                    tracing::error!(environment = %self.id, %error, "a guard has panicked");
                }
            },
            () = bell.notified() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }

    /// What is to be recorded of a step that was performed.
    fn ended(
        &mut self,
        ended: Result<(DeploymentId, StepId, Performed), tokio::task::JoinError>,
    ) -> Option<Finished> {
        let (deployment, step, performed) = match ended {
            Ok(ended) => ended,
            Err(error) => self.died(&error)?,
        };
        self.flights.remove(&step);
        match performed {
            Performed::Record(record) => {
                self.polls.remove(&step);
                Some(Finished { deployment, step, record: *record })
            }
            Performed::StillPending { poll_at } => {
                self.polls.insert(step, poll_at);
                None
            }
            Performed::Left => None,
        }
    }

    /// The code that performs a step has panicked.
    fn died(&self, error: &tokio::task::JoinError) -> Option<(DeploymentId, StepId, Performed)> {
        let (step, flight) = self.flights.iter().find(|(_, flight)| flight.task == error.id())?;
        tracing::error!(environment = %self.id, %step, %error, "a step has panicked");
        let fault = Fault::bug(
            "step-panicked",
            format!("deployd itself failed in step {step}; please report it"),
        );
        let (deployment, step) = (flight.deployment.clone(), step.clone());
        let event = Event::StepFailed {
            deployment: deployment.clone(),
            step: step.clone(),
            fault,
            published: None,
        };
        Some((deployment, step, Performed::Record(Box::new(event.into()))))
    }
}
