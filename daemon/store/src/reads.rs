//! Reads, each from one consistent view.

use std::ops::Bound;

use deployd_core::journal::{EventRecord, Head, StreamId, Version};
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{
    FeedItem, FeedPosition, IdempotencyKey, Index, KeyRange, Order, Page, StoreError,
};
use deployd_core::seeded::{Bug, seeded};
use deployd_core::{Digest, Timestamp};
use redb::{ReadTransaction, ReadableTable};

use crate::at_once::{PACKED_AT_ONCE, UNPACKED_AT_ONCE};
use crate::error::Failure;
use crate::events::Reader;
use crate::tables::{
    EVENTS, FEED, HEADS, INDEXES, KEYS, OBJECTS, OUTBOX, OUTBOX_DUE, OUTBOX_IDS, OUTBOX_STATUS,
};
use crate::{encode, idempotency, objects, outbox, values};

pub(crate) fn accepted(
    view: &ReadTransaction,
    key: &IdempotencyKey,
    digest: Digest,
) -> Result<Option<Vec<u8>>, Failure> {
    idempotency::recorded(&view.open_table(KEYS)?, key, digest)
}

pub(crate) fn head(view: &ReadTransaction, stream: &StreamId) -> Result<Head, Failure> {
    let heads = view.open_table(HEADS)?;
    let head = ReadableTable::get(&heads, stream.0.as_str())?;
    Ok(encode::to_head(stream, head.as_ref().map(|bytes| bytes.value()))?)
}

pub(crate) fn read(
    view: &ReadTransaction,
    stream: &StreamId,
    from: Version,
    max: usize,
) -> Result<Vec<EventRecord>, Failure> {
    let events = view.open_table(EVENTS)?;
    let name = stream.0.as_str();
    let mut reader = Reader::new(&events);
    let mut records = Vec::new();
    for entry in ReadableTable::range(&events, (name, from.0)..=(name, u64::MAX))?.take(max) {
        let (key, event) = entry?;
        records.push(reader.record(stream, key.value().1, event.value())?);
    }
    Ok(records)
}

pub(crate) fn get(
    view: &ReadTransaction,
    index: Index,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Failure> {
    let indexes = view.open_table(INDEXES)?;
    match ReadableTable::get(&indexes, (index.0, key))? {
        Some(value) => Ok(Some(values::unpack(|| named(index, key), value.value())?)),
        None => Ok(None),
    }
}

/// An entry of a projection, for messages.
fn named(index: Index, key: &[u8]) -> String {
    format!("{:?} of index {}", String::from_utf8_lossy(key), index.0)
}

pub(crate) fn scan(
    view: &ReadTransaction,
    index: Index,
    range: &KeyRange,
    order: Order,
    max: usize,
) -> Result<Page, Failure> {
    if range.end.as_ref().is_some_and(|end| *end <= range.start) {
        return Ok(Page { entries: Vec::new(), more: false });
    }
    let indexes = view.open_table(INDEXES)?;
    // The next index's name, whatever it is, is not before this one.
    let after_index = format!("{}\0", index.0);
    let end = match &range.end {
        Some(end) => (index.0, end.as_slice()),
        None => (after_index.as_str(), &[][..]),
    };
    let bounds = (Bound::Included((index.0, range.start.as_slice())), Bound::Excluded(end));
    let mut found = ReadableTable::range::<(&str, &[u8])>(&indexes, bounds)?;
    let mut entries = Vec::new();
    loop {
        let entry = match order {
            Order::Ascending => found.next(),
            Order::Descending => found.next_back(),
        };
        let Some(entry) = entry else { return Ok(Page { entries, more: false }) };
        if entries.len() == max {
            return Ok(Page { entries, more: !seeded(Bug::PageSaysNoMore) });
        }
        let (key, value) = entry?;
        let key = key.value().1;
        entries.push((key.to_vec(), values::unpack(|| named(index, key), value.value())?));
    }
}

pub(crate) fn object(view: &ReadTransaction, digest: Digest) -> Result<Option<Vec<u8>>, Failure> {
    let content = view.open_table(OBJECTS)?;
    match ReadableTable::get(&content, digest.as_bytes())? {
        Some(packed) => Ok(Some(objects::unpack(digest, packed.value())?)),
        None => Ok(None),
    }
}

/// Content, unless it is large.
pub(crate) enum SmallObject {
    /// As it was given; none where it is not there.
    Is(Option<Vec<u8>>),
    /// To be read by somebody who has time.
    Large,
}

pub(crate) fn small_object(view: &ReadTransaction, digest: Digest) -> Result<SmallObject, Failure> {
    let content = view.open_table(OBJECTS)?;
    let Some(packed) = ReadableTable::get(&content, digest.as_bytes())? else {
        return Ok(SmallObject::Is(None));
    };
    let packed = packed.value();
    if packed.len() > PACKED_AT_ONCE || objects::length(packed) > UNPACKED_AT_ONCE {
        return Ok(SmallObject::Large);
    }
    Ok(SmallObject::Is(Some(objects::unpack(digest, packed)?)))
}

pub(crate) fn feed(
    view: &ReadTransaction,
    after: FeedPosition,
    max: usize,
) -> Result<Vec<FeedItem>, Failure> {
    let feed = view.open_table(FEED)?;
    let events = view.open_table(EVENTS)?;
    let mut reader = Reader::new(&events);
    let mut items = Vec::new();
    let after = (Bound::Excluded(after.0), Bound::Unbounded);
    for entry in ReadableTable::range::<u64>(&feed, after)?.take(max) {
        let (position, place) = entry?;
        let position = FeedPosition(position.value());
        let (stream, version) = place.value();
        let Some(event) = ReadableTable::get(&events, (stream, version))? else {
            let why = format!("position {} is event {version} of {stream}: missing", position.0);
            return Err(StoreError::Damaged(why).into());
        };
        let stream = StreamId(stream.to_owned());
        items.push(FeedItem { position, record: reader.record(&stream, version, event.value())? });
    }
    Ok(items)
}

pub(crate) fn outbox_due(view: &ReadTransaction) -> Result<Option<Timestamp>, Failure> {
    let due = view.open_table(OUTBOX_DUE)?;
    let first = due.first()?;
    Ok(first.map(|(key, _)| Timestamp(key.value().0)))
}

fn number_of(view: &ReadTransaction, id: &MessageId) -> Result<Option<u64>, Failure> {
    let ids = view.open_table(OUTBOX_IDS)?;
    let number = ReadableTable::get(&ids, id.0.as_str())?;
    Ok(number.map(|number| number.value()))
}

pub(crate) fn outbox_get(
    view: &ReadTransaction,
    id: &MessageId,
) -> Result<Option<Message>, Failure> {
    let Some(number) = number_of(view, id)? else { return Ok(None) };
    Ok(Some(outbox::stored(&view.open_table(OUTBOX)?, number)?.message))
}

pub(crate) fn outbox_list(
    view: &ReadTransaction,
    status: Option<MessageStatus>,
    after: Option<&MessageId>,
    max: usize,
) -> Result<Vec<Message>, Failure> {
    let after = match after {
        None => 0,
        Some(id) => match number_of(view, id)? {
            Some(number) => number,
            None => return Err(StoreError::InvalidBatch(format!("no message {id}")).into()),
        },
    };
    let messages = view.open_table(OUTBOX)?;
    let mut numbers = Vec::new();
    match status {
        None => {
            let after = (Bound::Excluded(after), Bound::Unbounded);
            for entry in ReadableTable::range::<u64>(&messages, after)?.take(max) {
                numbers.push(entry?.0.value());
            }
        }
        Some(status) => {
            let statuses = view.open_table(OUTBOX_STATUS)?;
            let status = outbox::status_key(status);
            let range = (Bound::Excluded((status, after)), Bound::Included((status, u64::MAX)));
            for entry in ReadableTable::range::<(u8, u64)>(&statuses, range)?.take(max) {
                numbers.push(entry?.0.value().1);
            }
        }
    }
    let mut listed = Vec::with_capacity(numbers.len());
    for number in numbers {
        match outbox::stored(&messages, number) {
            Ok(stored) => listed.push(stored.message),
            // One that can't be read must not hide the others.
            Err(Failure::Refused(error)) => {
                tracing::error!(number, %error, "a message can't be read and is passed over");
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(listed)
}
