//! The outbox: what has to be told to others, recorded in the same transaction
//! as the event it tells of, and delivered from there at least once.

mod group;
mod thread;

pub use group::{GROUP_MAX, GROUP_TYPE, Standing, joins, standing, together};
pub use thread::{THREADS, thread_after, thread_before, thread_message, thread_of, thread_put};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::{StreamId, Version};
use crate::seeded::{Bug, seeded};
use crate::{Digest, Fault, Name, Timestamp};

/// Delays before each attempt, in milliseconds: the schedule that Standard
/// Webhooks 1.0.0 recommends, ten attempts over a little more than three days.
pub const ATTEMPT_DELAYS_MS: [u64; 10] = [
    0,
    5_000,
    5 * 60_000,
    30 * 60_000,
    2 * 3_600_000,
    5 * 3_600_000,
    10 * 3_600_000,
    14 * 3_600_000,
    20 * 3_600_000,
    24 * 3_600_000,
];

/// The longest wait that a receiver's `Retry-After` can ask for: a day.
pub const RETRY_AFTER_MS_MAX: u64 = 24 * 3_600_000;

/// Names a message for ever; the `webhook-id` of every attempt to deliver it.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct MessageId(pub String);

impl MessageId {
    /// The message about one event to one subscription. Without `.`, which
    /// Standard Webhooks forbids in ids.
    pub fn of(stream: &StreamId, version: Version, subscription: &Name) -> Self {
        let digest = Digest::of_parts(&[
            stream.0.as_bytes(),
            &version.0.to_be_bytes(),
            subscription.as_str().as_bytes(),
        ]);
        let mut hex = digest.hex();
        hex.truncate(32);
        Self(format!("msg_{hex}"))
    }
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageStatus {
    /// To be delivered at `due`.
    Pending,
    /// Every request of it was answered with success.
    Delivered,
    /// Given up; kept, and redelivered by command.
    Dead,
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// Where to, without query and credentials.
    pub target: String,
    /// The status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong; none when it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// Something to tell to one subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Its identity, the same in every attempt.
    pub id: MessageId,
    /// Whom to tell.
    pub subscription: Name,
    /// What happened, as a notifier gets it.
    pub event: Value,
    /// When it was recorded.
    pub created: Timestamp,
    /// Where it stands.
    pub status: MessageStatus,
    /// When to try next, while pending.
    pub due: Timestamp,
    /// How many attempts count against the schedule; a redelivery by command
    /// begins again at zero.
    pub tries: u32,
    /// The last attempts, oldest first; at most [`ATTEMPTS_KEPT`].
    pub attempts: Vec<Attempt>,
    /// What the notifier wants to know again when it tells more of the same
    /// deployment: the id of what it has made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Value>,
    /// Messages that it tells with its own, once that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<Vec<MessageId>>,
    /// The message that tells it with its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<MessageId>,
}

/// How many attempts a message remembers: two whole schedules.
pub const ATTEMPTS_KEPT: usize = 2 * ATTEMPT_DELAYS_MS.len();

impl Message {
    /// A message to be delivered at once.
    pub fn new(id: MessageId, subscription: Name, event: Value, created: Timestamp) -> Self {
        Self {
            id,
            subscription,
            event,
            created,
            status: MessageStatus::Pending,
            due: created,
            tries: 0,
            attempts: Vec::new(),
            memory: None,
            together: None,
            with: None,
        }
    }

    /// The message, to be delivered only after a while.
    #[must_use]
    pub fn waiting(mut self, ms: u64) -> Self {
        self.due = self.created.plus_ms(ms);
        self
    }

    /// The deployment that it is about.
    pub fn deployment(&self) -> Option<&str> {
        self.event.pointer("/data/deployment")?.as_str()
    }

    /// The version of its event in the stream.
    fn version(&self) -> Option<u64> {
        let id = self.event.get("id")?.as_str()?;
        id.rsplit_once('/')?.1.parse().ok()
    }

    /// The message after an attempt: delivered, due again, or dead.
    ///
    /// `jitter` in 0..=1 spreads retries; up to a tenth of the delay is added.
    #[must_use]
    pub fn after(mut self, attempt: Attempt, now: Timestamp, jitter: f64) -> Self {
        if !seeded(Bug::DeliveryTriedForEver) {
            self.tries = self.tries.saturating_add(1);
        }
        match &attempt.fault {
            None => self.status = MessageStatus::Delivered,
            Some(fault) => {
                match ATTEMPT_DELAYS_MS.get(self.tries as usize) {
                    // A class other than transient is the receiver's word that
                    // it does not want this (410 Gone) or can't be called at all.
                    Some(delay) if fault.is_transient() => {
                        let asked = fault.retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
                        let delay = (*delay).max(asked);
                        let spread = (delay as f64 / 10.0 * jitter.clamp(0.0, 1.0)) as u64;
                        self.due = now.plus_ms(delay + spread);
                    }
                    _ => self.status = MessageStatus::Dead,
                }
            }
        }
        self.attempts.push(attempt);
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_KEPT);
        self.attempts.drain(..surplus);
        self
    }

    /// The message, to be delivered again from the start of the schedule.
    #[must_use]
    pub fn redelivered(mut self, now: Timestamp) -> Self {
        self.status = MessageStatus::Pending;
        self.due = now;
        self.tries = 0;
        self.together = None;
        self.with = None;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(fault: Option<Fault>) -> Attempt {
        Attempt { at: Timestamp(0), duration_ms: 1, target: "t".into(), status: None, fault }
    }

    fn message() -> Message {
        let id = MessageId::of(&StreamId("s".into()), Version(1), &"ci".parse().unwrap());
        Message::new(id, "ci".parse().unwrap(), Value::Null, Timestamp(0))
    }

    #[test]
    fn i11_transient_faults_follow_the_schedule_and_end_dead() {
        let mut message = message();
        let mut delays = vec![0];
        while message.status == MessageStatus::Pending && delays.len() < 100 {
            let now = message.due;
            message = message.after(attempt(Some(Fault::transient("x", "x"))), now, 0.0);
            delays.push(message.due.ms_since(now));
        }
        assert_eq!(message.status, MessageStatus::Dead);
        assert_eq!(delays[..10], ATTEMPT_DELAYS_MS);
        let again = message.redelivered(Timestamp(9)).after(attempt(None), Timestamp(9), 0.0);
        assert_eq!(again.status, MessageStatus::Delivered);
    }

    #[test]
    fn a_permanent_fault_is_dead_at_once() {
        let message =
            message().after(attempt(Some(Fault::permanent("gone", "410"))), Timestamp(0), 0.5);
        assert_eq!(message.status, MessageStatus::Dead);
    }

    #[test]
    fn retry_after_is_honoured_up_to_a_day() {
        let fault = Fault::transient("x", "x").with_retry_after_ms(Some(60_000));
        let message = message().after(attempt(Some(fault)), Timestamp(0), 0.0);
        assert_eq!(message.due, Timestamp(60_000));
    }
}
