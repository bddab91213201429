//! How large things may be, and the checks of a batch that need no store.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use deployd_core::Digest;
use deployd_core::journal::StreamId;
use deployd_core::outbox::Message;
use deployd_core::ports::{Batch, IdempotencyKey, StoreError};
use serde::Serialize;
use serde_json::Value;

/// An event is a fact, not a document: manifests and sets are objects. Large
/// enough for a plan of some thousand changes.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// A message carries one event's telling.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Rendered manifests of one large application; compressed in memory at once.
pub const OBJECT_BYTES_MAX: usize = 32 << 20;

/// Everything in one batch: it is held in memory until its commit, and its
/// commit keeps all others waiting.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// Events, puts, messages and objects of one batch together: bounds the time
/// that one batch keeps the others waiting.
pub const BATCH_ITEMS_MAX: usize = 10_000;

/// The name of a stream: two names of 63 characters and a prefix, and room.
pub const STREAM_BYTES_MAX: usize = 512;

/// Keys of projections, names of messages, workers and idempotency keys. Inner
/// pages of the tree hold keys, so that long ones make it deep.
pub const KEY_BYTES_MAX: usize = 1 << 10;

/// Values of projections: summaries, which point to what is large.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// The recorded answer of a request.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How deep JSON may nest. serde_json writes any depth but reads 128 levels: a
/// deeper event could be stored and never read again.
pub const JSON_DEPTH_MAX: usize = 100;

/// How long idempotency keys are kept: a day more than the promised seven, so
/// that a corrected clock does not break the promise.
pub const KEY_KEPT_MS: u64 = 8 * 24 * 3_600_000;

/// Expired keys removed with each new one: more than one, so that their number
/// falls, and few, so that nobody waits for a sweep.
pub const SWEEP_MAX: usize = 16;

/// Requests in one commit. The syncs of a commit cost about as much as hundreds
/// of small requests; more only adds to the wait of the first of them.
pub const GROUP_REQUESTS_MAX: usize = 256;

/// Bytes in one commit: the request that passes it is the group's last.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

/// Requests in a group from which the next group waits for company: so many at once
/// are no single client, which would wait for itself. PostgreSQL has the same as
/// `commit_siblings`.
pub const COMPANY_FROM: usize = 8;

/// How long company is waited for, again and again while somebody comes: a tenth of
/// what a commit takes, or less, so that whoever is in the group hardly notices. A
/// commit copies the pages that all its requests touch once, and syncs once.
pub const LINGER: Duration = Duration::from_millis(1);

/// How often, at most: the first of a group waits no longer than half a commit.
pub const LINGERS_MAX: usize = 8;

/// The write-ahead log of a new store: some hundred groups, so that what a checkpoint
/// writes is little to each of them, and what opening a store does again takes a tenth
/// of a second at most.
pub const LOG_BYTES: u64 = 8 << 20;

/// Changes of one group in the log; a larger group is a checkpoint. Opening a store looks
/// so far, three times, for what may follow a record that can't be read.
pub const RECORD_BYTES_MAX: usize = 512 << 10;

/// How long nobody must have come before there is a checkpoint: it can't be in anybody's
/// way then, and a store that rests has everything in its place.
pub const REST: Duration = Duration::from_secs(5);

/// Requests that may wait: four full groups, less than a second of work even on
/// a slow disk. Whoever comes then is told to come back.
pub const QUEUE_REQUESTS_MAX: usize = 4 * GROUP_REQUESTS_MAX;

/// Bytes that may wait: room for the largest batch, and a bound for memory.
pub const QUEUE_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// Threads that read; more would wait for the same disk.
pub const READERS: usize = 8;

/// Content that is compressed where it is handed in, on the async runtime: for
/// some ten microseconds, less than it takes to wake another thread.
pub const PREPARED_AT_ONCE_BYTES: usize = 16 * 1024;

/// Free bytes on the file system below which batches are refused: several of
/// the largest groups, each with the pages it copies, so that a full disk is
/// met here, where nothing is half-done, and not in a commit.
pub const RESERVE_BYTES: u64 = 256 << 20;

/// Findings that a verification reports of each kind; a broken disk has more.
pub const FINDINGS_MAX: usize = 1_000;

/// What the checked batch weighs, in bytes.
///
/// Fails with [`StoreError::InvalidBatch`], naming what is wrong with it.
pub(crate) fn check_batch(batch: &Batch) -> Result<usize, StoreError> {
    let mut check = Check::default();
    let mut streams = BTreeSet::new();
    for append in &batch.appends {
        check.stream(&append.stream)?;
        if !streams.insert(&append.stream) {
            return invalid(format!("stream {} is there twice", append.stream));
        }
        if append.events.is_empty() {
            return invalid(format!("no events for stream {}", append.stream));
        }
        for event in &append.events {
            let what = || format!("an event {} of stream {}", event.kind, append.stream);
            check.depth(what, &event.body)?;
            check.item(what, json_len(event)?, EVENT_BYTES_MAX)?;
        }
    }
    for put in &batch.puts {
        let what = || format!("a key of index {}", put.index.0);
        check.item(what, put.key.len(), KEY_BYTES_MAX)?;
        let what = || format!("a value of index {}", put.index.0);
        check.bytes(what, put.value.as_ref().map_or(0, Vec::len), VALUE_BYTES_MAX)?;
    }
    for message in &batch.outbox {
        let bytes = check_message(message)?;
        check.item(|| format!("message {}", message.id), bytes, MESSAGE_BYTES_MAX)?;
    }
    for object in &batch.objects {
        let what = || format!("object {}", object.digest);
        check.item(what, object.bytes.len(), OBJECT_BYTES_MAX)?;
    }
    // Last, since it is the dear one.
    for object in &batch.objects {
        if Digest::of(&object.bytes) != object.digest {
            return invalid(format!("object {} has other bytes than its digest", object.digest));
        }
    }
    Ok(check.bytes)
}

/// What the checked message weighs, in bytes.
pub(crate) fn check_message(message: &Message) -> Result<usize, StoreError> {
    let mut check = Check::default();
    check.bytes(|| "the id of a message".to_owned(), message.id.0.len(), KEY_BYTES_MAX)?;
    check.depth(|| format!("message {}", message.id), &message.event)?;
    if let Some(memory) = &message.memory {
        check.depth(|| format!("the memory of message {}", message.id), memory)?;
    }
    for attempt in &message.attempts {
        if let Some(fault) = &attempt.fault {
            check.depth(|| format!("an attempt of message {}", message.id), &fault.detail)?;
        }
    }
    let bytes = json_len(message)?;
    check.bytes(|| format!("message {}", message.id), bytes, MESSAGE_BYTES_MAX)?;
    Ok(bytes)
}

/// Checks what comes with a batch in `accept`; returns its weight in bytes.
pub(crate) fn check_key(key: &IdempotencyKey, answer: &[u8]) -> Result<usize, StoreError> {
    let mut check = Check::default();
    if key.0.is_empty() {
        return invalid("an empty idempotency key".to_owned());
    }
    check.bytes(|| "an idempotency key".to_owned(), key.0.len(), KEY_BYTES_MAX)?;
    check.bytes(|| "an answer".to_owned(), answer.len(), ANSWER_BYTES_MAX)?;
    Ok(check.bytes)
}

/// Checks the names in a claim.
pub(crate) fn check_claim(stream: &StreamId, worker: &str) -> Result<(), StoreError> {
    let mut check = Check::default();
    check.stream(stream)?;
    check.bytes(|| "the name of a worker".to_owned(), worker.len(), KEY_BYTES_MAX)
}

fn invalid<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::InvalidBatch(why))
}

/// Adds up what it has checked.
#[derive(Default)]
struct Check {
    items: usize,
    bytes: usize,
}

impl Check {
    fn stream(&mut self, stream: &StreamId) -> Result<(), StoreError> {
        if stream.0.is_empty() {
            return invalid("a stream without a name".to_owned());
        }
        self.bytes(|| "the name of a stream".to_owned(), stream.0.len(), STREAM_BYTES_MAX)
    }

    fn item(
        &mut self,
        what: impl Fn() -> String,
        bytes: usize,
        max: usize,
    ) -> Result<(), StoreError> {
        self.items += 1;
        if self.items > BATCH_ITEMS_MAX {
            return invalid(format!("more than {BATCH_ITEMS_MAX} items in one batch"));
        }
        self.bytes(what, bytes, max)
    }

    fn bytes(
        &mut self,
        what: impl Fn() -> String,
        bytes: usize,
        max: usize,
    ) -> Result<(), StoreError> {
        if bytes > max {
            return invalid(format!("{} has {bytes} bytes; at most {max} are stored", what()));
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > BATCH_BYTES_MAX {
            return invalid(format!("more than {BATCH_BYTES_MAX} bytes in one batch"));
        }
        Ok(())
    }

    fn depth(&mut self, what: impl Fn() -> String, value: &Value) -> Result<(), StoreError> {
        if deeper_than(value, JSON_DEPTH_MAX) {
            return invalid(format!("{} nests deeper than {JSON_DEPTH_MAX} levels", what()));
        }
        Ok(())
    }
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    let Some(left) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| deeper_than(item, left)),
        Value::Object(fields) => fields.values().any(|field| deeper_than(field, left)),
        _ => false,
    }
}

/// The length of a value's JSON, without keeping it.
fn json_len<T: Serialize>(value: &T) -> Result<usize, StoreError> {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)
        .map_err(|error| StoreError::InvalidBatch(format!("not JSON: {error}")))?;
    Ok(count.0)
}
