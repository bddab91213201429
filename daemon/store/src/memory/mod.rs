//! The model of the port, in memory: what every store must do, as plainly as
//! it can be written. Its futures end at once; only `feed_grown` waits, and
//! only for an append.

mod backup;
mod state;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use deployd_core::journal::{EventRecord, Head, StreamId, Version};
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{
    Accepted, Batch, Claim, FeedItem, FeedPosition, IdempotencyKey, Index, KeyRange, Order, Page,
    Store, StoreError, VerifyReport, WorkerId,
};
use deployd_core::{Digest, Timestamp};

use self::state::State;
use crate::limits;
use crate::watermark::Watermark;

/// A store that is gone with its process, for tests. Clones are the same store:
/// keep one to "restart" what uses another.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    watermark: Watermark,
    refusal: Arc<Mutex<Option<StoreError>>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with(State::default())
    }

    /// What [`Store::backup`] wrote. Fails where the file can't be read or is
    /// not of this form.
    pub fn restore(from: &Path) -> std::io::Result<Self> {
        Ok(Self::with(backup::read(from)?))
    }

    fn with(state: State) -> Self {
        Self {
            watermark: Watermark::new(state.feed_end()),
            state: Arc::new(Mutex::new(state)),
            refusal: Arc::default(),
        }
    }

    /// From now on every write is answered with this error and changes nothing:
    /// a full disk, a busy store. None ends it.
    pub fn refuse_writes(&self, error: Option<StoreError>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Stops the store as a failed write would: nothing is accepted any more,
    /// and who waits for the feed is told.
    pub fn stop(&self, reason: &str) {
        self.watermark.stop(reason);
    }

    /// Waits until the store accepts nothing any more; returns why.
    pub async fn stopped(&self) -> String {
        self.watermark.stopped().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.watermark.check()?;
        match &*self.refusal.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(
        &self,
        key: IdempotencyKey,
        digest: Digest,
        answer: Vec<u8>,
        now: Timestamp,
        batch: Batch,
    ) -> Result<Accepted, StoreError> {
        self.watermark.check()?;
        let end = {
            let mut state = self.state();
            if let Some(recorded) = state.recorded(&key, digest)? {
                return Ok(Accepted::Replayed(recorded));
            }
            limits::check_key(&key, &answer)?;
            limits::check_batch(&batch)?;
            self.writable()?;
            state.apply(batch)?;
            state.record(key, digest, answer, now);
            state.feed_end()
        };
        self.watermark.grown(end);
        Ok(Accepted::New)
    }

    async fn accepted(
        &self,
        key: IdempotencyKey,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.state().recorded(&key, digest)
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Head>, StoreError> {
        limits::check_batch(&batch)?;
        self.writable()?;
        let (heads, end) = {
            let mut state = self.state();
            (state.apply(batch)?, state.feed_end())
        };
        self.watermark.grown(end);
        Ok(heads)
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, StoreError> {
        Ok(self.state().head(stream))
    }

    async fn read(
        &self,
        stream: &StreamId,
        from: Version,
        max: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        Ok(self.state().read(stream, from, max))
    }

    async fn get(&self, index: Index, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().get(index, key))
    }

    async fn scan(
        &self,
        index: Index,
        range: KeyRange,
        order: Order,
        max: usize,
    ) -> Result<Page, StoreError> {
        Ok(self.state().scan(index, &range, order, max))
    }

    async fn object(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().object(digest))
    }

    async fn feed(&self, after: FeedPosition, max: usize) -> Result<Vec<FeedItem>, StoreError> {
        Ok(self.state().feed(after, max))
    }

    async fn feed_grown(&self, after: FeedPosition) -> Result<FeedPosition, StoreError> {
        self.watermark.past(after.0).await.map(FeedPosition)
    }

    async fn claim(
        &self,
        stream: &StreamId,
        worker: &WorkerId,
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Claim, StoreError> {
        limits::check_claim(stream, &worker.0)?;
        self.writable()?;
        self.state().claim(stream, worker, now, ttl_ms)
    }

    async fn release(&self, claim: Claim) -> Result<(), StoreError> {
        self.writable()?;
        self.state().release(&claim);
        Ok(())
    }

    async fn outbox_take(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.writable()?;
        Ok(self.state().outbox_take(now, lease_until, max))
    }

    async fn outbox_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().outbox_due())
    }

    async fn outbox_settle(&self, message: Message) -> Result<(), StoreError> {
        limits::check_message(&message)?;
        self.writable()?;
        self.state().outbox_settle(message)
    }

    async fn outbox_get(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        Ok(self.state().outbox_get(id))
    }

    async fn outbox_list(
        &self,
        status: Option<MessageStatus>,
        after: Option<MessageId>,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.state().outbox_list(status, after.as_ref(), max)
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        Ok(self.state().verify())
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        backup::write(&self.state(), to)
            .map_err(|error| StoreError::Backup(format!("{}: {error}", to.display())))
    }
}
