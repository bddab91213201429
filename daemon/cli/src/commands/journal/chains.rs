//! Verifies the chains of an export, event by event.

use std::collections::BTreeMap;

use deployd_core::journal::{Head, StreamId, Version, genesis, verify_chain};
use serde::Serialize;

use crate::client::JournalEntry;

/// What is remembered of what is wrong; nobody reads more.
const WRONG_MAX: usize = 1_000;

/// What a verification has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verified {
    /// Streams read.
    pub(super) streams: u64,
    /// Events read.
    pub(super) events: u64,
    /// Whether events before the first one are not in the export.
    pub(super) partial: bool,
    /// What is wrong.
    pub(super) wrong: Vec<String>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub(super) fn is_sound(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Heads of all streams so far.
#[derive(Debug, Default)]
pub(super) struct Chains {
    heads: BTreeMap<StreamId, Head>,
    position: Option<u64>,
    found: Verified,
}

impl Chains {
    /// Takes the next event.
    pub(super) fn take(&mut self, entry: JournalEntry) {
        let JournalEntry { position, record } = entry;
        self.found.events = self.found.events.saturating_add(1);
        match self.position {
            None => self.found.partial = position > 1,
            Some(before) if position != before.saturating_add(1) => {
                self.wrong(format!("position {position} comes after {before}"));
            }
            Some(_) => {}
        }
        self.position = Some(position);
        let stream = record.stream.clone();
        let head = self.heads.get(&stream).copied().unwrap_or_else(|| {
            if self.found.partial {
                // What it is chained to can't be seen: it begins here.
                let before = Version(record.version.0.saturating_sub(1));
                Head { version: before, hash: record.previous }
            } else {
                Head { version: Version(0), hash: genesis(&stream) }
            }
        });
        let after = match verify_chain(&stream, head, std::slice::from_ref(&record)) {
            Ok(after) => after,
            Err(error) => {
                self.wrong(error.to_string());
                // Told once; what follows is compared with what stands here.
                Head { version: record.version, hash: record.hash }
            }
        };
        self.heads.insert(stream, after);
    }

    /// Takes note of a line that is no event.
    pub(super) fn unreadable(&mut self, line: u64, error: &str) {
        self.wrong(format!("line {line} is no event of a journal: {error}"));
    }

    /// What was found.
    pub(super) fn verified(mut self) -> Verified {
        self.found.streams = self.heads.len() as u64;
        self.found
    }

    fn wrong(&mut self, text: String) {
        if self.found.wrong.len() < WRONG_MAX {
            self.found.wrong.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_core::journal::{EventRecord, NewEvent, chain};
    use deployd_core::{Actor, Timestamp};
    use serde_json::json;

    fn export() -> Vec<JournalEntry> {
        let mut heads: BTreeMap<&str, Head> = BTreeMap::new();
        ["a", "b", "a", "a", "b"]
            .iter()
            .zip(1..)
            .map(|(name, position)| {
                let stream = StreamId((*name).to_owned());
                let start = Head { version: Version(0), hash: genesis(&stream) };
                let head = *heads.get(name).unwrap_or(&start);
                let event = NewEvent {
                    at: Timestamp(position),
                    actor: Actor::deployd(),
                    kind: "tick".into(),
                    body: json!({"n": position}),
                    source: None,
                };
                let version = head.version.next();
                let hash = chain(&stream, version, head.hash, &event).unwrap();
                heads.insert(name, Head { version, hash });
                let previous = head.hash;
                JournalEntry {
                    position,
                    record: EventRecord { stream, version, event, previous, hash },
                }
            })
            .collect()
    }

    fn verify(entries: Vec<JournalEntry>) -> Verified {
        let mut chains = Chains::default();
        entries.into_iter().for_each(|entry| chains.take(entry));
        chains.verified()
    }

    #[test]
    fn whole_and_partial_exports_are_sound() {
        let whole = verify(export());
        assert_eq!((whole.streams, whole.events, whole.partial), (2, 5, false));
        assert!(whole.is_sound(), "{whole:?}");
        let part = verify(export().split_off(2));
        assert_eq!((part.streams, part.events, part.partial), (2, 3, true));
        assert!(part.is_sound(), "{part:?}");
    }

    #[test]
    fn every_change_is_seen() {
        let mut changed = export();
        changed[2].record.event.body = json!({"n": 99});
        let mut dropped = export();
        dropped.remove(1);
        let mut swapped = export();
        swapped.swap(2, 3);
        let mut beginning = export();
        // Position 1 is claimed, and the first event of stream `a` is not there.
        beginning.remove(0);
        for (entry, position) in beginning.iter_mut().zip(1..) {
            entry.position = position;
        }
        for entries in [changed, dropped, swapped, beginning] {
            let found = verify(entries);
            assert!(!found.is_sound(), "{found:?}");
        }
    }

    #[test]
    fn entries_survive_json() {
        for entry in export() {
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<JournalEntry>(&text).unwrap(), entry);
        }
    }
}
