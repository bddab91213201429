//! How records are written: a format byte, then the rest.

use deployd_core::Digest;
use deployd_core::journal::{Head, StreamId, Version, genesis};
use deployd_core::outbox::Message;
use deployd_core::ports::StoreError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::MESSAGE_BYTES_MAX;
use crate::packed;

/// The first format of each kind of record.
const V1: u8 = 1;
/// JSON that is compressed.
const PACKED: u8 = 2;

/// What is kept around a message, at most: a number and a few words.
const AROUND_MESSAGE: usize = 1 << 10;

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

/// A message, to be kept under its number: JSON, compressed where that is shorter.
pub(crate) fn message(available: u64, message: &Message) -> Result<Vec<u8>, StoreError> {
    let json = to_json("a message", &MessageToStore { available, message })?;
    match json.split_first().and_then(|(_, text)| packed::pack(text)) {
        Some(packed) => Ok([&[PACKED], packed.as_slice()].concat()),
        None => Ok(json),
    }
}

/// What [`message`] wrote.
pub(crate) fn to_message(what: &str, bytes: &[u8]) -> Result<StoredMessage, StoreError> {
    let damaged = |why: String| StoreError::Damaged(format!("{what}: {why}"));
    match unpacked(bytes) {
        Some(text) => serde_json::from_slice(&text.map_err(damaged)?)
            .map_err(|error| damaged(error.to_string())),
        None => from_json(what, bytes),
    }
}

/// The compressed text of a message; none where it is not compressed.
fn unpacked(message: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let packed = message.strip_prefix(&[PACKED])?;
    Some(packed::unpack(packed, MESSAGE_BYTES_MAX + AROUND_MESSAGE))
}

/// The text of a message, for tests that look for what must not be there.
pub(crate) fn text_of_message(message: &[u8]) -> Option<Vec<u8>> {
    unpacked(message)?.ok()
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
