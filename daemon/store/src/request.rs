//! What travels to the writer, and what comes back.

use deployd_core::journal::{Head, StreamId};
use deployd_core::outbox::Message;
use deployd_core::ports::{Accepted, Claim, IdempotencyKey, StoreError, WorkerId};
use deployd_core::{Digest, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::apply::{self, Prepared};
use crate::error::Failure;
use crate::room::Needs;
use crate::tables::Tables;
use crate::{claims, idempotency, outbox};

/// Something to change, as plain data.
#[derive(Debug)]
pub(crate) enum Command {
    Append(Prepared),
    Accept { key: IdempotencyKey, digest: Digest, answer: Vec<u8>, now: Timestamp, batch: Prepared },
    Claim { stream: StreamId, worker: WorkerId, now: Timestamp, ttl_ms: u64 },
    Release(Claim),
    Take { now: Timestamp, lease_until: Timestamp, max: usize },
    Settle(Box<Message>),
}

/// The answer to a command of the same name.
#[derive(Debug)]
pub(crate) enum Answer {
    Heads(Vec<Head>),
    Accepted(Accepted),
    Claim(Claim),
    Messages(Vec<Message>),
    Done,
}

/// A share of the memory of the queue, given back when it is dropped.
pub(crate) type Share = OwnedSemaphorePermit;

/// A command on its way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// What it weighs in its group.
    pub(crate) bytes: usize,
    /// Held as long as the command is.
    pub(crate) share: Share,
    pub(crate) reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// What came of a command within a transaction.
pub(crate) struct Applied {
    pub(crate) answer: Answer,
    /// Whether there is something to commit.
    pub(crate) changed: bool,
}

impl Applied {
    fn changed(answer: Answer) -> Self {
        Self { answer, changed: true }
    }

    fn unchanged(answer: Answer) -> Self {
        Self { answer, changed: false }
    }
}

impl Command {
    /// Whether it makes the store grow for good.
    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Append(_) | Self::Accept { .. } => Needs::Growth,
            Self::Claim { .. } | Self::Release(_) | Self::Take { .. } | Self::Settle(_) => {
                Needs::Change
            }
        }
    }

    /// The streams that it may append to.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &StreamId> {
        let batch = match self {
            Self::Append(batch) | Self::Accept { batch, .. } => Some(batch),
            _ => None,
        };
        batch.into_iter().flat_map(Prepared::streams)
    }

    /// What two seeded bugs leave out of [`Command::apply`].
    pub(crate) fn apply_late(&self, tables: &mut Tables<'_>) -> Result<(), Failure> {
        match self {
            Self::Append(batch) | Self::Accept { batch, .. } => apply::late(tables, batch),
            _ => Ok(()),
        }
    }

    /// Does it, or refuses and leaves everything as it was.
    ///
    /// `room` is asked when it is clear that something would be written: a
    /// request that was answered before is answered also when the disk is full.
    pub(crate) fn apply(
        &self,
        tables: &mut Tables<'_>,
        room: &mut dyn FnMut(Needs) -> Result<(), StoreError>,
    ) -> Result<Applied, Failure> {
        let needs = self.needs();
        match self {
            Self::Append(batch) => {
                room(needs)?;
                Ok(Applied::changed(Answer::Heads(apply::batch(tables, batch)?)))
            }
            Self::Accept { key, digest, answer, now, batch } => {
                if let Some(recorded) = idempotency::recorded(&*tables.keys, key, *digest)? {
                    return Ok(Applied::unchanged(Answer::Accepted(Accepted::Replayed(recorded))));
                }
                room(needs)?;
                apply::batch(tables, batch)?;
                idempotency::record(tables, key, *digest, answer, *now)?;
                Ok(Applied::changed(Answer::Accepted(Accepted::New)))
            }
            Self::Claim { stream, worker, now, ttl_ms } => {
                room(needs)?;
                let claim = claims::claim(tables, stream, worker, *now, *ttl_ms)?;
                Ok(Applied::changed(Answer::Claim(claim)))
            }
            Self::Release(claim) => {
                room(needs)?;
                let changed = claims::release(tables, claim)?;
                Ok(Applied { answer: Answer::Done, changed })
            }
            Self::Take { now, lease_until, max } => {
                room(needs)?;
                let (messages, changed) = outbox::take(tables, *now, *lease_until, *max)?;
                Ok(Applied { answer: Answer::Messages(messages), changed })
            }
            Self::Settle(message) => {
                room(needs)?;
                outbox::settle(tables, message)?;
                Ok(Applied::changed(Answer::Done))
            }
        }
    }
}
