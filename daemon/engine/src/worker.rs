//! One worker per environment that has something to do: asks `next`, appends and
//! performs, until nothing is left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deployd_core::deployment::{Event, Intent, StepId, interrupted, next};
use deployd_core::journal::StreamId;
use deployd_core::ports::{Claim, Object, Order, StoreError};
use deployd_core::{Actor, DeploymentId, EnvironmentId, Fault, Timestamp};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::effects::{self, Performed};
use crate::journal::with_objects;
use crate::records::{ENVIRONMENTS, EnvironmentEntry, SCAN_MAX, decode, environment};
use crate::{Counts, EngineError, Inner};

/// How long a claim of an environment holds without being renewed.
const CLAIM_MS: u64 = 30_000;

/// A claim is renewed when less than this is left of it.
const CLAIM_RENEW_MS: u64 = 20_000;

/// The wait after the store failed a worker, before it tries again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How long a stop waits for what runs. Longer work is resumed by the next start.
const STOP_WAIT: Duration = Duration::from_secs(20);

/// The longest sleep without looking again: a bound on what a jump of the
/// clock on the wall can do.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The workers there are.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    bells: Mutex<HashMap<EnvironmentId, Arc<Notify>>>,
    stopping: AtomicBool,
    stopped: Notify,
}

impl Workers {
    /// Has an environment looked at: by its worker, or by a new one.
    pub(crate) fn wake(&self, engine: &Arc<Inner>, id: &EnvironmentId) {
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(id) {
            bell.notify_one();
            return;
        }
        let bell = Arc::new(Notify::new());
        bells.insert(id.clone(), bell.clone());
        tokio::spawn(work(engine.clone(), id.clone(), bell));
    }

    /// Whether nothing new should begin.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// How many environments are being worked on.
    pub(crate) fn busy(&self) -> u64 {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Takes a worker off that has nothing left to do; false when it was rung
    /// for meanwhile.
    fn leave(&self, id: &EnvironmentId, bell: &Arc<Notify>) -> bool {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        // A bell that was rung while nobody waited keeps one permit.
        let mut rung = std::pin::pin!(bell.notified());
        if rung.as_mut().enable() && !self.stopping.load(Ordering::Acquire) {
            return false;
        }
        bells.remove(id);
        self.stopped.notify_waiters();
        true
    }
}

/// Goes on with what the last process left, in every environment.
pub(crate) async fn start(engine: &Arc<Inner>) -> Result<(), EngineError> {
    let range = deployd_core::ports::KeyRange { start: Vec::new(), end: None };
    let page = engine.ports.store.scan(ENVIRONMENTS, range, Order::Ascending, SCAN_MAX).await?;
    for (key, bytes) in &page.entries {
        // One record that can't be read must not keep all others from going on.
        let read = || -> Result<(EnvironmentId, EnvironmentEntry), EngineError> {
            let text = String::from_utf8_lossy(key).into_owned();
            let id = text.try_into().map_err(EngineError::bug)?;
            Ok((id, decode("environment", bytes)?))
        };
        match read() {
            Ok((id, entry)) => {
                if entry.state.active.is_some() || !entry.state.queue.is_empty() {
                    recover(engine, &id, &entry).await;
                    engine.workers.wake(engine, &id);
                }
            }
            Err(error) => tracing::error!(
                environment = %String::from_utf8_lossy(key), %error,
                "an environment is set aside: its record can't be read"
            ),
        }
    }
    Ok(())
}

/// Records what was running when the last process ended.
async fn recover(engine: &Arc<Inner>, id: &EnvironmentId, entry: &EnvironmentEntry) {
    let events = interrupted(&entry.state);
    if events.is_empty() {
        return;
    }
    tracing::info!(environment = %id, steps = events.len(), "resuming after an interruption");
    let appended = engine.prepare(id, entry, &Actor::deployd(), None, &events).await;
    let result = match appended {
        Ok(appended) => engine
            .ports
            .store
            .append(appended.batch.clone())
            .await
            .map(|_| engine.appended(&appended))
            .map_err(EngineError::from),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::error!(environment = %id, %error, "an interruption could not be recorded");
    }
}

/// Stops all workers, and waits for what runs, within a bound.
pub(crate) async fn stop(engine: &Arc<Inner>) {
    engine.workers.stopping.store(true, Ordering::Release);
    engine.outbox.ring();
    let all_left = async {
        loop {
            let mut left = std::pin::pin!(engine.workers.stopped.notified());
            left.as_mut().enable();
            {
                let bells = engine.workers.bells.lock().unwrap_or_else(PoisonError::into_inner);
                if bells.is_empty() {
                    return;
                }
                for bell in bells.values() {
                    bell.notify_one();
                }
            }
            left.await;
        }
    };
    if tokio::time::timeout(STOP_WAIT, all_left).await.is_err() {
        tracing::warn!("what still runs will be resumed by the next start");
    }
}

struct Worker {
    engine: Arc<Inner>,
    id: EnvironmentId,
    claim: Option<Claim>,
    running: JoinSet<(DeploymentId, StepId, Performed)>,
    handles: HashMap<StepId, AbortHandle>,
    /// When to ask a driver again that has nothing new to tell.
    polls: HashMap<StepId, Timestamp>,
}

async fn work(engine: Arc<Inner>, id: EnvironmentId, bell: Arc<Notify>) {
    let mut worker = Worker {
        engine,
        id,
        claim: None,
        running: JoinSet::new(),
        handles: HashMap::new(),
        polls: HashMap::new(),
    };
    loop {
        match worker.round().await {
            Ok(Round::Again) => {}
            Ok(Round::Wait(until)) => worker.wait(until, &bell).await,
            Ok(Round::Idle) => {
                worker.release().await;
                if worker.engine.workers.leave(&worker.id, &bell) {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(environment = %worker.id, %error, "the worker will try again");
                tokio::time::sleep(STORE_PAUSE).await;
                if worker.engine.workers.stopping.load(Ordering::Acquire)
                    && worker.engine.workers.leave(&worker.id, &bell)
                {
                    return;
                }
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
        let stopping = self.engine.workers.stopping.load(Ordering::Acquire);
        let entry = environment(&*self.engine.ports.store, &self.id).await?;
        let now = self.engine.ports.clock.now();
        let intents = next(&entry.state, now);
        if intents.is_empty() && self.running.is_empty() {
            return Ok(Round::Idle);
        }
        if stopping && self.running.is_empty() {
            return Ok(Round::Idle);
        }
        self.renew(now).await?;
        let events: Vec<Event> = intents
            .iter()
            .filter_map(|intent| match intent {
                Intent::Append(event) if !stopping => Some(event.clone()),
                _ => None,
            })
            .collect();
        if !events.is_empty() {
            self.append(&entry, &events, Vec::new()).await?;
            return Ok(Round::Again);
        }
        let mut wake: Option<Timestamp> = None;
        let mut sooner = |at: Timestamp| wake = Some(wake.map_or(at, |known| known.min(at)));
        for intent in intents {
            match intent {
                Intent::Append(_) => {}
                Intent::WakeAt(at) => sooner(at),
                Intent::Perform { step, .. } if self.handles.contains_key(&step) => {}
                Intent::Perform { .. } if stopping => {}
                Intent::Perform { deployment, step } => match self.polls.get(&step) {
                    Some(at) if *at > now => sooner(*at),
                    _ => self.perform(&entry, deployment, step),
                },
                Intent::Abandon { step, .. } => {
                    if let Some(handle) = self.handles.get(&step)
                        && effects::can_be_abandoned(&entry.state, &step)
                    {
                        handle.abort();
                    }
                }
            }
        }
        Ok(Round::Wait(wake))
    }

    fn perform(&mut self, entry: &EnvironmentEntry, deployment: DeploymentId, step: StepId) {
        Counts::count(&self.engine.counts.steps);
        let engine = self.engine.clone();
        let state = entry.state.clone();
        let environment = self.id.clone();
        let name = step.clone();
        let handle = self.running.spawn(async move {
            let performed = effects::perform(engine, environment, state, &deployment, &name).await;
            (deployment, name, performed)
        });
        self.handles.insert(step, handle);
    }

    /// Until something that runs has ended, the bell rings, or it is time.
    async fn wait(&mut self, until: Option<Timestamp>, bell: &Notify) {
        let now = self.engine.ports.clock.now();
        let sleep = until
            .map_or(SLEEP_MAX, |at| Duration::from_millis(at.ms_since(now)))
            .min(SLEEP_MAX)
            .min(Duration::from_millis(CLAIM_RENEW_MS / 2));
        tokio::select! {
            Some(ended) = self.running.join_next_with_id() => match ended {
                Ok((_, (deployment, step, performed))) => {
                    self.handles.remove(&step);
                    self.ended(deployment, step, performed).await;
                }
                Err(error) => self.died(&error).await,
            },
            () = bell.notified() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }

    /// Records what came of a step. When that fails, the step is still recorded
    /// as running; it is performed again with the same key.
    async fn ended(&mut self, deployment: DeploymentId, step: StepId, performed: Performed) {
        let (event, objects) = match performed {
            Performed::Event(event, objects) => (event, objects),
            Performed::StillPending { poll_at } => {
                self.polls.insert(step, poll_at);
                return;
            }
        };
        self.polls.remove(&step);
        let mut attempt = 0;
        loop {
            let result = async {
                let entry = environment(&*self.engine.ports.store, &self.id).await?;
                self.append(&entry, std::slice::from_ref(&event), objects.clone()).await
            }
            .await;
            match result {
                Ok(()) => return,
                Err(EngineError::Store(StoreError::Conflict { .. } | StoreError::Busy))
                    if attempt < crate::journal::CONFLICTS_MAX =>
                {
                    attempt += 1;
                }
                Err(error) => {
                    tracing::error!(
                        environment = %self.id, %deployment, %step, %error,
                        "what came of a step could not be recorded"
                    );
                    return;
                }
            }
        }
    }

    /// A step was abandoned, or the code that performs it has panicked.
    async fn died(&mut self, error: &tokio::task::JoinError) {
        let id = error.id();
        let Some(step) =
            self.handles.iter().find(|(_, handle)| handle.id() == id).map(|(step, _)| step.clone())
        else {
            return;
        };
        self.handles.remove(&step);
        let fault = if error.is_cancelled() {
            Fault::permanent("abandoned", "the deployment ends, and nobody waits for it any more")
        } else {
            tracing::error!(environment = %self.id, %step, %error, "a step has panicked");
            Fault::bug(
                "step-panicked",
                format!("deployd itself failed in step {step}; please report it"),
            )
        };
        let entry = match environment(&*self.engine.ports.store, &self.id).await {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(environment = %self.id, %step, %error, "can't be recorded");
                return;
            }
        };
        let Some(active) = entry.state.active else { return };
        let deployment = active.id;
        let event = Event::StepFailed { deployment: deployment.clone(), step: step.clone(), fault };
        self.ended(deployment, step, Performed::Event(event, Vec::new())).await;
    }

    async fn append(
        &mut self,
        entry: &EnvironmentEntry,
        events: &[Event],
        objects: Vec<Object>,
    ) -> Result<(), EngineError> {
        let fence = self.claim.as_ref().map(|claim| claim.fence);
        let appended =
            self.engine.prepare(&self.id, entry, &Actor::deployd(), fence, events).await?;
        let batch = with_objects(appended.batch.clone(), objects);
        match self.engine.ports.store.append(batch).await {
            Ok(_) => {}
            // Somebody asked for something meanwhile: look again.
            Err(StoreError::Conflict { .. }) if are_decisions(events) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.engine.appended(&appended);
        for event in events {
            if let Event::DeploymentEnded { deployment, .. } = event {
                self.engine.logs.forget(deployment);
                self.polls.clear();
            }
        }
        Ok(())
    }

    async fn renew(&mut self, now: Timestamp) -> Result<(), EngineError> {
        let fresh = self.claim.as_ref().is_some_and(|c| c.until.ms_since(now) > CLAIM_RENEW_MS);
        if !fresh {
            let stream = StreamId::environment(&self.id);
            let worker = &self.engine.worker;
            let claim = self.engine.ports.store.claim(&stream, worker, now, CLAIM_MS).await?;
            self.claim = Some(claim);
        }
        Ok(())
    }

    async fn release(&mut self) {
        if let Some(claim) = self.claim.take()
            && let Err(error) = self.engine.ports.store.release(claim).await
        {
            tracing::debug!(environment = %self.id, %error, "a claim was not given back");
        }
    }
}

/// Whether events only say what should happen: if somebody was quicker, they
/// are simply decided anew. What came of a step is never dropped like that.
fn are_decisions(events: &[Event]) -> bool {
    !events.iter().any(|event| {
        matches!(
            event,
            Event::DeploymentPlanned { .. }
                | Event::StepPending { .. }
                | Event::StepSucceeded { .. }
                | Event::StepFailed { .. }
                | Event::RolloutDecided { .. }
        )
    })
}
