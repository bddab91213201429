//! What could be seen from outside, in the order in which it happened, and a
//! judge of it. The judge reads events as documents and knows nothing of the
//! code that made them: what it says does not become wrong with it.

mod agreement;
mod deployment;
mod judge;
#[cfg(test)]
mod tests;

use deployd_core::journal::EventRecord;
use deployd_core::outbox::MessageId;
use deployd_core::ports::FeedPosition;

pub use self::judge::{judge, judge_so_far};

/// Something that could be seen from outside.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Events and messages are on stable storage.
    Committed { records: Vec<EventRecord>, messages: Vec<MessageId> },
    /// A driver was called to change something.
    Driver { what: &'static str, key: String, uid: String },
    /// A cluster was changed.
    Cluster { what: &'static str, namespace: String },
    /// A receiver was sent a message.
    Sent { message: MessageId },
    /// Somebody was told that these deployments are accepted.
    Acknowledged { deployments: Vec<String> },
}

impl Seen {
    pub fn cluster(what: &'static str, namespace: &str) -> Self {
        Self::Cluster { what, namespace: namespace.to_owned() }
    }
}

/// All that could be seen.
#[derive(Debug, Default)]
pub struct Trace {
    pub entries: Vec<Seen>,
    /// Up to where commits were noted.
    pub position: FeedPosition,
}

/// The last lines of a history, for a person.
pub fn told(entries: &[Seen]) -> String {
    const LINES: usize = 60;
    let mut lines = Vec::new();
    for seen in entries {
        match seen {
            Seen::Committed { records, messages } => {
                for record in records {
                    let text = |name: &str| record.event.body[name].as_str().unwrap_or_default();
                    lines.push(format!(
                        "{} {:>3} {} {} {} {}",
                        record.stream.0,
                        record.version.0,
                        record.event.kind,
                        text("deployment"),
                        text("step"),
                        text("outcome"),
                    ));
                }
                if !messages.is_empty() {
                    lines.push(format!("    {} messages", messages.len()));
                }
            }
            other => lines.push(format!("    {other:?}")),
        }
    }
    let from = lines.len().saturating_sub(LINES);
    lines[from..].join("\n")
}
