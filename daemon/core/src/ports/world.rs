//! Time, chance, and requests to others.

use async_trait::async_trait;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// POST, mostly.
    pub method: String,
    /// `http` or `https`.
    pub url: String,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the address may be loopback, link-local or private.
    pub private_address: bool,
}

/// What came back. The body is of no interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When the receiver said to come back.
    pub retry_after_ms: Option<u64>,
}

/// Sends requests. Follows no redirects, and connects to no address that is
/// not public unless the request says so: the address is checked after the name
/// is resolved, and the checked address is the one connected to.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// Sends one request. Whatever status comes back is an answer; a fault is
    /// `transient` when none came, and `denied` or `invalid` when none can.
    async fn send(&self, request: Outgoing) -> Result<Answer, Fault>;
}
