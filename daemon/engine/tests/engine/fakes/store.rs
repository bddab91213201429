//! The store: the model in memory, with a point before and after each write,
//! and writes that are refused.

use std::path::Path;

use async_trait::async_trait;
use deployd_core::journal::{EventRecord, Head, StreamId, Version};
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{
    Accepted, Batch, Claim, FeedItem, FeedPosition, IdempotencyKey, Index, KeyRange, Order, Page,
    Store, StoreError, VerifyReport, WorkerId,
};
use deployd_core::{Digest, Timestamp};

use super::Instance;

impl Instance {
    /// Whether this write is refused.
    fn writes(&self) -> Result<(), StoreError> {
        match self.world.store_faults.lock().unwrap().pop_front().flatten() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The messages that a batch brings.
fn told(batch: &Batch) -> Vec<MessageId> {
    batch.outbox.iter().map(|message| message.id.clone()).collect()
}

#[async_trait]
impl Store for Instance {
    async fn accept(
        &self,
        key: IdempotencyKey,
        digest: Digest,
        answer: Vec<u8>,
        now: Timestamp,
        batch: Batch,
    ) -> Result<Accepted, StoreError> {
        self.operation("accept", async {
            self.writes()?;
            let told = told(&batch);
            let accepted = self.world.store.accept(key, digest, answer, now, batch).await?;
            if accepted == Accepted::New {
                self.world.committed(told).await;
            }
            Ok(accepted)
        })
        .await
    }

    async fn accepted(
        &self,
        key: IdempotencyKey,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.look("accepted", self.world.store.accepted(key, digest)).await
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Head>, StoreError> {
        let kinds: Vec<&str> = batch
            .appends
            .iter()
            .flat_map(|append| append.events.iter().map(|event| event.kind.as_str()))
            .collect();
        let name = if kinds.is_empty() { "puts".to_owned() } else { kinds.join("+") };
        self.operation(&format!("append {name}"), async {
            self.writes()?;
            let told = told(&batch);
            let heads = self.world.store.append(batch).await?;
            self.world.committed(told).await;
            Ok(heads)
        })
        .await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, StoreError> {
        self.look("head", self.world.store.head(stream)).await
    }

    async fn read(
        &self,
        stream: &StreamId,
        from: Version,
        max: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.look("read", self.world.store.read(stream, from, max)).await
    }

    async fn get(&self, index: Index, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.look("get", self.world.store.get(index, key)).await
    }

    async fn scan(
        &self,
        index: Index,
        range: KeyRange,
        order: Order,
        max: usize,
    ) -> Result<Page, StoreError> {
        self.look("scan", self.world.store.scan(index, range, order, max)).await
    }

    async fn object(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        if self.world.damaged.lock().unwrap().contains(&digest) {
            return Err(StoreError::Damaged(format!("block of {digest}")));
        }
        self.look("object", self.world.store.object(digest)).await
    }

    async fn feed(&self, after: FeedPosition, max: usize) -> Result<Vec<FeedItem>, StoreError> {
        self.look("feed", self.world.store.feed(after, max)).await
    }

    async fn feed_grown(&self, after: FeedPosition) -> Result<FeedPosition, StoreError> {
        self.look("feed_grown", self.world.store.feed_grown(after)).await
    }

    async fn claim(
        &self,
        stream: &StreamId,
        worker: &WorkerId,
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Claim, StoreError> {
        self.operation("claim", async {
            self.writes()?;
            self.world.store.claim(stream, worker, now, ttl_ms).await
        })
        .await
    }

    async fn release(&self, claim: Claim) -> Result<(), StoreError> {
        self.operation("release", self.world.store.release(claim)).await
    }

    async fn outbox_take(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        // Most of the time there is nothing, and then nothing is written.
        let due = self.world.store.outbox_due().await?.is_some_and(|due| due <= now);
        if !due {
            self.life.alive().await;
            return Ok(Vec::new());
        }
        self.operation("take", async {
            self.writes()?;
            self.world.store.outbox_take(now, lease_until, max).await
        })
        .await
    }

    async fn outbox_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.look("outbox_due", self.world.store.outbox_due()).await
    }

    async fn outbox_settle(&self, message: Message) -> Result<(), StoreError> {
        self.operation("settle", async {
            self.writes()?;
            self.world.store.outbox_settle(message).await
        })
        .await
    }

    async fn outbox_get(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        self.look("outbox_get", self.world.store.outbox_get(id)).await
    }

    async fn outbox_list(
        &self,
        status: Option<MessageStatus>,
        after: Option<MessageId>,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.look("outbox_list", self.world.store.outbox_list(status, after, max)).await
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.world.store.verify().await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.world.store.backup(to).await
    }
}
