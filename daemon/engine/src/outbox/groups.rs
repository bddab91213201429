//! Messages that are told together, by one of them.

use deployd_core::config::Grouping;
use deployd_core::outbox::{
    GROUP_MAX, Message, MessageId, MessageStatus, Standing, joins, standing,
};
use deployd_core::ports::StoreError;
use deployd_core::seeded::{Bug, seeded};

use super::LEASE_MS;
use crate::{EngineError, Inner};

/// Messages that are read at once to find those that wait as well.
const PAGE: usize = 500;

/// Pages that are read at most: what is not among them is told with the next ones.
const PAGES_MAX: usize = 4;

/// How long a message waits after the one that tells it is due. It is settled with
/// that; this is for a process that ends before.
const BEHIND_MS: u64 = 5_000;

impl Inner {
    /// The messages that a message is told with, most often none; none at all when it
    /// is not told now, since another one tells it.
    pub(super) async fn gathered(
        &self,
        message: &mut Message,
        grouping: &Grouping,
    ) -> Result<Option<Vec<Message>>, EngineError> {
        let store = &self.ports.store;
        // One after the other: nobody gathers who is being gathered.
        let mut telling = self.turns.lock().await;
        // It may have been gathered since it was taken.
        let known = store.outbox_get(&message.id).await?;
        let Some(known) = known.filter(|known| known.status == MessageStatus::Pending) else {
            return Ok(None);
        };
        *message = known;
        let teller = match &message.with {
            Some(id) => store.outbox_get(id).await?,
            None => None,
        };
        let ids = match standing(message, teller.as_ref()) {
            Standing::Tells(ids) => ids,
            Standing::Waits { until } => {
                let mut put_off = message.clone();
                put_off.due = until.max(self.ports.clock.now()).plus_ms(BEHIND_MS);
                store.outbox_settle(put_off).await?;
                return Ok(None);
            }
            Standing::Ended(status) => {
                let mut ended = message.clone();
                ended.status = status;
                store.outbox_settle(ended).await?;
                return Ok(None);
            }
            Standing::Gathers => {
                let mut ids = Vec::new();
                for mut other in self.joining(message, grouping).await? {
                    if telling.contains(&other.id) {
                        continue;
                    }
                    other.with = Some(message.id.clone());
                    ids.push(other.id.clone());
                    store.outbox_settle(other).await?;
                }
                message.with = None;
                message.together = Some(ids.clone());
                // Whom it tells is on stable storage before anybody is told; until this
                // attempt has ended, nobody else begins one.
                let mut decided = message.clone();
                decided.due = self.ports.clock.now().plus_ms(LEASE_MS);
                if !seeded(Bug::GroupUndecided) {
                    store.outbox_settle(decided).await?;
                }
                ids
            }
        };
        telling.insert(message.id.clone());
        drop(telling);
        let mut others = Vec::new();
        for id in ids {
            others.extend(self.told_with(&id).await?);
        }
        Ok(Some(others))
    }

    /// Records what became of a message and of those that it has told.
    pub(super) async fn settle_together(&self, message: Message) -> Result<(), StoreError> {
        let store = &self.ports.store;
        self.turns.lock().await.remove(&message.id);
        store.outbox_settle(message.clone()).await?;
        for id in message.together.iter().flatten() {
            let Some(mut other) = self.told_with(id).await? else { continue };
            let is_told = other.with.as_ref() == Some(&message.id);
            if !is_told || other.status != MessageStatus::Pending {
                continue;
            }
            other.status = message.status;
            other.due = message.due.plus_ms(BEHIND_MS);
            other.attempts.clone_from(&message.attempts);
            store.outbox_settle(other).await?;
        }
        Ok(())
    }

    /// Messages that wait as well, and go together with one.
    async fn joining(
        &self,
        teller: &Message,
        grouping: &Grouping,
    ) -> Result<Vec<Message>, StoreError> {
        let mut found = Vec::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let status = Some(MessageStatus::Pending);
            let page = self.ports.store.outbox_list(status, after, PAGE).await?;
            let last = page.last().map(|last| last.id.clone());
            found.extend(page.into_iter().filter(|other| joins(other, teller, grouping)));
            if last.is_none() {
                break;
            }
            after = last;
        }
        found.sort_by_key(|other| other.created);
        found.truncate(GROUP_MAX - 1);
        Ok(found)
    }

    /// A message that another one tells. One that is damaged is not told: it holds up
    /// nobody.
    async fn told_with(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        match self.ports.store.outbox_get(id).await {
            Err(StoreError::Damaged(_)) => Ok(None),
            other => other,
        }
    }
}
