//! One worker per environment that has something to do: asks `next`, appends and
//! performs, until nothing is left.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deployd_core::deployment::projection::{ENVIRONMENTS, EnvironmentHead};
use deployd_core::deployment::{Event, Intent, StepId, StepStatus, interrupted, is_due, next};
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Claim, Order, StoreError};
use deployd_core::seeded::{Bug, seeded};
use deployd_core::{Actor, DeploymentId, EnvironmentId, Fault, Timestamp};
use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::effects::{self, Contents, Leave, Performed, Record};
use crate::environments::EnvironmentEntry;
use crate::records::{SCAN_MAX, decode};
use crate::{Counts, EngineError, Inner};

/// How long a claim of an environment holds without being renewed.
const CLAIM_MS: u64 = 30_000;

/// A claim is renewed when less than this is left of it.
const CLAIM_RENEW_MS: u64 = 20_000;

/// The wait after a worker failed, before it tries again. It doubles with each
/// failure in a row.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest such wait: an environment whose record can't be read costs one
/// line of the daemon's log a minute, and nobody else anything.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long a stop waits for what runs. Longer work is resumed by the next start.
const STOP_WAIT: Duration = Duration::from_secs(20);

/// The longest sleep without looking again: a bound on what a jump of the
/// clock on the wall can do.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Events that are appended together: a bound for what one transaction takes,
/// and more than most deployments have.
const EVENTS_AT_ONCE: usize = 500;

/// The workers there are.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    bells: Mutex<BTreeMap<EnvironmentId, Arc<Notify>>>,
    stopping: AtomicBool,
}

impl Workers {
    /// Has an environment looked at: by its worker, or by a new one.
    pub(crate) fn wake(&self, engine: &Arc<Inner>, id: &EnvironmentId) {
        if self.is_stopping() {
            return;
        }
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(id) {
            bell.notify_one();
            return;
        }
        let bell = Arc::new(Notify::new());
        bells.insert(id.clone(), bell.clone());
        engine.tasks.spawn(supervise(engine.clone(), id.clone(), bell));
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
        if rung.as_mut().enable() && !self.is_stopping() {
            return false;
        }
        bells.remove(id);
        true
    }

    /// Has every worker look that nothing new should begin.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in bells.values() {
            bell.notify_one();
        }
    }
}

/// Goes on with what the last process left, in every environment.
pub(crate) async fn start(engine: &Arc<Inner>) -> Result<(), EngineError> {
    let range = deployd_core::ports::KeyRange { start: Vec::new(), end: None };
    let page = engine.ports.store.scan(ENVIRONMENTS, range, Order::Ascending, SCAN_MAX).await?;
    for (key, bytes) in &page.entries {
        // One record that can't be read must not keep all others from going on.
        let read = || -> Result<(EnvironmentId, EnvironmentHead), EngineError> {
            let text = String::from_utf8_lossy(key).into_owned();
            let id = text.try_into().map_err(EngineError::bug)?;
            Ok((id, decode("environment", bytes)?))
        };
        match read() {
            Ok((id, head)) => {
                if head.active.is_some() || !head.queue.is_empty() {
                    engine.workers.wake(engine, &id);
                }
            }
            Err(error) if seeded(Bug::PoisonRecord) => return Err(error),
            Err(error) => tracing::error!(
                environment = %String::from_utf8_lossy(key), %error,
                "an environment is set aside: its record can't be read"
            ),
        }
    }
    Ok(())
}

/// Stops all tasks, and waits for what runs, within a bound.
pub(crate) async fn stop(engine: &Arc<Inner>) {
    engine.workers.stop();
    engine.outbox.ring();
    engine.expiry.ring();
    engine.drift.ring();
    let mut tasks = engine.tasks.take();
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WAIT, all_ended).await.is_err() {
        tracing::warn!("what still runs will be resumed by the next start");
    }
}

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
        let intents = next(&entry.state, now);
        if intents.is_empty() && self.running.is_empty() {
            return Ok(Round::Idle);
        }
        self.renew(now).await?;
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

    /// Until something that runs has ended, the bell rings, or it is time.
    async fn wait(&mut self, until: Option<Timestamp>, bell: &Notify) {
        let now = self.engine.ports.clock.now();
        let sleep = until
            .map_or(SLEEP_MAX, |at| Duration::from_millis(at.ms_since(now)))
            .min(SLEEP_MAX)
            .min(Duration::from_millis(CLAIM_RENEW_MS / 2));
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
        let event = Event::StepFailed { deployment: deployment.clone(), step: step.clone(), fault };
        Some((deployment, step, Performed::Record(Box::new(event.into()))))
    }

    /// Records what came of steps: together, or else one by one, so that one
    /// which can't be recorded does not spoil the others.
    async fn record(&mut self, finished: Vec<Finished>) {
        if finished.len() > 1 {
            let records = || finished.iter().map(|one| one.record.clone()).collect();
            let entry = self.engine.environment(&self.id).await;
            if let Ok(entry) = entry
                && self.append(&entry, records()).await.is_ok()
            {
                return;
            }
        }
        for one in finished {
            self.record_one(one).await;
        }
    }

    /// Records what came of a step, however long that takes: what was done is
    /// not done again because the store was busy. Only a stop gives up; then
    /// the step is interrupted.
    async fn record_one(&mut self, finished: Finished) {
        let Finished { deployment, step, mut record } = finished;
        let mut pause = PAUSE;
        loop {
            let result = async {
                let entry = self.engine.environment(&self.id).await?;
                self.append(&entry, vec![record.clone()]).await
            }
            .await;
            match result {
                Ok(()) => return,
                // Somebody asked for something meanwhile, and got on.
                Err(EngineError::Store(StoreError::Conflict { .. })) => {
                    tokio::task::yield_now().await;
                    continue;
                }
                // Whoever has the claim now goes on from what is recorded.
                Err(EngineError::Store(StoreError::Fenced { .. })) => {
                    tracing::warn!(environment = %self.id, %step, "the claim was lost: a result is dropped");
                    self.lost_claim();
                    return;
                }
                // Too large, most likely: that it came to nothing is not.
                Err(EngineError::Store(error @ StoreError::InvalidBatch(_)))
                    if !is_unrecordable(&record.event) =>
                {
                    let message = format!("what came of the step can't be recorded: {error}");
                    let fault = Fault::bug(UNRECORDABLE, message);
                    let (deployment, step) = (deployment.clone(), step.clone());
                    record = Event::StepFailed { deployment, step, fault }.into();
                    continue;
                }
                // It can't have happened, says the state: only a mistake of ours
                // leads here, which must not turn into a storm of effects.
                Err(error @ EngineError::Conflict { .. }) => {
                    tracing::error!(environment = %self.id, %deployment, %step, %error, "a result is dropped");
                    let later = self.engine.ports.clock.now().plus_ms(PAUSE_MAX.as_millis() as u64);
                    self.polls.insert(step, later);
                    return;
                }
                Err(error) => {
                    tracing::error!(
                        environment = %self.id, %deployment, %step, %error,
                        "what came of a step could not be recorded yet"
                    );
                }
            }
            if self.engine.workers.is_stopping() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Appends what came of steps, and what should happen then, in one
    /// transaction.
    async fn append(
        &mut self,
        entry: &Arc<EnvironmentEntry>,
        records: Vec<Record>,
    ) -> Result<(), EngineError> {
        let engine = self.engine.clone();
        let only_decisions = records.is_empty();
        let mut draft = engine.draft(&self.id, entry, &Actor::deployd());
        let mut batch = Batch::default();
        let mut over = Vec::new();
        let mut forgotten = false;
        for Record { event, objects, lines } in records {
            draft.push(&event).await?;
            let begins = draft.after().state.teardown().is_some()
                && matches!(event, Event::DeploymentPlanned { .. });
            forgotten |= begins && seeded(Bug::ForgottenTooEarly);
            batch.objects.extend(objects);
            batch.puts.extend(lines);
        }
        // What follows is recorded with what it follows upon, as far as it is
        // only a record: the effects come after the commit.
        while draft.len() < EVENTS_AT_ONCE {
            let intents = next(&draft.after().state, engine.ports.clock.now());
            let events = self.decisions(&intents);
            if events.is_empty() {
                break;
            }
            for event in &events {
                draft.push(event).await?;
                if let Event::DeploymentEnded { deployment, .. } = event {
                    over.push(deployment.clone());
                }
                forgotten |= draft.ends_environment();
            }
        }
        if draft.len() == 0 {
            return Ok(());
        }
        let fence = self.claim.as_ref().map(|claim| claim.fence);
        let fence = fence.filter(|_| !seeded(Bug::LostClaimGoesOn));
        if seeded(Bug::EffectBeforeIntent) {
            self.too_early(&Arc::new(draft.after().clone())).await;
        }
        let mut appended = draft.finish(fence)?;
        let of_events = std::mem::take(&mut appended.batch);
        batch.appends = of_events.appends;
        batch.puts.extend(of_events.puts);
        batch.outbox = of_events.outbox;
        if forgotten {
            batch = engine.forget_environment(&self.id, batch).await?;
        }
        let apart = match seeded(Bug::OutboxApart) {
            true => Batch { outbox: std::mem::take(&mut batch.outbox), ..Batch::default() },
            false => Batch::default(),
        };
        match engine.ports.store.append(batch).await {
            Ok(_) => {}
            // Somebody asked for something meanwhile: look again.
            Err(StoreError::Conflict { .. }) if only_decisions => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if !apart.outbox.is_empty() {
            engine.ports.store.append(apart).await?;
        }
        engine.appended(&appended);
        for deployment in over {
            engine.logs.forget(&deployment);
            self.polls.clear();
            self.contents = Arc::default();
        }
        Ok(())
    }

    /// A bug on purpose: begins what was not recorded yet.
    async fn too_early(&mut self, after: &Arc<EnvironmentEntry>) {
        let Some(active) = after.state.active.clone() else { return };
        for step in active.steps.iter().filter(|step| step.status == StepStatus::Running) {
            if !self.flights.contains_key(&step.id) {
                self.perform(after, active.id.clone(), step.id.clone());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Another worker has taken the environment over: nothing of what this one
    /// does counts any more, and all of it ends.
    fn lost_claim(&mut self) {
        self.claim = None;
        self.fresh = true;
        self.running = JoinSet::new();
        self.flights.clear();
        self.polls.clear();
        self.contents = Arc::default();
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

/// The code of the fault of a step whose result can't be recorded.
const UNRECORDABLE: &str = "result-unrecordable";

fn is_unrecordable(event: &Event) -> bool {
    matches!(event, Event::StepFailed { fault, .. } if fault.code == UNRECORDABLE)
}
