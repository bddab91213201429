//! Deliveries: what forges and registries sent to hooks, and what became of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::deployment::projection::key;
use crate::journal::Source;
use crate::ports::{Index, KeyRange};
use crate::views::Route;
use crate::{Digest, Fault, Name, Timestamp};

/// Hook and delivery -> [`HookDelivery`].
pub const DELIVERIES: Index = Index("hook-deliveries");
/// Hook and delivery -> the body as it arrived.
pub const DELIVERY_BODIES: Index = Index("hook-bodies");
/// When it is due, hook and delivery -> nothing: those that are still to be read.
pub const DELIVERIES_DUE: Index = Index("hook-due");

/// The largest body. What tells of an image has a few KiB, a push of many commits
/// some hundred; a value of the store has a MiB.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Headers that are kept of a delivery, and the longest of them, in bytes.
pub const HEADERS_MAX: usize = 64;
/// The longest header that is kept: a signature has some hundred bytes.
pub const HEADER_BYTES_MAX: usize = 1024;

/// Attempts to read a delivery before it is a dead letter.
pub const ATTEMPTS_MAX: u32 = 6;

/// The wait after the first attempt that failed, in milliseconds; four times as long
/// after each other one. In all some eleven minutes: what takes longer to come back
/// needs somebody to look, who can have the delivery read again.
const RETRY_MS: u64 = 2_000;

/// Deliveries that are kept of a hook, and a few more for a moment: the oldest go first,
/// but for those that are still to be read.
pub const KEPT_MAX: usize = 1_000;

/// Names a delivery: as it sorts by time.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct DeliveryId(pub String);

impl std::fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a delivery has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryStatus {
    /// It is still to be read.
    Pending,
    /// It was read, and what it tells was announced.
    Read,
    /// It could not be read: see its fault.
    Dead,
}

/// What somebody sent to a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookDelivery {
    /// Names it.
    pub id: DeliveryId,
    /// The hook.
    pub hook: Name,
    /// When it arrived.
    pub at: Timestamp,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Names in lower case, and values; those that carry credentials are left out.
    pub headers: Vec<(String, String)>,
    /// Of its body.
    pub digest: Digest,
    /// Of its body.
    pub bytes: usize,
    /// How far it has got.
    pub status: DeliveryStatus,
    /// When it is read next; for those that are still to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Attempts to read it since it arrived, or since somebody had it read again.
    #[serde(default)]
    pub attempts: u32,
    /// How often somebody had it read again.
    #[serde(default)]
    pub replays: u32,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// What it has told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// Where that went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// What is to be known of how it was read: what was passed over, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl HookDelivery {
    /// Its key in [`DELIVERIES`] and [`DELIVERY_BODIES`].
    pub fn key(&self) -> Vec<u8> {
        delivery_key(&self.hook, &self.id)
    }

    /// Its key in [`DELIVERIES_DUE`]; none when it is not waited for.
    pub fn due_key(&self) -> Option<Vec<u8>> {
        let mut at = self.due?.0.to_be_bytes().to_vec();
        at.extend(self.key());
        Some(at)
    }

    /// What an attempt that failed makes of it.
    #[must_use]
    pub fn failed(mut self, fault: Fault, now: Timestamp) -> Self {
        self.attempts = self.attempts.saturating_add(1);
        if fault.is_transient() && self.attempts < ATTEMPTS_MAX {
            let doubled = self.attempts.saturating_sub(1).saturating_mul(2);
            let wait = RETRY_MS.saturating_mul(1_u64.checked_shl(doubled).unwrap_or(u64::MAX));
            self.due = Some(now.plus_ms(fault.retry_after_ms.unwrap_or(0).max(wait)));
        } else {
            self.status = DeliveryStatus::Dead;
            self.due = None;
        }
        self.fault = Some(fault);
        self
    }

    /// Has it read again, from the start.
    #[must_use]
    pub fn again(mut self, now: Timestamp) -> Self {
        self.status = DeliveryStatus::Pending;
        self.due = Some(now);
        self.attempts = 0;
        self.replays = self.replays.saturating_add(1);
        self
    }
}

/// What whoever sent a delivery is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// The delivery; that of the first time when it was sent before.
    pub id: DeliveryId,
}

/// A delivery as it arrived, without headers that carry credentials: what it can be
/// tried with again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Captured {
    /// By their names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, where it is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base 64, where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// The key of a delivery.
pub fn delivery_key(hook: &Name, id: &DeliveryId) -> Vec<u8> {
    key(hook.as_str(), id.0.as_bytes())
}

/// The keys of all deliveries of a hook, the oldest first.
pub fn deliveries_of(hook: &Name) -> KeyRange {
    KeyRange::prefix(&key(hook.as_str(), &[]))
}

/// The key of a delivery, from its key among those that are due, and when it is.
pub fn due(key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (at, of) = key.split_first_chunk::<8>()?;
    Some((Timestamp(u64::from_be_bytes(*at)), of))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> HookDelivery {
        HookDelivery {
            id: DeliveryId("01".to_owned()),
            hook: "github".parse().unwrap(),
            at: Timestamp(1_000),
            source: None,
            headers: Vec::new(),
            digest: Digest::of(b"{}"),
            bytes: 2,
            status: DeliveryStatus::Pending,
            due: Some(Timestamp(1_000)),
            attempts: 0,
            replays: 0,
            fault: None,
            artifacts: Vec::new(),
            routes: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_later_and_later_and_not_for_ever() {
        let mut one = delivery();
        let mut waits = Vec::new();
        while one.status == DeliveryStatus::Pending {
            one = one.failed(Fault::transient("away", "x"), Timestamp(0));
            waits.extend(one.due.map(|at| at.0));
        }
        assert_eq!(waits, [2_000, 8_000, 32_000, 128_000, 512_000]);
        assert_eq!((one.status, one.due), (DeliveryStatus::Dead, None));
        let again = one.again(Timestamp(7));
        assert_eq!((again.attempts, again.replays, again.due), (0, 1, Some(Timestamp(7))));
    }

    #[test]
    fn what_can_not_be_read_is_a_dead_letter_at_once() {
        let one = delivery().failed(Fault::invalid("x", "no JSON"), Timestamp(0));
        assert_eq!((one.status, one.due_key()), (DeliveryStatus::Dead, None));
    }

    #[test]
    fn what_is_due_first_sorts_first_and_leads_to_its_delivery() {
        let later = HookDelivery { due: Some(Timestamp(2_000)), ..delivery() };
        let first = delivery().due_key().unwrap();
        assert!(first < later.due_key().unwrap());
        assert_eq!(due(&first), Some((Timestamp(1_000), delivery().key().as_slice())));
        assert_eq!(due(b"short"), None);
    }
}
