//! [`RedbStore`]: the port's calls, each handed to the writer or to a reader.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use deployd_core::journal::{EventRecord, Head, StreamId, Version};
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{
    Accepted, Batch, Claim, FeedItem, FeedPosition, IdempotencyKey, Index, KeyRange, Order, Page,
    Store, StoreError, VerifyReport, WorkerId,
};
use deployd_core::{Digest, Timestamp};
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::apply::{self, Prepared};
use crate::at_once::{AtOnce, RECORDS_AT_ONCE};
use crate::error::{Failure, OpenError, damaged};
use crate::heads::Heads;
use crate::limits::{self, PREPARED_AT_ONCE_BYTES, QUEUE_BYTES_MAX, READERS};
use crate::metered::Meter;
use crate::open::{self, Opened, StoreOptions};
use crate::readers::{Extent, Read, Readers};
use crate::reads::SmallObject;
use crate::request::{Answer, Command, Request};
use crate::room::{Free, Room, free_at};
use crate::sealed::Findings;
use crate::tables::FEED;
use crate::watermark::Watermark;
use crate::writer::{Counts, Writer};
use crate::{backup, migrate, reads, verify};

/// Figures of an open store, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Commits since it was opened; each answers a group of requests.
    pub commits: u64,
    /// Times that what the write-ahead log had was committed to the rest of the file.
    pub checkpoints: u64,
    /// Requests answered by a commit.
    pub committed: u64,
    /// Requests answered without one: refused, replayed, or nothing to do.
    pub uncommitted: u64,
    /// Times that a commit waited for company, as it does where many ask at once.
    pub lingers: u64,
    /// Requests that wait now.
    pub queued: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Bytes written to it since it was opened.
    pub bytes_written: u64,
    /// Syncs of it since it was opened.
    pub syncs: u64,
    /// Parts of it that were found not to be what was written there.
    pub damaged: u64,
}

/// The store in one file, by redb.
///
/// A call that was begun and dropped may still change the store. Dropping the
/// store lets what waits end, on the writer's thread; [`RedbStore::close`] also
/// waits for that.
pub struct RedbStore {
    database: RwLock<Option<Arc<Database>>>,
    queue: Mutex<Option<SyncSender<Request>>>,
    /// Requests that were put into it.
    sent: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The memory of the queue, by bytes.
    shares: Arc<Semaphore>,
    at_once: AtOnce,
    readers: Readers,
    /// Reads of everything: one at a time, since each keeps old pages alive.
    long_readers: Arc<Semaphore>,
    watermark: Watermark,
    counts: Arc<Counts>,
    heads: Heads,
    meter: Meter,
    findings: Findings,
    id: String,
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbStore").field("id", &self.id).finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens the store in this file, and makes it if there is none. Its
    /// directory must be there.
    ///
    /// Blocks for some milliseconds: call it before the runtime is busy. Fails
    /// with an [`OpenError`] that names the path.
    pub fn open(path: impl AsRef<Path>, options: &StoreOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let opened = open::open_file(path, options)?;
        Self::start(&path.display().to_string(), opened, Some(free_at(path.to_owned())), options)
    }

    /// Opens the store on any storage, and makes it where that is empty; for
    /// tests with storage that loses power.
    ///
    /// Other than [`RedbStore::open`], a crash while it is being made may leave
    /// something that can't be opened. `name` is for messages.
    pub fn open_on(
        name: &str,
        backend: impl StorageBackend,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        Self::start(name, open::open_backend(name, backend, None, options)?, None, options)
    }

    fn start(
        name: &str,
        opened: Opened,
        free: Option<Free>,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let Opened { database, wal, meter, findings } = opened;
        let first_look = || -> Result<(u64, String), Failure> {
            let view = database.begin_read()?;
            Ok((apply::feed_end(&view.open_table(FEED)?)?, migrate::id(&view)?))
        };
        let first_look = || first_look().map_err(|failure| OpenError::of(name, failure));
        let (end, id) =
            open::guarded(name, first_look).map_err(|error| error.because(&findings))?;

        let database = Arc::new(database);
        let readers = Readers::start(&database, READERS)
            .map_err(|source| OpenError::Io { path: name.to_owned(), source })?;
        let watermark = Watermark::new(end);
        let counts = Arc::new(Counts::default());
        let heads = Heads::default();
        let (sender, queue) = sync_channel(options.queue_requests.max(1));
        let writer = Writer {
            database: database.clone(),
            queue,
            wal,
            rest: options.rest,
            watermark: watermark.clone(),
            counts: counts.clone(),
            heads: heads.clone(),
            room: Room::new(free, options.reserve_bytes, options.quota_bytes, meter.clone()),
            findings: findings.clone(),
            last_group: 0,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io { path: name.to_owned(), source })?;
        Ok(Self {
            database: RwLock::new(Some(database)),
            at_once: meter.at_once(),
            queue: Mutex::new(Some(sender)),
            sent: AtomicU64::new(0),
            writer: Mutex::new(Some(writer)),
            shares: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            readers,
            long_readers: Arc::new(Semaphore::new(1)),
            watermark,
            counts,
            heads,
            meter,
            findings,
            id,
        })
    }

    /// What tells this store from any other, also in its backups: 32 hex digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits until the store accepts nothing any more; returns why. The process
    /// should end then, and not with success.
    pub async fn stopped(&self) -> String {
        self.watermark.stopped().await
    }

    /// Figures for metrics.
    pub fn stats(&self) -> StoreStats {
        let taken = self.counts.taken.load(Ordering::Relaxed);
        StoreStats {
            commits: self.counts.commits.load(Ordering::Relaxed),
            checkpoints: self.counts.checkpoints.load(Ordering::Relaxed),
            committed: self.counts.committed.load(Ordering::Relaxed),
            uncommitted: self.counts.uncommitted.load(Ordering::Relaxed),
            lingers: self.counts.lingers.load(Ordering::Relaxed),
            queued: self.sent.load(Ordering::Relaxed).saturating_sub(taken),
            bytes: self.meter.bytes(),
            bytes_written: self.meter.written(),
            syncs: self.meter.syncs(),
            damaged: self.findings.count(),
        }
    }

    /// Ends the store: what waits is still done, then the file is closed. Later
    /// calls answer [`StoreError::Stopped`].
    pub async fn close(&self) {
        drop(locked(&self.queue).take());
        let writer = locked(&self.writer).take();
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        let readers = self.readers.close();
        let _long_readers = self.long_readers.acquire().await;
        let closed = spawn_blocking(move || {
            // A writer that panicked has said so already.
            let _ = writer.map(JoinHandle::join);
            for reader in readers {
                let _ = reader.join();
            }
            drop(database);
        });
        let _ = closed.await;
        self.heads.forget();
    }

    /// The database, while it is held; none once it was closed.
    fn database(&self) -> std::sync::RwLockReadGuard<'_, Option<Arc<Database>>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a few records on this thread: see [`AtOnce`].
    async fn read_at_once<T>(
        &self,
        what: impl Fn() -> String,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        // Whoever reads again and again lets others have their turn.
        tokio::task::consume_budget().await;
        let found = {
            let database = self.database();
            let closed = || StoreError::Stopped("it was closed".to_owned());
            let database = database.as_ref().ok_or_else(closed)?;
            let read = || read(&database.begin_read()?);
            guarded(&what, &self.findings, read)
        };
        self.noted(found)
    }

    /// Reads within one consistent view, off the async runtime unless it is done at
    /// once. `what` is what it reads, for messages.
    async fn read_view<T: Send + 'static>(
        &self,
        extent: Extent,
        what: impl Fn() -> String + Send + 'static,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        if extent == Extent::Few && self.at_once.may() {
            return self.read_at_once(what, read).await;
        }
        let findings = self.findings.clone();
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |view| {
            // Whoever asked may have gone.
            let _ = reply.send(guarded(&what, &findings, || read(view?)));
        });
        let closed = || StoreError::Stopped("it was closed".to_owned());
        self.readers.submit(extent, read).map_err(|_| closed())?;
        let found = answer.await.unwrap_or_else(|_| Err(closed()));
        self.noted(found)
    }

    /// The same for reads of everything, which take long.
    async fn long_view<T: Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Stopped("it was closed".to_owned());
        let permit = self.long_readers.clone().acquire_owned().await.map_err(|_| closed())?;
        let database = self.database().clone().ok_or_else(closed)?;
        let findings = self.findings.clone();
        let read = spawn_blocking(move || {
            let read = || {
                let view = database.begin_read()?;
                read(&view)
            };
            let found = guarded(&|| what.to_owned(), &findings, read);
            // The permit outlives what it permits: whoever has it knows that
            // nobody holds the database.
            drop(database);
            drop(permit);
            found
        });
        let found = read
            .await
            .unwrap_or_else(|error| Err(StoreError::Stopped(format!("a read was lost: {error}"))));
        self.noted(found)
    }

    /// Stops the store after a read that failed for good: redb writes nothing
    /// more then either.
    fn noted<T>(&self, found: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Stopped(reason)) = &found {
            self.watermark.stop(reason);
        }
        found
    }

    /// Hands a command to the writer and waits for its commit.
    async fn write(&self, command: Command, bytes: usize) -> Result<Answer, StoreError> {
        self.watermark.check()?;
        let shares = u32::try_from(bytes).unwrap_or(u32::MAX);
        let share =
            self.shares.clone().try_acquire_many_owned(shares).map_err(|_| StoreError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let request = Request { command, bytes, share, reply };
        match &*locked(&self.queue) {
            Some(queue) => {
                queue.try_send(request).map_err(|error| match error {
                    TrySendError::Full(_) => StoreError::Busy,
                    TrySendError::Disconnected(_) => self.why_stopped(),
                })?;
                self.sent.fetch_add(1, Ordering::Relaxed);
            }
            None => return Err(self.why_stopped()),
        }
        answer.await.unwrap_or_else(|_| Err(self.why_stopped()))
    }

    fn why_stopped(&self) -> StoreError {
        match self.watermark.check() {
            Err(stopped) => stopped,
            Ok(()) => StoreError::Stopped("it was closed".to_owned()),
        }
    }
}

/// Nothing that holds these locks can panic; a poisoned one is as good.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads, and makes what went wrong an error that names what was read.
fn guarded<T>(
    what: &impl Fn() -> String,
    findings: &Findings,
    read: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(found) => found.map_err(|failure| failure.of_read(&what(), findings)),
        // redb asserts what it reads.
        Err(_) => Err(damaged(&what(), "reading it ended in a panic", findings)),
    }
}

fn other_answer() -> StoreError {
    StoreError::Stopped("the writer gave the answer to something else".to_owned())
}

/// Checks and compresses a batch; returns its weight with it.
async fn prepare(batch: Batch) -> Result<(Prepared, usize), StoreError> {
    let objects: usize = batch.objects.iter().map(|object| object.bytes.len()).sum();
    let values = batch.puts.iter().filter_map(|put| put.value.as_ref());
    let bytes = values.map(Vec::len).sum::<usize>().saturating_add(objects);
    if bytes <= PREPARED_AT_ONCE_BYTES {
        let bytes = limits::check_batch(&batch)?;
        return Ok((Prepared::of(batch)?, bytes));
    }
    let prepare = move || {
        let bytes = limits::check_batch(&batch)?;
        Ok((Prepared::of(batch)?, bytes))
    };
    match spawn_blocking(prepare).await {
        Ok(prepared) => prepared,
        Err(error) => Err(StoreError::InvalidBatch(format!("checking it panicked: {error}"))),
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn accept(
        &self,
        key: IdempotencyKey,
        digest: Digest,
        answer: Vec<u8>,
        now: Timestamp,
        batch: Batch,
    ) -> Result<Accepted, StoreError> {
        let checked = match limits::check_key(&key, &answer) {
            Ok(bytes) => prepare(batch).await.map(|(batch, more)| (batch, bytes + more)),
            Err(error) => Err(error),
        };
        match checked {
            Ok((batch, bytes)) => {
                let command = Command::Accept { key, digest, answer, now, batch };
                match self.write(command, bytes).await? {
                    Answer::Accepted(accepted) => Ok(accepted),
                    _ => Err(other_answer()),
                }
            }
            // A repeat gets its answer, whatever batch comes with it.
            Err(invalid) => match self.accepted(key, digest).await? {
                Some(recorded) => Ok(Accepted::Replayed(recorded)),
                None => Err(invalid),
            },
        }
    }

    async fn accepted(
        &self,
        key: IdempotencyKey,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let name = key.0.clone();
        let what = move || format!("idempotency key {name}");
        self.read_view(Extent::Few, what, move |view| reads::accepted(view, &key, digest)).await
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Head>, StoreError> {
        let (batch, bytes) = prepare(batch).await?;
        match self.write(Command::Append(batch), bytes).await? {
            Answer::Heads(heads) => Ok(heads),
            _ => Err(other_answer()),
        }
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, StoreError> {
        if let Some(head) = self.heads.get(stream) {
            return Ok(head);
        }
        let commits = self.heads.commits();
        let (asked, name) = (stream.clone(), stream.clone());
        let what = move || format!("the head of stream {name}");
        let head = self.read_view(Extent::Few, what, move |view| reads::head(view, &asked)).await?;
        self.heads.learn(commits, stream.clone(), head);
        Ok(head)
    }

    async fn read(
        &self,
        stream: &StreamId,
        from: Version,
        max: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let (stream, name) = (stream.clone(), stream.clone());
        let what = move || format!("stream {name} from event {} on", from.0);
        self.read_view(Extent::of(max), what, move |view| reads::read(view, &stream, from, max))
            .await
    }

    async fn get(&self, index: Index, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_vec();
        let what = move || format!("a value of index {}", index.0);
        self.read_view(Extent::Few, what, move |view| reads::get(view, index, &key)).await
    }

    async fn scan(
        &self,
        index: Index,
        range: KeyRange,
        order: Order,
        max: usize,
    ) -> Result<Page, StoreError> {
        let what = move || format!("a part of index {}", index.0);
        // Most lists are short, however many entries they could have.
        if max > RECORDS_AT_ONCE && self.at_once.may() {
            let first = |view: &_| reads::scan(view, index, &range, order, RECORDS_AT_ONCE);
            let page = self.read_at_once(what, first).await?;
            if !page.more {
                return Ok(page);
            }
        }
        self.read_view(Extent::of(max), what, move |view| {
            reads::scan(view, index, &range, order, max)
        })
        .await
    }

    async fn object(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let what = move || format!("object {digest}");
        if self.at_once.may() {
            let found = self.read_at_once(what, |view| reads::small_object(view, digest)).await?;
            if let SmallObject::Is(object) = found {
                return Ok(object);
            }
        }
        self.read_view(Extent::Many, what, move |view| reads::object(view, digest)).await
    }

    async fn feed(&self, after: FeedPosition, max: usize) -> Result<Vec<FeedItem>, StoreError> {
        let what = move || format!("the feed after {}", after.0);
        self.read_view(Extent::of(max), what, move |view| reads::feed(view, after, max)).await
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
        let command =
            Command::Claim { stream: stream.clone(), worker: worker.clone(), now, ttl_ms };
        match self.write(command, 0).await? {
            Answer::Claim(claim) => Ok(claim),
            _ => Err(other_answer()),
        }
    }

    async fn release(&self, claim: Claim) -> Result<(), StoreError> {
        self.write(Command::Release(claim), 0).await.map(|_| ())
    }

    async fn outbox_take(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        match self.write(Command::Take { now, lease_until, max }, 0).await? {
            Answer::Messages(messages) => Ok(messages),
            _ => Err(other_answer()),
        }
    }

    async fn outbox_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read_view(Extent::Few, || "what is due in the outbox".to_owned(), reads::outbox_due)
            .await
    }

    async fn outbox_settle(&self, message: Message) -> Result<(), StoreError> {
        let bytes = limits::check_message(&message)?;
        self.write(Command::Settle(Box::new(message)), bytes).await.map(|_| ())
    }

    async fn outbox_get(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        let (id, name) = (id.clone(), id.clone());
        let what = move || format!("message {name}");
        self.read_view(Extent::Few, what, move |view| reads::outbox_get(view, &id)).await
    }

    async fn outbox_list(
        &self,
        status: Option<MessageStatus>,
        after: Option<MessageId>,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let what = || "a part of the outbox".to_owned();
        let read = move |view: &_| reads::outbox_list(view, status, after.as_ref(), max);
        // Of those that are passed over there may be any number.
        self.read_view(Extent::Many, what, read).await
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        let findings = self.findings.clone();
        let read = move |view: &_| verify::verify(view, &findings);
        self.long_view("the store", read).await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        let findings = self.findings.clone();
        let read = move |view: &_| Ok(backup::backup(view, &to, &findings)?);
        self.long_view("the store", read).await
    }
}
