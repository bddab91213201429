//! Appends events of environments: with what becomes of their projections, and
//! with what others are to be told, in one transaction.

use std::sync::Arc;

use deployd_core::audit::marks;
use deployd_core::deployment::projection::Changes;
use deployd_core::deployment::stays::Running;
use deployd_core::deployment::{DeploymentRecord, Event, Outcome, transition};
use deployd_core::journal::{NewEvent, Source, StreamId, Version};
use deployd_core::notice::notice;
use deployd_core::outbox::{Message, MessageId, thread_put};
use deployd_core::ports::{Accepted, Append, Batch, Fence, Object, Put, StoreError};
use deployd_core::seeded::{Bug, seeded};
use deployd_core::{Actor, EnvironmentId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::environments::EnvironmentEntry;
use crate::{Caller, Counts, EngineError, Inner};

/// How often a request is decided anew because somebody else appended first.
/// Each time somebody got on, so this many in a row means a storm.
pub(crate) const CONFLICTS_MAX: usize = 20;

/// Events of one environment that are appended together, and what becomes of
/// its projections by them.
pub(crate) struct Draft<'e> {
    engine: &'e Inner,
    environment: EnvironmentId,
    stream: StreamId,
    actor: Actor,
    source: Option<Source>,
    at: Timestamp,
    before: Arc<EnvironmentEntry>,
    after: EnvironmentEntry,
    events: Vec<NewEvent>,
    changes: Changes,
    outbox: Vec<Message>,
    threads: Vec<Put>,
    record: Option<DeploymentRecord>,
    ended: Vec<Outcome>,
    /// Images that run after what was pushed, once that has changed.
    running: Option<Running>,
}

/// What appending made.
pub(crate) struct Appended {
    pub(crate) batch: Batch,
    /// Of the last event.
    pub(crate) record: Option<DeploymentRecord>,
    environment: EnvironmentId,
    after: Arc<EnvironmentEntry>,
    ended: Vec<Outcome>,
    /// Whether somebody is told of it.
    tells: bool,
}

impl Draft<'_> {
    /// What is so after all events.
    pub(crate) fn after(&self) -> &EnvironmentEntry {
        &self.after
    }

    /// Whether the last event says that the environment is gone.
    pub(crate) fn ends_environment(&self) -> bool {
        self.record.as_ref().is_some_and(|record| {
            record.request.teardown.is_some() && record.outcome == Some(Outcome::Succeeded)
        })
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Adds an event. Fails on one that can't happen now.
    pub(crate) async fn push(&mut self, event: &Event) -> Result<(), EngineError> {
        let state = self.after.state.clone();
        let (after, record) = transition(&self.environment, state, self.at, &self.actor, event)
            .map_err(|illegal| EngineError::Conflict { message: illegal.to_string() })?;
        let forgotten =
            matches!(event, Event::DeploymentSuperseded { .. }) && seeded(Bug::ProjectionForgotten);
        if !forgotten {
            self.changes
                .add(&self.environment, &self.after.state, &after, record.as_ref())
                .map_err(EngineError::bug)?;
        }
        if let Some(record) = &record {
            let puts =
                self.engine.ended(&self.after.state, &after, record, &mut self.running).await?;
            self.changes.include(puts);
        }
        self.after = EnvironmentEntry { version: self.after.version.next(), state: after };
        self.events.push(NewEvent {
            at: self.at,
            actor: self.actor.clone(),
            kind: event.kind().to_owned(),
            body: serde_json::to_value(event).map_err(EngineError::bug)?,
            source: self.source.clone(),
        });
        let version = self.after.version;
        let told =
            notice(&self.environment, &self.stream, version, self.at, event, record.as_ref());
        if let Some(notice) = told {
            let configuration = self.engine.configuration().await?;
            let document = serde_json::to_value(&notice).map_err(EngineError::bug)?;
            for (name, spec) in &configuration.subscriptions {
                let (application, environment) = (&notice.application, &notice.environment);
                if spec.matches(&notice.notice_type, application, environment) {
                    let id = MessageId::of(&self.stream, version, name);
                    let message = Message::new(id, name.clone(), document.clone(), self.at)
                        .waiting(spec.wait_ms());
                    self.threads.extend(thread_put(&message));
                    self.outbox.push(message);
                }
            }
        }
        self.ended.extend(record.as_ref().and_then(|record| record.outcome));
        self.record = record;
        Ok(())
    }

    /// The batch that appends all of them, under a fence if there is one.
    pub(crate) fn finish(self, fence: Option<Fence>) -> Result<Appended, EngineError> {
        let Self { environment, stream, before, after, events, changes, .. } = self;
        let mut puts =
            changes.finish(&environment, after.version, &after.state).map_err(EngineError::bug)?;
        puts.extend(marks(&stream, before.version, &events).map_err(EngineError::bug)?);
        puts.extend(self.threads);
        let tells = !self.outbox.is_empty();
        let mut batch = Batch { puts, outbox: self.outbox, ..Batch::default() };
        if !events.is_empty() {
            batch.appends.push(Append { stream, expect: before.version, fence, events });
        }
        let after = Arc::new(after);
        Ok(Appended { batch, record: self.record, environment, after, ended: self.ended, tells })
    }
}

impl Inner {
    /// Begins to append to an environment as it is now.
    pub(crate) fn draft(
        &self,
        environment: &EnvironmentId,
        entry: &Arc<EnvironmentEntry>,
        actor: &Actor,
    ) -> Draft<'_> {
        Draft {
            engine: self,
            environment: environment.clone(),
            stream: StreamId::environment(environment),
            actor: actor.clone(),
            source: None,
            at: self.ports.clock.now(),
            before: entry.clone(),
            after: (**entry).clone(),
            events: Vec::new(),
            changes: Changes::default(),
            outbox: Vec::new(),
            threads: Vec::new(),
            record: None,
            ended: Vec::new(),
            running: None,
        }
    }

    /// The batch that appends events to an environment. Fails on an event that
    /// can't happen in its state.
    pub(crate) async fn prepare(
        &self,
        environment: &EnvironmentId,
        entry: &Arc<EnvironmentEntry>,
        caller: &Caller,
        events: &[Event],
    ) -> Result<Appended, EngineError> {
        let mut draft = self.draft(environment, entry, &caller.actor);
        draft.source.clone_from(&caller.source);
        for event in events {
            draft.push(event).await?;
        }
        let mut appended = draft.finish(None)?;
        // What has made way, and ends before it has begun again, has a log already.
        let yielded = entry.state.queue.iter().filter(|queued| queued.yielded.is_some());
        for queued in yielded {
            let ends = |event: &&Event| {
                *event.deployment() == queued.id
                    && matches!(
                        event,
                        Event::DeploymentSuperseded { .. } | Event::DeploymentEnded { .. }
                    )
            };
            if events.iter().any(|event| ends(&event)) {
                // Rare, and large. Lines that are left go with the rest of its details.
                Box::pin(self.pack(&queued.id, environment, &mut appended.batch)).await;
            }
        }
        Ok(appended)
    }

    /// Tells everybody who waits that something was appended.
    pub(crate) fn appended(&self, appended: &Appended) {
        self.environments.put(&appended.environment, appended.after.clone());
        for outcome in &appended.ended {
            Counts::count(match outcome {
                Outcome::Succeeded => &self.counts.succeeded,
                _ => &self.counts.not_succeeded,
            });
            self.flow.ring();
        }
        self.changes.announce();
        if appended.tells {
            self.outbox.ring();
        }
    }

    /// Stores the batch of a request, once per idempotency key, and tells of
    /// what it has appended. Returns the recorded answer when the request came
    /// before.
    pub(crate) async fn commit<T: Serialize + DeserializeOwned>(
        &self,
        caller: &Caller,
        answer: T,
        batch: Batch,
        appended: &[Appended],
    ) -> Result<T, StoreOrEngine> {
        let told = || appended.iter().for_each(|one| self.appended(one));
        let Some(idempotency) = &caller.idempotency else {
            self.ports.store.append(batch).await?;
            told();
            return Ok(answer);
        };
        if seeded(Bug::KeyForgotten) {
            self.ports.store.append(batch).await?;
            told();
            return Ok(answer);
        }
        let bytes = crate::records::encode(&answer).map_err(StoreOrEngine::Engine)?;
        let now = self.ports.clock.now();
        let key = scoped_key(caller, idempotency);
        if seeded(Bug::AcknowledgedBeforeStored) {
            let (store, digest) = (self.ports.store.clone(), idempotency.digest);
            tokio::spawn(async move { store.accept(key, digest, bytes, now, batch).await });
            return Ok(answer);
        }
        match self.ports.store.accept(key, idempotency.digest, bytes, now, batch).await? {
            Accepted::New => {
                told();
                Ok(answer)
            }
            Accepted::Replayed(bytes) => {
                crate::records::decode("answer", &bytes).map_err(StoreOrEngine::Engine)
            }
        }
    }

    /// Records the answer of a request that changes nothing here.
    pub(crate) async fn keep_answer<T: Serialize>(
        &self,
        caller: &Caller,
        answer: &T,
    ) -> Result<(), EngineError> {
        let Some(idempotency) = &caller.idempotency else { return Ok(()) };
        let bytes = crate::records::encode(answer)?;
        let now = self.ports.clock.now();
        let key = scoped_key(caller, idempotency);
        self.ports.store.accept(key, idempotency.digest, bytes, now, Batch::default()).await?;
        Ok(())
    }

    /// The recorded answer of a request that came before.
    pub(crate) async fn replayed<T: DeserializeOwned>(
        &self,
        caller: &Caller,
    ) -> Result<Option<T>, EngineError> {
        let Some(idempotency) = &caller.idempotency else { return Ok(None) };
        let key = scoped_key(caller, idempotency);
        let answer = self.ports.store.accepted(key, idempotency.digest).await?;
        answer.map(|bytes| crate::records::decode("answer", &bytes)).transpose()
    }

    /// The version of a stream: to be asked before everything is read that an
    /// event follows from, so that whoever is quicker is noticed.
    pub(crate) async fn version(&self, stream: &StreamId) -> Result<Version, EngineError> {
        Ok(self.ports.store.head(stream).await?.version)
    }

    /// Adds a single event to a batch, of a stream that has no projection of its
    /// own and is at a version.
    pub(crate) fn note(
        &self,
        stream: StreamId,
        expect: Version,
        caller: &Caller,
        body: serde_json::Value,
        mut batch: Batch,
    ) -> Result<Batch, EngineError> {
        let kind = body.get("type").and_then(serde_json::Value::as_str).unwrap_or("note");
        let event = NewEvent {
            at: self.ports.clock.now(),
            actor: caller.actor.clone(),
            kind: kind.to_owned(),
            body,
            source: caller.source.clone(),
        };
        let events = vec![event];
        batch.puts.extend(marks(&stream, expect, &events).map_err(EngineError::bug)?);
        batch.appends.push(Append { stream, expect, fence: None, events });
        Ok(batch)
    }
}

fn scoped_key(
    caller: &Caller,
    idempotency: &crate::Idempotency,
) -> deployd_core::ports::IdempotencyKey {
    deployd_core::ports::IdempotencyKey(format!("{}\0{}", caller.actor, idempotency.key.0))
}

/// So that a conflict can be told from everything else and decided anew.
pub(crate) enum StoreOrEngine {
    Conflict,
    Engine(EngineError),
}

impl From<StoreError> for StoreOrEngine {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } => Self::Conflict,
            other => Self::Engine(other.into()),
        }
    }
}

impl From<EngineError> for StoreOrEngine {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(StoreError::Conflict { .. }) => Self::Conflict,
            other => Self::Engine(other),
        }
    }
}

/// Decides anew as long as somebody else was quicker.
pub(crate) async fn until_no_conflict<T, F, A>(mut decide: F) -> Result<T, EngineError>
where
    F: FnMut() -> A,
    A: Future<Output = Result<T, StoreOrEngine>>,
{
    for _ in 0..CONFLICTS_MAX {
        match decide().await {
            Ok(value) => return Ok(value),
            Err(StoreOrEngine::Conflict) => tokio::task::yield_now().await,
            Err(StoreOrEngine::Engine(error)) => return Err(error),
        }
    }
    Err(EngineError::Store(StoreError::Busy))
}

/// Content and what is appended with it.
pub(crate) fn with_objects(mut batch: Batch, objects: Vec<Object>) -> Batch {
    batch.objects.extend(objects);
    batch
}
