//! A store that takes some writes, and then none.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use deployd_core::journal::{EventRecord, Head, StreamId, Version};
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{
    Accepted, Batch, Claim, FeedItem, FeedPosition, IdempotencyKey, Index, KeyRange, Page, Store,
    StoreError, VerifyReport, WorkerId,
};
use deployd_core::{Digest, Timestamp};
use deployd_store::MemoryStore;

pub(super) struct Crashing {
    inner: MemoryStore,
    writes: AtomicUsize,
    /// The write at which it ends.
    end: AtomicUsize,
    /// Whether that write is stored, though nobody is told.
    stored: std::sync::atomic::AtomicBool,
}

impl Crashing {
    pub(super) fn new(inner: MemoryStore) -> Self {
        let end = AtomicUsize::new(usize::MAX);
        Self { inner, writes: AtomicUsize::new(0), end, stored: false.into() }
    }

    /// Writes so far.
    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Takes so many writes more; the next one is stored or not, and is the last.
    pub(super) fn end_after(&self, writes: usize, stored: bool) {
        self.stored.store(stored, Ordering::SeqCst);
        self.end.store(self.writes() + writes, Ordering::SeqCst);
    }

    /// Takes all writes again, as after a new start.
    pub(super) fn live(&self) {
        self.end.store(usize::MAX, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Crashing {
    async fn append(&self, batch: Batch) -> Result<Vec<Head>, StoreError> {
        let (number, end) =
            (self.writes.fetch_add(1, Ordering::SeqCst), self.end.load(Ordering::SeqCst));
        if number < end {
            return self.inner.append(batch).await;
        }
        if number == end && self.stored.load(Ordering::SeqCst) {
            self.inner.append(batch).await?;
        }
        Err(StoreError::Stopped("this is the end".to_owned()))
    }

    async fn get(&self, index: Index, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(index, key).await
    }

    async fn scan(
        &self,
        index: Index,
        range: KeyRange,
        order: deployd_core::ports::Order,
        max: usize,
    ) -> Result<Page, StoreError> {
        self.inner.scan(index, range, order, max).await
    }

    // A vault does nothing else.

    async fn accept(
        &self,
        _: IdempotencyKey,
        _: Digest,
        _: Vec<u8>,
        _: Timestamp,
        _: Batch,
    ) -> Result<Accepted, StoreError> {
        unreachable!()
    }

    async fn accepted(&self, _: IdempotencyKey, _: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        unreachable!()
    }

    async fn head(&self, _: &StreamId) -> Result<Head, StoreError> {
        unreachable!()
    }

    async fn read(
        &self,
        _: &StreamId,
        _: Version,
        _: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        unreachable!()
    }

    async fn object(&self, _: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        unreachable!()
    }

    async fn feed(&self, _: FeedPosition, _: usize) -> Result<Vec<FeedItem>, StoreError> {
        unreachable!()
    }

    async fn feed_grown(&self, _: FeedPosition) -> Result<FeedPosition, StoreError> {
        unreachable!()
    }

    async fn claim(
        &self,
        _: &StreamId,
        _: &WorkerId,
        _: Timestamp,
        _: u64,
    ) -> Result<Claim, StoreError> {
        unreachable!()
    }

    async fn release(&self, _: Claim) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn outbox_take(
        &self,
        _: Timestamp,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<Message>, StoreError> {
        unreachable!()
    }

    async fn outbox_due(&self) -> Result<Option<Timestamp>, StoreError> {
        unreachable!()
    }

    async fn outbox_settle(&self, _: Message) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn outbox_get(&self, _: &MessageId) -> Result<Option<Message>, StoreError> {
        unreachable!()
    }

    async fn outbox_list(
        &self,
        _: Option<MessageStatus>,
        _: Option<MessageId>,
        _: usize,
    ) -> Result<Vec<Message>, StoreError> {
        unreachable!()
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        unreachable!()
    }

    async fn backup(&self, _: &std::path::Path) -> Result<(), StoreError> {
        unreachable!()
    }
}
