//! Verifies the chains of an export, event by event.

use std::collections::BTreeMap;

use deployd_core::journal::{Head, StreamId, Version, genesis, verify_chain};
use serde::Serialize;

use super::closing::Closing;
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
    /// Whether there may be events before or after those in the export.
    pub(super) partial: bool,
    /// What is not verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
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
    /// Whether it is of one stream, whose events have no positions.
    of_stream: bool,
    closing: Option<Closing>,
    found: Verified,
}

impl Chains {
    /// Takes the next event.
    pub(super) fn take(&mut self, entry: JournalEntry) {
        let JournalEntry { position, record } = entry;
        if self.closing.is_some() {
            self.wrong(format!(
                "event {} of stream {} comes after the last line of the export",
                record.version.0, record.stream
            ));
        }
        if self.found.events == 0 {
            self.of_stream = position.is_none();
            self.found.partial = position.map_or(record.version > Version(1), |first| first > 1);
            if self.found.partial && self.of_stream {
                self.found.notes.push(format!(
                    "the export begins with event {} of stream {}: what was before is not verified",
                    record.version.0, record.stream
                ));
            } else if self.found.partial {
                let note =
                    "the export does not begin at the beginning: what was before is not verified";
                self.found.notes.push(note.to_owned());
            }
        } else if self.of_stream != position.is_none()
            || (self.of_stream && !self.heads.contains_key(&record.stream))
        {
            self.wrong(format!(
                "event {} of stream {} is of another export",
                record.version.0, record.stream
            ));
        }
        self.found.events = self.found.events.saturating_add(1);
        if let (Some(before), Some(position)) = (self.position, position)
            && position != before.saturating_add(1)
        {
            self.wrong(format!("position {position} comes after {before}"));
        }
        self.position = position;
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

    /// Takes the line that says where the streams stood.
    pub(super) fn close(&mut self, closing: Closing) {
        if self.closing.is_some() {
            self.wrong("there are two last lines: it was put together of two exports".to_owned());
        }
        self.closing = Some(closing);
    }

    /// Whether the events lead to where the streams stood.
    fn compare(&mut self) {
        let Some(closing) = self.closing.take() else {
            self.wrong(
                "the line that ends an export is not there: events may be cut off at the end"
                    .to_owned(),
            );
            return;
        };
        if closing.events != self.found.events {
            let text = format!(
                "the export had {} events, and {} are there",
                closing.events, self.found.events
            );
            self.wrong(text);
        }
        for head in &closing.heads {
            let (name, said) = (&head.stream, head.version.0);
            let found = self.heads.get(name).copied();
            let last = found.map_or(0, |found| found.version.0);
            match found {
                Some(found) if found == (Head { version: head.version, hash: head.hash }) => {}
                Some(found) if found.version == head.version => self.wrong(format!(
                    "stream {name}: its last event, {said}, is another one than when it was exported"
                )),
                _ if last < said && closing.to.is_some_and(|to| to.0 == last || last == 0) => {
                    self.found.partial = true;
                    self.found.notes.push(format!(
                        "the export ends with event {last} of stream {name}, which had {said}: what came after is not verified"
                    ));
                }
                _ => self.wrong(format!(
                    "stream {name}: it had {said} events when it was exported, and the export ends with event {last}"
                )),
            }
        }
        let known: std::collections::BTreeSet<&StreamId> =
            closing.heads.iter().map(|head| &head.stream).collect();
        let unknown: Vec<String> = self
            .heads
            .keys()
            .filter(|stream| !known.contains(stream))
            .map(|stream| format!("stream {stream} was not in the export"))
            .collect();
        unknown.into_iter().for_each(|text| self.wrong(text));
    }

    /// Takes note of a line that is no event.
    pub(super) fn unreadable(&mut self, line: u64, error: &str) {
        self.wrong(format!("line {line} is no event of a journal: {error}"));
    }

    /// What was found.
    pub(super) fn verified(mut self) -> Verified {
        self.compare();
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
    use super::super::closing::Heads;
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
                    position: Some(position),
                    record: EventRecord { stream, version, event, previous, hash },
                }
            })
            .collect()
    }

    /// The last line of the whole journal.
    fn closing(entries: &[JournalEntry]) -> Closing {
        let mut heads = Heads::default();
        entries.iter().for_each(|entry| heads.take(&entry.record));
        Closing::new(Timestamp(9), entries.len() as u64, heads.all(), None)
    }

    fn verify_with(entries: Vec<JournalEntry>, closing: Option<Closing>) -> Verified {
        let mut chains = Chains::default();
        entries.into_iter().for_each(|entry| chains.take(entry));
        if let Some(closing) = closing {
            chains.close(closing);
        }
        chains.verified()
    }

    fn verify(entries: Vec<JournalEntry>) -> Verified {
        let closing = closing(&entries);
        verify_with(entries, Some(closing))
    }

    /// Events of one stream, as they are exported.
    fn of(stream: &str) -> Vec<JournalEntry> {
        let mut entries = export();
        entries.retain(|entry| entry.record.stream.0 == stream);
        entries.iter_mut().for_each(|entry| entry.position = None);
        entries
    }

    #[test]
    fn whole_and_partial_exports_are_sound() {
        let whole = verify(export());
        assert_eq!((whole.streams, whole.events, whole.partial), (2, 5, false));
        assert!(whole.is_sound() && whole.notes.is_empty(), "{whole:?}");
        let part = verify(export().split_off(2));
        assert_eq!((part.streams, part.events, part.partial), (2, 3, true));
        assert!(part.is_sound(), "{part:?}");
        assert!(verify(Vec::new()).is_sound());
    }

    #[test]
    fn i9_what_is_cut_off_at_the_end_is_noticed() {
        let all = export();
        for left in 0..all.len() {
            let found = verify_with(all[..left].to_vec(), Some(closing(&all)));
            assert!(!found.is_sound(), "{left} events");
            // And the line that would tell, with them.
            let found = verify_with(all[..left].to_vec(), None);
            assert!(found.wrong[0].contains("cut off at the end"), "{found:?}");
        }
        // An end that was made up: the right number of events, and not those.
        let mut other = all.clone();
        let last = &mut other[4].record;
        last.event.body = json!({"n": 99});
        last.hash = chain(&last.stream, last.version, last.previous, &last.event).unwrap();
        let found = verify_with(other, Some(closing(&all)));
        assert!(found.wrong[0].contains("another one than when it was exported"), "{found:?}");
    }

    #[test]
    fn a_range_of_a_stream_says_what_it_does_not_prove() {
        let (all, head) = (of("a"), closing(&of("a")).heads);
        let range = |from: usize, to: usize, asked: Option<u64>| {
            let entries = all[from..to].to_vec();
            let count = entries.len() as u64;
            let closing = Closing::new(Timestamp(9), count, head.clone(), asked.map(Version));
            verify_with(entries, Some(closing))
        };
        let whole = range(0, 3, None);
        assert!(whole.is_sound() && !whole.partial && whole.notes.is_empty(), "{whole:?}");
        let end = range(1, 3, None);
        assert!(end.is_sound() && end.partial, "{end:?}");
        assert!(end.notes[0].contains("begins with event 2"), "{end:?}");
        let middle = range(1, 2, Some(2));
        assert!(middle.is_sound(), "{middle:?}");
        assert!(middle.notes[1].contains("ends with event 2 of stream a, which had 3"));
        // Nobody asked for less than all.
        assert!(!range(0, 2, None).is_sound());
        assert!(!range(0, 1, Some(2)).is_sound());
        // Two exports, one after the other.
        let both: Vec<JournalEntry> = of("a").into_iter().chain(of("b")).collect();
        assert!(!verify(both).is_sound());
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
            entry.position = Some(position);
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
