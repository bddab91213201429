//! Time, chance, and requests to others.

use async_trait::async_trait;

use crate::config::HostGrant;
use crate::{Fault, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now, by the clock on the wall.
    fn now(&self) -> Timestamp;
}

/// Gives randomness, good enough for keys.
pub trait Random: Send + Sync + 'static {
    /// Fills a buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// A request to somebody else's server.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// POST, mostly.
    pub method: String,
    /// `http` or `https`; `smtp` or `smtps` for a mail.
    pub url: String,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the address may be loopback, link-local or private.
    pub private_address: bool,
    /// Where it may go to, and with which credential; anywhere, when empty.
    pub hosts: Vec<HostGrant>,
}

/// Without the URL, which may be a credential.
impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When the receiver said to come back.
    pub retry_after_ms: Option<u64>,
    /// What it said, cut after [`ANSWER_BYTES`].
    pub body: Vec<u8>,
}

/// What is read of an answer for a notifier: Slack and GitHub send back what they
/// have stored, which is some KiB.
pub const ANSWER_BYTES: usize = 64 * 1024;

/// Sends requests. Follows no redirects, and connects to no address that is
/// not public unless the request says so: the address is checked after the name
/// is resolved, and the checked address is the one connected to.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// Sends one request. Whatever status comes back is an answer; a fault is
    /// `transient` when none came, and `denied` or `invalid` when none can.
    async fn send(&self, request: Outgoing) -> Result<Answer, Fault>;
}
