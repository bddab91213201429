//! The last line of an export: where each stream stood, so that what was cut off at
//! the end is noticed.

use deployd_core::Timestamp;
use deployd_core::journal::{EventRecord, StreamHead, Version};
use serde::{Deserialize, Serialize};

/// What the line is told by.
const KIND: &str = "export-ended";

/// The last line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Closing {
    /// [`KIND`]: an event has none like it.
    kind: String,
    /// When it was exported.
    pub(super) at: Timestamp,
    /// Events in it.
    pub(super) events: u64,
    /// Where its streams stood then.
    pub(super) heads: Vec<StreamHead>,
    /// The last version that was asked for, of one stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Version>,
}

impl Closing {
    /// The line of an export.
    pub(super) fn new(
        at: Timestamp,
        events: u64,
        heads: Vec<StreamHead>,
        to: Option<Version>,
    ) -> Self {
        Self { kind: KIND.to_owned(), at, events, heads, to }
    }

    /// Reads one; none for a line that is something else.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().filter(|closing: &Self| closing.kind == KIND)
    }
}

/// Where streams stand after some of their events, in their order.
#[derive(Debug, Default)]
pub(super) struct Heads(std::collections::BTreeMap<String, StreamHead>);

impl Heads {
    /// Takes the next event.
    pub(super) fn take(&mut self, record: &EventRecord) {
        let head = StreamHead {
            stream: record.stream.clone(),
            version: record.version,
            hash: record.hash,
        };
        self.0.insert(record.stream.0.clone(), head);
    }

    /// All heads.
    pub(super) fn all(self) -> Vec<StreamHead> {
        self.0.into_values().collect()
    }
}
