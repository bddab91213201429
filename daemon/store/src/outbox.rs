//! Messages to deliver, and when.
//!
//! A message has a number, in the order in which they came. Beside it are its
//! id, its status and, while it is pending, the time from which it may be
//! taken: `due`, or the end of the lease of whoever took it.

use deployd_core::Timestamp;
use deployd_core::outbox::{Message, MessageStatus};
use deployd_core::ports::StoreError;
use deployd_core::seeded::{Bug, seeded};
use redb::ReadableTable;

use crate::encode::{self, StoredMessage};
use crate::error::Failure;
use crate::tables::Tables;

/// The key of a status; never change one.
pub(crate) fn status_key(status: MessageStatus) -> u8 {
    match status {
        MessageStatus::Pending => 1,
        MessageStatus::Delivered => 2,
        MessageStatus::Dead => 3,
    }
}

/// A kept message.
pub(crate) fn stored(
    outbox: &impl ReadableTable<u64, &'static [u8]>,
    number: u64,
) -> Result<StoredMessage, Failure> {
    let what = format!("message number {number}");
    match outbox.get(number)? {
        Some(bytes) => Ok(encode::to_message(&what, bytes.value())?),
        None => Err(StoreError::Damaged(format!("{what} is missing")).into()),
    }
}

fn keep(
    tables: &mut Tables<'_>,
    number: u64,
    available: u64,
    message: &Message,
) -> Result<(), Failure> {
    let bytes = encode::message(available, message)?;
    tables.outbox.insert(number, bytes.as_slice())?;
    tables.outbox_status.insert((status_key(message.status), number), ())?;
    if message.status == MessageStatus::Pending {
        tables.outbox_due.insert((available, number), ())?;
    }
    Ok(())
}

/// Removes what [`keep`] put beside the message.
fn forget(tables: &mut Tables<'_>, number: u64, stored: &StoredMessage) -> Result<(), Failure> {
    if !seeded(Bug::MessageCountedTwice) {
        tables.outbox_status.remove((status_key(stored.message.status), number))?;
    }
    tables.outbox_due.remove((stored.available, number))?;
    Ok(())
}

/// Adds messages; those that are there already stay as they are.
pub(crate) fn add(tables: &mut Tables<'_>, messages: &[Message]) -> Result<(), Failure> {
    let mut number = tables.outbox.last()?.map_or(0, |(number, _)| number.value());
    for message in messages {
        if tables.outbox_ids.get(message.id.0.as_str())?.is_some() {
            continue;
        }
        number = number.saturating_add(1);
        tables.outbox_ids.insert(message.id.0.as_str(), number)?;
        keep(tables, number, message.due.0, message)?;
    }
    Ok(())
}

/// Leases what is due, soonest first. Also returns whether anything changed.
///
/// A message that can't be read is set aside: it is taken off what is due, so
/// that the others are delivered; `verify` tells of it.
pub(crate) fn take(
    tables: &mut Tables<'_>,
    now: Timestamp,
    lease_until: Timestamp,
    max: usize,
) -> Result<(Vec<Message>, bool), Failure> {
    let mut due = Vec::new();
    for entry in tables.outbox_due.range(..=(now.0, u64::MAX))?.take(max) {
        due.push(entry?.0.value());
    }
    let mut messages = Vec::with_capacity(due.len());
    let changed = !due.is_empty();
    for (available, number) in due {
        match stored(&*tables.outbox, number) {
            Ok(stored) => {
                forget(tables, number, &stored)?;
                let leased = match seeded(Bug::LeaseForgotten) {
                    false => lease_until.0,
                    true => available,
                };
                keep(tables, number, leased, &stored.message)?;
                messages.push(stored.message);
            }
            Err(failure) if failure.is_damage() && !seeded(Bug::DamagedMessageBlocksAll) => {
                tracing::error!(number, %failure, "a message can't be read and is set aside");
                tables.outbox_due.remove((available, number))?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok((messages, changed))
}

/// Records what became of a message.
pub(crate) fn settle(tables: &mut Tables<'_>, message: &Message) -> Result<(), Failure> {
    let number = tables.outbox_ids.get(message.id.0.as_str())?.map(|number| number.value());
    let Some(number) = number else {
        return Err(StoreError::InvalidBatch(format!("no message {}", message.id)).into());
    };
    let present = stored(&*tables.outbox, number)?;
    if !same_telling(&present.message, message) {
        return Err(StoreError::InvalidBatch(format!(
            "message {} tells something else than the one that is stored",
            message.id
        ))
        .into());
    }
    forget(tables, number, &present)?;
    keep(tables, number, message.due.0, message)
}

/// Whether two messages tell the same to the same, whatever became of them.
pub(crate) fn same_telling(a: &Message, b: &Message) -> bool {
    a.id == b.id && a.subscription == b.subscription && a.event == b.event && a.created == b.created
}
