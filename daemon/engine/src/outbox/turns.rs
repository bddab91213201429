//! Threads: the messages about one deployment to one subscription, told one after
//! the other by notifiers that read answers.

use std::collections::HashSet;

use deployd_core::DeploymentId;
use deployd_core::outbox::{
    Message, MessageId, MessageStatus, THREADS, thread_after, thread_before, thread_message,
    thread_of,
};
use deployd_core::ports::{KeyRange, Order, StoreError};
use deployd_core::seeded::{Bug, seeded};
use serde_json::Value;

use crate::{EngineError, Inner};

/// How long a message is put off whose turn has not come, while the one before it
/// is being delivered. It is brought forward when that has ended; this is for a
/// process that ends before it does.
const TURN_MS: u64 = 5_000;

/// Messages of a thread that are looked at, the nearest first. A deployment has
/// some ten; drift that comes and goes for months adds to them.
const THREAD_LOOKED_AT: usize = 100;

/// Messages about one deployment that are listed: hundred subscriptions are told of
/// each of its events.
const MESSAGES_OF_DEPLOYMENT: usize = 1_000;

/// Messages that are being told. Whoever holds it decides alone whose turn it is.
pub(crate) type Turns = tokio::sync::Mutex<HashSet<MessageId>>;

/// What a message finds in its thread.
pub(super) enum Turn {
    /// It is told now, with what is remembered.
    Now(Option<Value>),
    /// Not before an earlier one has ended.
    Later,
}

impl Inner {
    /// Records what became of a message. What waits for its end is due.
    pub(super) async fn settle(&self, message: Message) -> Result<(), StoreError> {
        if message.together.is_some() {
            return self.settle_together(message).await;
        }
        let mut telling = self.turns.lock().await;
        if !telling.remove(&message.id) {
            // Nobody waits for it, and many are recorded together.
            drop(telling);
            return self.ports.store.outbox_settle(message).await;
        }
        let ended = (message.status != MessageStatus::Pending).then(|| message.clone());
        self.ports.store.outbox_settle(message).await?;
        if let Some(ended) = ended {
            self.bring_next_forward(&ended, &telling).await?;
        }
        Ok(())
    }

    /// Whether it is the turn of a message. If not, it is put off, and nothing more
    /// is to be done with it now.
    pub(super) async fn turn(&self, message: &Message) -> Result<Turn, EngineError> {
        let mut telling = self.turns.lock().await;
        let mut memory = message.memory.clone();
        for earlier in
            self.messages_in(thread_before(message), Order::Descending, THREAD_LOOKED_AT).await?
        {
            if earlier.status == MessageStatus::Pending && !seeded(Bug::TurnIgnored) {
                let mut put_off = message.clone();
                put_off.due = earlier.due.max(self.ports.clock.now().plus_ms(TURN_MS));
                self.ports.store.outbox_settle(put_off).await?;
                return Ok(Turn::Later);
            }
            memory = memory.or(earlier.memory);
        }
        telling.insert(message.id.clone());
        Ok(Turn::Now(memory))
    }

    /// Has the next message of the thread delivered now, which has waited for this one.
    async fn bring_next_forward(
        &self,
        ended: &Message,
        telling: &HashSet<MessageId>,
    ) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        let later =
            self.messages_in(thread_after(ended), Order::Ascending, THREAD_LOOKED_AT).await?;
        let next = later.into_iter().find(|later| later.status == MessageStatus::Pending);
        // What has failed has a schedule of its own.
        let waits =
            |next: &Message| next.due > now && next.tries == 0 && !telling.contains(&next.id);
        if let Some(mut next) = next.filter(waits) {
            next.due = now;
            self.ports.store.outbox_settle(next).await?;
            self.outbox.ring();
        }
        Ok(())
    }

    /// The messages about a deployment.
    pub(super) async fn messages_of(&self, id: &DeploymentId) -> Result<Vec<Message>, StoreError> {
        self.messages_in(Some(thread_of(&id.0)), Order::Ascending, MESSAGES_OF_DEPLOYMENT).await
    }

    /// At most `max` messages of a part of a thread. One that is damaged is passed over: it holds
    /// up nobody.
    async fn messages_in(
        &self,
        range: Option<KeyRange>,
        order: Order,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let Some(range) = range else { return Ok(Vec::new()) };
        let store = &self.ports.store;
        let page = store.scan(THREADS, range, order, max).await?;
        let mut messages = Vec::new();
        for (_, value) in &page.entries {
            let Some(id) = thread_message(value) else { continue };
            match store.outbox_get(&id).await {
                Ok(message) => messages.extend(message),
                Err(StoreError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(messages)
    }
}
