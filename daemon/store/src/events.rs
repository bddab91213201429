//! How events are kept: a format byte, the event's hash, then its canonical JSON, as
//! it was hashed, compressed.
//!
//! The hash of the event before it is not kept beside it: that one has it. Whether
//! the chain holds is for whoever verifies it; here it is only put together.

use std::borrow::Cow;
use std::collections::HashMap;

use deployd_core::Digest;
use deployd_core::digest::canonical_json;
use deployd_core::journal::{EventRecord, NewEvent, StreamId, Version, genesis};
use deployd_core::ports::StoreError;
use deployd_core::seeded::{Bug, seeded};
use redb::ReadableTable;
use serde::Deserialize;

use crate::error::Failure;
use crate::limits::EVENT_BYTES_MAX;
use crate::packed;

/// JSON of event, hash and the hash before it, as version 2 of the schema has it.
const JSON: u8 = 1;
/// Hash, and the compressed text.
const PACKED: u8 = 2;
/// Hash, and the text as it is.
const PLAIN: u8 = 3;

/// An event that is ready to be chained: its text is made, and compressed, before
/// its place is known.
#[derive(Debug)]
pub(crate) struct Ready {
    /// What is hashed.
    pub(crate) canonical: Vec<u8>,
    packed: Option<Vec<u8>>,
}

impl Ready {
    /// Fails with [`StoreError::InvalidBatch`] where an event can't be JSON.
    pub(crate) fn of(event: &NewEvent) -> Result<Self, StoreError> {
        let canonical = canonical_json(event)
            .map_err(|error| StoreError::InvalidBatch(format!("an event is not JSON: {error}")))?;
        Ok(Self { packed: packed::pack(&canonical), canonical })
    }

    /// As it is kept under its stream and version.
    pub(crate) fn stored(&self, hash: Digest) -> Vec<u8> {
        let (format, text) = match &self.packed {
            Some(packed) => (PACKED, packed),
            None => (PLAIN, &self.canonical),
        };
        [&[format], hash.as_bytes().as_slice(), text].concat()
    }
}

/// What is kept of an event in version 2 of the schema.
#[derive(Deserialize)]
struct Json {
    event: NewEvent,
    previous: Digest,
    hash: Digest,
}

/// An event as it is kept, read.
struct Stored {
    event: NewEvent,
    /// Of older ones.
    previous: Option<Digest>,
    hash: Digest,
}

fn what(stream: &StreamId, version: u64) -> String {
    format!("event {version} of stream {stream}")
}

fn damaged(stream: &StreamId, version: u64, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{}: {why}", what(stream, version)))
}

/// The hash of an event and the rest of what is kept of it; none of the format that
/// has both in its JSON.
fn head_of(bytes: &[u8]) -> Option<(u8, Digest, &[u8])> {
    let (format, rest) = bytes.split_first()?;
    let (hash, rest) = rest.split_first_chunk::<32>()?;
    [PACKED, PLAIN].contains(format).then(|| (*format, Digest::from_bytes(*hash), rest))
}

/// The text that was hashed, or why it can't be read.
type Text<'b> = Result<Cow<'b, [u8]>, String>;

/// The hash of an event and its text; none where both are in older JSON.
fn text(bytes: &[u8]) -> Option<(Digest, Text<'_>)> {
    let (format, hash, text) = head_of(bytes)?;
    let text = match format {
        PACKED => packed::unpack(text, EVENT_BYTES_MAX).map(Cow::Owned),
        _ => Ok(Cow::Borrowed(text)),
    };
    Some((hash, text))
}

/// The same for tests that look for what must not be there.
pub(crate) fn text_of(bytes: &[u8]) -> Option<Vec<u8>> {
    text(bytes)?.1.ok().map(Cow::into_owned)
}

fn read(stream: &StreamId, version: u64, bytes: &[u8]) -> Result<Stored, StoreError> {
    let damaged = |why: String| damaged(stream, version, why);
    let not_json = |error: serde_json::Error| damaged(error.to_string());
    if let Some((hash, text)) = text(bytes) {
        let event = serde_json::from_slice(&text.map_err(damaged)?).map_err(not_json)?;
        return Ok(Stored { event, previous: None, hash });
    }
    match bytes.split_first() {
        Some((&JSON, json)) => {
            let Json { event, previous, hash } = serde_json::from_slice(json).map_err(not_json)?;
            Ok(Stored { event, previous: Some(previous), hash })
        }
        Some((format, _)) => {
            Err(damaged(format!("it is too short, or has the unknown format {format}")))
        }
        None => Err(damaged("it is empty".to_owned())),
    }
}

/// The hash of an event.
fn hash(stream: &StreamId, version: u64, bytes: &[u8]) -> Result<Digest, StoreError> {
    match head_of(bytes) {
        Some((_, hash, _)) => Ok(hash),
        None => Ok(read(stream, version, bytes)?.hash),
    }
}

/// An event that follows upon one with this hash, if its own place does not say
/// another.
pub(crate) fn after(
    previous: Digest,
    stream: &StreamId,
    version: u64,
    bytes: &[u8],
) -> Result<EventRecord, StoreError> {
    let Stored { event, previous: told, hash } = read(stream, version, bytes)?;
    let previous = told.unwrap_or(previous);
    Ok(EventRecord { stream: stream.clone(), version: Version(version), event, previous, hash })
}

/// Reads events, and remembers the last one of each stream: the next one follows
/// upon it.
pub(crate) struct Reader<'t, T> {
    events: &'t T,
    last: HashMap<StreamId, (u64, Digest)>,
}

impl<'t, T: ReadableTable<(&'static str, u64), &'static [u8]>> Reader<'t, T> {
    pub(crate) fn new(events: &'t T) -> Self {
        Self { events, last: HashMap::new() }
    }

    /// The event that is kept there as these bytes. Fails also where the one before
    /// it is gone, or has lost its hash: it can't be told then what this one follows
    /// upon.
    pub(crate) fn record(
        &mut self,
        stream: &StreamId,
        version: u64,
        bytes: &[u8],
    ) -> Result<EventRecord, Failure> {
        let Stored { event, previous, hash } = read(stream, version, bytes)?;
        let previous = match previous {
            Some(previous) => previous,
            None => self.previous(stream, version)?,
        };
        match self.last.get_mut(stream) {
            Some(last) => *last = (version, hash),
            None => {
                self.last.insert(stream.clone(), (version, hash));
            }
        }
        let version = Version(version);
        Ok(EventRecord { stream: stream.clone(), version, event, previous, hash })
    }

    fn previous(&self, stream: &StreamId, version: u64) -> Result<Digest, Failure> {
        let before = version.saturating_sub(1);
        if before == 0 || (self.last.is_empty() && seeded(Bug::LinkOfNothing)) {
            return Ok(genesis(stream));
        }
        if let Some((_, hash)) = self.last.get(stream).filter(|(last, _)| *last == before) {
            return Ok(*hash);
        }
        match self.events.get((stream.0.as_str(), before))? {
            Some(bytes) => Ok(hash(stream, before, bytes.value())?),
            None => Err(damaged(stream, before, "it is missing").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use deployd_core::journal::chain;
    use deployd_core::{Actor, Timestamp};
    use serde_json::json;

    use super::*;

    fn event(note: &str) -> NewEvent {
        NewEvent {
            at: Timestamp(1_795_230_000_007),
            actor: Actor::deployd(),
            kind: "step-succeeded".to_owned(),
            body: json!({"type": "step-succeeded", "step": note, "n": 0.1}),
            source: None,
        }
    }

    fn stream() -> StreamId {
        StreamId("environment/shop/production".to_owned())
    }

    #[test]
    fn an_event_is_read_as_it_was_hashed() {
        let (stream, previous) = (stream(), Digest::of(b"before"));
        for note in ["apply", &"long ".repeat(1_000)] {
            let event = event(note);
            let hash = chain(&stream, Version(7), previous, &event).unwrap();
            let stored = Ready::of(&event).unwrap().stored(hash);
            let record = after(previous, &stream, 7, &stored).unwrap();
            let expected =
                EventRecord { stream: stream.clone(), version: Version(7), event, previous, hash };
            assert_eq!(record, expected);
        }
    }

    #[test]
    fn what_older_versions_wrote_is_read_with_the_hash_that_it_names() {
        let (stream, previous, hash) = (stream(), Digest::of(b"before"), Digest::of(b"it"));
        let text = json!({"event": event("x"), "previous": previous, "hash": hash}).to_string();
        let stored = [&[JSON], text.as_bytes()].concat();
        let record = after(Digest::of(b"another"), &stream, 7, &stored).unwrap();
        assert_eq!((record.previous, record.hash, record.event), (previous, hash, event("x")));
        assert_eq!(super::hash(&stream, 7, &stored).unwrap(), hash);
    }

    #[test]
    fn what_does_not_shrink_is_kept_as_it_is() {
        let (stream, hash) = (stream(), Digest::of(b"it"));
        let ready = Ready { packed: None, ..Ready::of(&event("x")).unwrap() };
        let stored = ready.stored(hash);
        assert_eq!(after(hash, &stream, 1, &stored).unwrap().event, event("x"));
    }

    #[test]
    fn what_is_damaged_is_named() {
        let good = Ready::of(&event("x")).unwrap().stored(Digest::of(b""));
        for bad in [&b""[..], b"\x02short", b"\x01{", b"\x09", &good[..40], &[9; 90]] {
            let error = after(Digest::of(b""), &stream(), 7, bad).unwrap_err().to_string();
            let named = "event 7 of stream environment/shop/production: ";
            assert!(error.contains(named), "{error}");
        }
    }
}
