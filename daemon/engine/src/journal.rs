//! Appends events of environments: with what becomes of their projections, and
//! with what others are to be told, in one transaction.

use deployd_core::config::SubscriptionSpec;
use deployd_core::deployment::{DeploymentRecord, EnvironmentState, Event, Outcome, transition};
use deployd_core::journal::{NewEvent, StreamId};
use deployd_core::notice::notice;
use deployd_core::outbox::{Message, MessageId};
use deployd_core::ports::{Accepted, Append, Batch, Fence, Object, StoreError};
use deployd_core::{Actor, EnvironmentId, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::records::{
    BY_ENVIRONMENT, DEPLOYMENTS, ENVIRONMENTS, EnvironmentEntry, environment_key, numbered_key, put,
};
use crate::{Caller, Counts, EngineError, Inner};

/// How often a request is decided anew because somebody else appended first.
/// Each time somebody got on, so this many in a row means a storm.
pub(crate) const CONFLICTS_MAX: usize = 20;

/// What appending made.
pub(crate) struct Appended {
    pub(crate) batch: Batch,
    /// Of the last event.
    pub(crate) record: Option<DeploymentRecord>,
    ended: Vec<Outcome>,
}

impl Inner {
    /// The batch that appends events to an environment. Fails on an event that
    /// can't happen in its state.
    pub(crate) async fn prepare(
        &self,
        environment: &EnvironmentId,
        entry: &EnvironmentEntry,
        actor: &Actor,
        fence: Option<Fence>,
        events: &[Event],
    ) -> Result<Appended, EngineError> {
        let at = self.ports.clock.now();
        let stream = StreamId::environment(environment);
        let mut state: EnvironmentState = entry.state.clone();
        let mut version = entry.version;
        let mut batch = Batch::default();
        let mut new = Vec::with_capacity(events.len());
        let mut last = None;
        let mut ended = Vec::new();
        let mut subscriptions: Option<Vec<(Name, SubscriptionSpec)>> = None;
        for event in events {
            let (after, record) = transition(environment, state, at, actor, event)
                .map_err(|illegal| EngineError::Conflict { message: illegal.to_string() })?;
            state = after;
            version = version.next();
            new.push(NewEvent {
                at,
                actor: actor.clone(),
                kind: event.kind().to_owned(),
                body: serde_json::to_value(event).map_err(EngineError::bug)?,
            });
            if let Some(notice) = notice(&stream, version, at, event, &record) {
                if subscriptions.is_none() {
                    subscriptions = Some(self.subscriptions().await?);
                }
                let document = serde_json::to_value(&notice).map_err(EngineError::bug)?;
                for (name, spec) in subscriptions.iter().flatten() {
                    let (application, environment) = (&notice.application, &notice.environment);
                    if spec.matches(&notice.notice_type, application, environment) {
                        let id = MessageId::of(&stream, version, name);
                        batch.outbox.push(Message::new(id, name.clone(), document.clone(), at));
                    }
                }
            }
            if matches!(event, Event::DeploymentQueued { .. }) {
                let key = numbered_key(&environment.to_string(), record.number);
                batch.puts.push(put(BY_ENVIRONMENT, key, &record.id)?);
            }
            ended.extend(record.outcome);
            batch.puts.push(put(DEPLOYMENTS, record.id.0.as_bytes().to_vec(), &record)?);
            last = Some(record);
        }
        let after = EnvironmentEntry { version, state };
        batch.puts.push(put(ENVIRONMENTS, environment_key(environment), &after)?);
        if !new.is_empty() {
            batch.appends.push(Append { stream, expect: entry.version, fence, events: new });
        }
        Ok(Appended { batch, record: last, ended })
    }

    /// Tells everybody who waits that something was appended.
    pub(crate) fn appended(&self, appended: &Appended) {
        for outcome in &appended.ended {
            Counts::count(match outcome {
                Outcome::Succeeded => &self.counts.succeeded,
                _ => &self.counts.not_succeeded,
            });
        }
        self.changes.announce();
        if !appended.batch.outbox.is_empty() {
            self.outbox.ring();
        }
    }

    /// Stores the batch of a request, once per idempotency key. Returns the
    /// recorded answer when the request came before.
    pub(crate) async fn commit<T: Serialize + DeserializeOwned>(
        &self,
        caller: &Caller,
        answer: T,
        batch: Batch,
    ) -> Result<T, StoreOrEngine> {
        let Some(idempotency) = &caller.idempotency else {
            self.ports.store.append(batch).await?;
            return Ok(answer);
        };
        let bytes = crate::records::encode(&answer).map_err(StoreOrEngine::Engine)?;
        let now = self.ports.clock.now();
        let key = scoped_key(caller, idempotency);
        match self.ports.store.accept(key, idempotency.digest, bytes, now, batch).await? {
            Accepted::New => Ok(answer),
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

    /// Appends a single event to a stream that has no projection of its own.
    pub(crate) async fn note(
        &self,
        stream: StreamId,
        actor: &Actor,
        body: serde_json::Value,
        mut batch: Batch,
    ) -> Result<Batch, EngineError> {
        let head = self.ports.store.head(&stream).await?;
        let kind = body.get("type").and_then(serde_json::Value::as_str).unwrap_or("note");
        let event = NewEvent {
            at: self.ports.clock.now(),
            actor: actor.clone(),
            kind: kind.to_owned(),
            body,
        };
        batch.appends.push(Append {
            stream,
            expect: head.version,
            fence: None,
            events: vec![event],
        });
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
