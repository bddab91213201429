//! The store's port.
//!
//! A batch is plain data, never a closure inside a transaction, so that an
//! embedded store, a shared one and an in-memory model keep the same promises.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::journal::{ChainError, EventRecord, Head, NewEvent, StreamId, Version};
use crate::outbox::{Message, MessageId, MessageStatus};
use crate::{Digest, Timestamp};

/// Names a projection: a sorted map from keys to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index(pub &'static str);

/// Grows each time a stream is claimed, and never falls, also over restarts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// Names a process that claims streams.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub String);

/// The right to append to a stream, until it expires or somebody else has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The stream.
    pub stream: StreamId,
    /// Whose it is.
    pub worker: WorkerId,
    /// To be given with every append.
    pub fence: Fence,
    /// When it expires, on the store's clock.
    pub until: Timestamp,
}

/// What a caller chose so that a repeat of a request is known as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(pub String);

/// Events to append to one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// The version that the stream must have now.
    pub expect: Version,
    /// When given, it must be the stream's present fence: that of its last
    /// claim, also when that has expired or was given back, as long as nobody
    /// else has claimed the stream since.
    pub fence: Option<Fence>,
    /// In this order; at least one.
    pub events: Vec<NewEvent>,
}

/// A change of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The projection.
    pub index: Index,
    /// The key.
    pub key: Vec<u8>,
    /// The value; none removes it.
    pub value: Option<Vec<u8>>,
}

/// Content stored by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Of the bytes.
    pub digest: Digest,
    /// The bytes, as they were given; stores compress them.
    pub bytes: Vec<u8>,
}

impl Object {
    /// Content and its digest.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), bytes }
    }
}

/// What changes in one transaction: all of it, or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Events; each stream at most once.
    pub appends: Vec<Append>,
    /// Projections, in this order.
    pub puts: Vec<Put>,
    /// Messages to deliver. One that is there already stays as it is.
    pub outbox: Vec<Message>,
    /// Content. What is there already stays.
    pub objects: Vec<Object>,
}

/// What became of a request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The batch was stored.
    New,
    /// The same request came before: this was its answer, and nothing was stored.
    Replayed(Vec<u8>),
}

/// Keys from `start` (inclusive) to `end` (exclusive; none: to the last).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub start: Vec<u8>,
    /// The key after the last.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys that begin with these bytes.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                return Self { start: prefix.to_vec(), end: Some(end) };
            }
        }
        Self { start: prefix.to_vec(), end: None }
    }
}

/// From which end to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the first key on.
    Ascending,
    /// From the last key back.
    Descending,
}

/// Entries of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Keys and values, in the order asked for.
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether there are more after these.
    pub more: bool,
}

/// A place in the feed of all streams: 1 is the first event ever stored, and 0
/// is before it. Without a gap.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct FeedPosition(pub u64);

/// An event and its place in the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedItem {
    /// Its place.
    pub position: FeedPosition,
    /// The event.
    pub record: EventRecord,
}

/// What a verification of the whole journal has read, and what it found wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReport {
    /// Streams read.
    pub streams: u64,
    /// Events read.
    pub events: u64,
    /// Objects read and hashed.
    pub objects: u64,
    /// Chains that do not hold.
    pub broken: Vec<ChainError>,
    /// Stored content whose bytes do not match its digest, or that can't be read.
    pub damaged: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.broken.is_empty() && self.damaged.is_empty()
    }
}

/// Why the store refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody appended first. Read again and decide again.
    #[error("stream {stream} is at version {}, not where it was expected", head.version.0)]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// Where it is.
        head: Head,
    },
    /// Somebody else has claimed the stream. Drop everything about it.
    #[error("stream {stream} has been claimed by another worker")]
    Fenced {
        /// The stream.
        stream: StreamId,
    },
    /// Another worker's claim has not expired yet.
    #[error("stream {stream} is claimed by {owner}")]
    Claimed {
        /// The stream.
        stream: StreamId,
        /// By whom.
        owner: String,
    },
    /// The idempotency key came before with another request.
    #[error("the idempotency key was used before for a different request")]
    KeyReuse,
    /// A batch that can't be stored as it is: a stream twice, no events, a
    /// digest that is not of its bytes, something too large.
    #[error("invalid batch: {0}")]
    InvalidBatch(String),
    /// The disk is full, or a quota is. Nothing was stored.
    #[error("the store has no room: {0}")]
    Full(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The copy could not be made, and nothing is at its place. The store
    /// itself goes on.
    #[error("no backup was made: {0}")]
    Backup(String),
    /// Too much is waiting already.
    #[error("the store is busy")]
    Busy,
    /// The store accepts nothing any more, after a failed write or sync; the
    /// process should end, and recover by opening the store again. Whether the
    /// request that met the failure was stored is known only then.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}

/// Keeps everything: events in streams, projections, content, messages.
///
/// What a call has answered with success is on stable storage. A call that was
/// begun and dropped may still happen.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Stores a batch once per key. The same key and digest again gives the
    /// recorded answer; the same key with another digest is
    /// [`StoreError::KeyReuse`]. Keys are kept for at least seven days.
    async fn accept(
        &self,
        key: IdempotencyKey,
        digest: Digest,
        answer: Vec<u8>,
        now: Timestamp,
        batch: Batch,
    ) -> Result<Accepted, StoreError>;

    /// The recorded answer of a key; none when it is not known. With another
    /// digest than it came with: [`StoreError::KeyReuse`].
    async fn accepted(
        &self,
        key: IdempotencyKey,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a batch. Returns the heads of its appends, in their order.
    async fn append(&self, batch: Batch) -> Result<Vec<Head>, StoreError>;

    /// Where a stream stands.
    async fn head(&self, stream: &StreamId) -> Result<Head, StoreError>;

    /// At most `max` events of a stream, from a version on.
    async fn read(
        &self,
        stream: &StreamId,
        from: Version,
        max: usize,
    ) -> Result<Vec<EventRecord>, StoreError>;

    /// The value of a key of a projection.
    async fn get(&self, index: Index, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `max` entries of a projection.
    async fn scan(
        &self,
        index: Index,
        range: KeyRange,
        order: Order,
        max: usize,
    ) -> Result<Page, StoreError>;

    /// Stored content, as it was given.
    async fn object(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `max` events of all streams after a position.
    async fn feed(&self, after: FeedPosition, max: usize) -> Result<Vec<FeedItem>, StoreError>;

    /// Waits until the feed has something after a position. Returns its end, or
    /// [`StoreError::Stopped`] when it will not grow any more.
    async fn feed_grown(&self, after: FeedPosition) -> Result<FeedPosition, StoreError>;

    /// Claims a stream for so long. A worker that has it already renews it and
    /// keeps its fence; another one waits for it to expire
    /// ([`StoreError::Claimed`]), and gets the next fence.
    async fn claim(
        &self,
        stream: &StreamId,
        worker: &WorkerId,
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Claim, StoreError>;

    /// Gives a claim back, so that others need not wait for it to expire;
    /// nothing happens when it was lost already.
    async fn release(&self, claim: Claim) -> Result<(), StoreError>;

    /// At most `max` pending messages that are due, soonest first. They are
    /// leased: not given again before `lease_until`, also not after a restart
    /// within it. The messages themselves don't change.
    async fn outbox_take(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        max: usize,
    ) -> Result<Vec<Message>, StoreError>;

    /// When [`Store::outbox_take`] next has something to give: the earliest due
    /// time of a pending message, or end of a lease.
    async fn outbox_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Records what became of a message, and ends its lease. Its status, due
    /// time, tries and attempts may have changed; a message that is not known,
    /// or tells something else, is [`StoreError::InvalidBatch`].
    async fn outbox_settle(&self, message: Message) -> Result<(), StoreError>;

    /// One message.
    async fn outbox_get(&self, id: &MessageId) -> Result<Option<Message>, StoreError>;

    /// At most `max` messages with this status, after a message (whatever its
    /// own status), in the order in which they were stored. A message that is
    /// not known to list after is [`StoreError::InvalidBatch`].
    async fn outbox_list(
        &self,
        status: Option<MessageStatus>,
        after: Option<MessageId>,
        max: usize,
    ) -> Result<Vec<Message>, StoreError>;

    /// Reads all of the journal and of the stored content, and says what is wrong.
    async fn verify(&self) -> Result<VerifyReport, StoreError>;

    /// Writes a consistent copy of the whole store to a new file while it is in
    /// use. Fails with [`StoreError::Backup`], also where there is a file already.
    async fn backup(&self, to: &std::path::Path) -> Result<(), StoreError>;
}
