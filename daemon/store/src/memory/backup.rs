//! The model as a file: JSON.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use deployd_core::Digest;
use deployd_core::journal::{EventRecord, StreamId, Version};
use serde::{Deserialize, Serialize};

use super::state::{KnownKey, State};
use crate::encode::{StoredClaim, StoredMessage};

/// The name of an index, and a key in it.
type IndexKey = (String, Vec<u8>);

/// Lists, since JSON's keys are texts only.
#[derive(Serialize, Deserialize)]
struct Written {
    streams: Vec<(StreamId, Vec<EventRecord>)>,
    feed: Vec<(StreamId, Version)>,
    indexes: Vec<(IndexKey, Vec<u8>)>,
    objects: Vec<(Digest, Vec<u8>)>,
    outbox: Vec<StoredMessage>,
    keys: Vec<(String, KnownKey)>,
    claims: Vec<(StreamId, StoredClaim)>,
}

/// Writes a new file, never over another.
pub(super) fn write(state: &State, to: &Path) -> io::Result<()> {
    let state = state.clone();
    let written = Written {
        streams: state.streams.into_iter().collect(),
        feed: state.feed,
        indexes: state.indexes.into_iter().collect(),
        objects: state.objects.into_iter().collect(),
        outbox: state.outbox,
        keys: state.keys.into_iter().collect(),
        claims: state.claims.into_iter().collect(),
    };
    let file = OpenOptions::new().write(true).create_new(true).open(to)?;
    Ok(serde_json::to_writer(file, &written)?)
}

/// Reads what [`write`] wrote.
pub(super) fn read(from: &Path) -> io::Result<State> {
    let written: Written = serde_json::from_slice(&std::fs::read(from)?)?;
    Ok(State {
        streams: written.streams.into_iter().collect(),
        feed: written.feed,
        indexes: written.indexes.into_iter().collect(),
        objects: written.objects.into_iter().collect(),
        outbox: written.outbox,
        keys: written.keys.into_iter().collect(),
        claims: written.claims.into_iter().collect(),
    })
}
