//! Spans of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// From a time until another, and no more then.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(rename = "TimeSpan")]
pub struct Span {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

impl Span {
    /// Whether a time is in it.
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether it has any time in common with another.
    pub fn meets(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// The same time in as few spans as can be, in order.
pub(super) fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut found: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match found.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => found.push(span),
        }
    }
    found
}

/// What is left of a span without some others.
pub(super) fn without(whole: Span, others: Vec<Span>) -> Vec<Span> {
    let mut found = Vec::new();
    let mut from = whole.from;
    for other in union(others) {
        if other.from > from {
            found.push(Span { from, to: other.from.min(whole.to) });
        }
        from = from.max(other.to);
        if from >= whole.to {
            return found;
        }
    }
    found.push(Span { from, to: whole.to });
    found
}
