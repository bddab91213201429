//! How records are written: a format byte, then the rest.

use deployd_core::Digest;
use deployd_core::journal::{EventRecord, Head, NewEvent, StreamId, Version, genesis};
use deployd_core::outbox::Message;
use deployd_core::ports::StoreError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first format of each kind of record.
const V1: u8 = 1;

/// JSON, as most records are kept.
pub(crate) fn to_json<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![V1];
    serde_json::to_writer(&mut bytes, value)
        .map_err(|error| StoreError::InvalidBatch(format!("{what} is not JSON: {error}")))?;
    Ok(bytes)
}

/// What [`to_json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let json = v1(what, bytes)?;
    serde_json::from_slice(json).map_err(|error| StoreError::Damaged(format!("{what}: {error}")))
}

fn v1<'b>(what: &str, bytes: &'b [u8]) -> Result<&'b [u8], StoreError> {
    match bytes.split_first() {
        Some((&V1, rest)) => Ok(rest),
        Some((other, _)) => {
            Err(StoreError::Damaged(format!("{what} has the unknown format {other}")))
        }
        None => Err(StoreError::Damaged(format!("{what} is empty"))),
    }
}

/// Takes an array off the front.
fn take<'b, const N: usize>(
    what: &str,
    bytes: &'b [u8],
) -> Result<([u8; N], &'b [u8]), StoreError> {
    match bytes.split_first_chunk::<N>() {
        Some((array, rest)) => Ok((*array, rest)),
        None => Err(StoreError::Damaged(format!("{what} is too short"))),
    }
}

/// An event without what its key tells.
#[derive(Serialize, Deserialize)]
struct StoredEvent {
    event: NewEvent,
    previous: Digest,
    hash: Digest,
}

/// [`StoredEvent`], to be written.
#[derive(Serialize)]
struct EventToStore<'e> {
    event: &'e NewEvent,
    previous: Digest,
    hash: Digest,
}

/// An event, to be kept under its stream and version.
pub(crate) fn event(
    event: &NewEvent,
    previous: Digest,
    hash: Digest,
) -> Result<Vec<u8>, StoreError> {
    to_json("an event", &EventToStore { event, previous, hash })
}

/// The event kept under this stream and version.
pub(crate) fn to_event(
    stream: &StreamId,
    version: u64,
    bytes: &[u8],
) -> Result<EventRecord, StoreError> {
    let StoredEvent { event, previous, hash } =
        from_json(&format!("event {version} of stream {stream}"), bytes)?;
    Ok(EventRecord { stream: stream.clone(), version: Version(version), event, previous, hash })
}

/// A head: its version and hash.
pub(crate) fn head(head: Head) -> Vec<u8> {
    let mut bytes = vec![V1];
    bytes.extend(head.version.0.to_be_bytes());
    bytes.extend(head.hash.as_bytes());
    bytes
}

/// The head of a stream, from what is kept of it.
pub(crate) fn to_head(stream: &StreamId, bytes: Option<&[u8]>) -> Result<Head, StoreError> {
    let Some(bytes) = bytes else {
        return Ok(Head { version: Version(0), hash: genesis(stream) });
    };
    let what = format!("the head of stream {stream}");
    let (version, rest) = take::<8>(&what, v1(&what, bytes)?)?;
    let (hash, _) = take::<32>(&what, rest)?;
    Ok(Head { version: Version(u64::from_be_bytes(version)), hash: Digest::from_bytes(hash) })
}

/// The request that came with an idempotency key.
pub(crate) struct KeyRecord<'a> {
    /// Of the request.
    pub(crate) digest: Digest,
    /// When the key may be forgotten.
    pub(crate) expires: u64,
    /// Its answer.
    pub(crate) answer: &'a [u8],
}

/// A key's record: digest, expiry, then the answer.
pub(crate) fn key(record: &KeyRecord<'_>) -> Vec<u8> {
    let mut bytes = vec![V1];
    bytes.extend(record.digest.as_bytes());
    bytes.extend(record.expires.to_be_bytes());
    bytes.extend(record.answer);
    bytes
}

/// What [`key`] wrote.
pub(crate) fn to_key(bytes: &[u8]) -> Result<KeyRecord<'_>, StoreError> {
    let what = "an idempotency key";
    let (digest, rest) = take::<32>(what, v1(what, bytes)?)?;
    let (expires, answer) = take::<8>(what, rest)?;
    Ok(KeyRecord {
        digest: Digest::from_bytes(digest),
        expires: u64::from_be_bytes(expires),
        answer,
    })
}

/// A message, and when it may be taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredMessage {
    /// `due`, or the end of its lease; of no meaning unless it is pending.
    pub(crate) available: u64,
    /// The message.
    pub(crate) message: Message,
}

/// [`StoredMessage`], to be written.
#[derive(Serialize)]
struct MessageToStore<'m> {
    available: u64,
    message: &'m Message,
}

/// A message, to be kept under its number.
pub(crate) fn message(available: u64, message: &Message) -> Result<Vec<u8>, StoreError> {
    to_json("a message", &MessageToStore { available, message })
}

/// A stream's claim, also after it was given back: the fence must not fall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredClaim {
    /// The last fence that was given out.
    pub(crate) fence: u64,
    /// Who has it; none when it was given back.
    pub(crate) worker: Option<String>,
    /// Until when.
    pub(crate) until: u64,
}
