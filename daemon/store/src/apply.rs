//! Batches: all that is checked is checked before anything is written, so that
//! a refused batch leaves nothing behind.

use deployd_core::Digest;
use deployd_core::journal::{Head, StreamId, Version, chain_canonical};
use deployd_core::outbox::Message;
use deployd_core::ports::{Append, Batch, Fence, Put, StoreError};
use deployd_core::seeded::{Bug, seeded};
use redb::ReadableTable;

use crate::error::Failure;
use crate::events::Ready;
use crate::tables::Tables;
use crate::{claims, encode, objects, outbox, values};

/// A batch whose texts and content are compressed: that needs no transaction, and
/// would keep others waiting in one.
#[derive(Debug)]
pub(crate) struct Prepared {
    appends: Vec<ReadyAppend>,
    puts: Vec<Put>,
    outbox: Vec<Message>,
    objects: Vec<(Digest, Vec<u8>)>,
}

/// An append whose events are ready to be chained.
#[derive(Debug)]
struct ReadyAppend {
    stream: StreamId,
    expect: Version,
    fence: Option<Fence>,
    events: Vec<Ready>,
}

impl ReadyAppend {
    fn of(append: Append) -> Result<Self, StoreError> {
        let Append { stream, expect, fence, events } = append;
        let events = events.iter().map(Ready::of).collect::<Result<_, _>>()?;
        Ok(Self { stream, expect, fence, events })
    }
}

impl Prepared {
    /// The streams that it appends to.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &StreamId> {
        self.appends.iter().map(|append| &append.stream)
    }

    /// Compresses what is in a checked batch.
    ///
    /// Fails with [`StoreError::InvalidBatch`] where an event can't be JSON.
    pub(crate) fn of(batch: Batch) -> Result<Self, StoreError> {
        let Batch { appends, mut puts, outbox, objects } = batch;
        let appends = appends.into_iter().map(ReadyAppend::of).collect::<Result<_, _>>()?;
        for put in &mut puts {
            put.value = put.value.take().map(values::pack);
        }
        let objects =
            objects.iter().map(|object| (object.digest, objects::pack(&object.bytes))).collect();
        Ok(Self { appends, puts, outbox, objects })
    }
}

/// What an append comes to: its events as they will be kept, and the new head.
struct Planned<'b> {
    stream: &'b StreamId,
    events: Vec<(u64, Vec<u8>)>,
    head: Head,
}

/// Stores a batch, or refuses it and leaves everything as it was.
pub(crate) fn batch(tables: &mut Tables<'_>, batch: &Prepared) -> Result<Vec<Head>, Failure> {
    if seeded(Bug::RefusedBatchPutsAll) {
        put(tables, &batch.puts)?;
    }
    let planned =
        batch.appends.iter().map(|append| plan(tables, append)).collect::<Result<Vec<_>, _>>()?;
    write_events(tables, &planned)?;
    if !seeded(Bug::IndexOutsideTransaction) {
        put(tables, &batch.puts)?;
    }
    if !seeded(Bug::OutboxOutsideTransaction) {
        outbox::add(tables, &batch.outbox)?;
    }
    for (digest, packed) in &batch.objects {
        if tables.objects.get(digest.as_bytes())?.is_none() {
            tables.objects.insert(digest.as_bytes(), packed.as_slice())?;
        }
    }
    Ok(planned.iter().map(|planned| planned.head).collect())
}

/// What two seeded bugs leave for a transaction of its own.
pub(crate) fn late(tables: &mut Tables<'_>, batch: &Prepared) -> Result<(), Failure> {
    put(tables, &batch.puts)?;
    outbox::add(tables, &batch.outbox)
}

fn put(tables: &mut Tables<'_>, puts: &[Put]) -> Result<(), Failure> {
    let kept = puts.len() - usize::from(seeded(Bug::PutForgotten) && !puts.is_empty());
    for put in puts.iter().take(kept) {
        let key = (put.index.0, put.key.as_slice());
        match &put.value {
            Some(value) => tables.indexes.insert(key, value.as_slice())?,
            None => tables.indexes.remove(key)?,
        };
    }
    Ok(())
}

/// The head of a stream, as it is within a transaction.
pub(crate) fn head(tables: &Tables<'_>, stream: &StreamId) -> Result<Head, Failure> {
    let head = tables.heads.get(stream.0.as_str())?;
    Ok(encode::to_head(stream, head.as_ref().map(|bytes| bytes.value()))?)
}

fn plan<'b>(tables: &Tables<'_>, append: &'b ReadyAppend) -> Result<Planned<'b>, Failure> {
    let ReadyAppend { stream, expect, fence, events } = append;
    // First the fence: whoever lost the stream must not read it and try again.
    claims::check(tables, stream, *fence)?;
    let mut head = head(tables, stream)?;
    if head.version != *expect && !seeded(Bug::VersionNotCompared) {
        return Err(StoreError::Conflict { stream: stream.clone(), head }.into());
    }
    let mut records = Vec::with_capacity(events.len());
    for event in events {
        let version = head.version.next();
        let chained = if seeded(Bug::ChainOffByOne) { head.version } else { version };
        let hash = chain_canonical(stream, chained, head.hash, &event.canonical);
        records.push((version.0, event.stored(hash)));
        head = Head { version, hash };
    }
    Ok(Planned { stream, events: records, head })
}

fn write_events(tables: &mut Tables<'_>, planned: &[Planned<'_>]) -> Result<(), Failure> {
    let mut position = feed_end(&*tables.feed)? + u64::from(seeded(Bug::FeedGap));
    for Planned { stream, events, head } in planned {
        let stream = stream.0.as_str();
        for (version, event) in events {
            position = position.saturating_add(1);
            tables.events.insert((stream, *version), event.as_slice())?;
            tables.feed.insert(position, (stream, *version))?;
        }
        tables.heads.insert(stream, encode::head(*head).as_slice())?;
    }
    Ok(())
}

/// The position of the last event of all.
pub(crate) fn feed_end(
    feed: &impl ReadableTable<u64, (&'static str, u64)>,
) -> Result<u64, Failure> {
    Ok(feed.last()?.map_or(0, |(position, _)| position.value()))
}
