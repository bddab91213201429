//! How much one request, one client, and all clients together may ask for.

use std::time::Duration;

/// Bytes of a body, where nothing else is said: a set of a large application
/// is a tenth of this.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Bytes of a body with documents: `deployd-config` reads no more at once.
pub const DOCUMENTS_BYTES_MAX: usize = 8 << 20;

/// Bytes of a body with a plugin: a component made from Python has 18 MB, in
/// base 64 a third more.
pub const PLUGIN_BYTES_MAX: usize = 40 << 20;

/// Bytes of a body with an archive: what is exported is no larger.
pub const ARCHIVE_BYTES_MAX: usize = deployd_core::archive::ARCHIVE_BYTES_MAX;

/// Bytes of a secret. Keys and certificates are smaller, and a Kubernetes
/// Secret holds at most a mebibyte in all.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// Bodies above [`BODY_BYTES_MAX`] that are read at the same time: they are
/// held in memory, so that these bound it: 4 of 40 MiB.
pub const LARGE_BODIES_MAX: usize = 4;

/// Bytes of bodies up to [`BODY_BYTES_MAX`] that are in memory at the same time,
/// from the first byte to the answer. Ten thousand clients that each send a body
/// as large as is allowed, and as slowly, get no more.
pub const BODIES_BYTES_MAX: usize = 128 << 20;

/// What the above is counted in.
pub const BODIES_UNIT: usize = 1 << 10;

/// Bytes of path and query. Names are short; nothing needs more.
pub const URI_BYTES_MAX: usize = 4 << 10;

/// Bytes of a bearer token. Ours have 81.
pub const TOKEN_BYTES_MAX: usize = 512;

/// Bytes of an idempotency key: a UUID has 36, and some send a digest and a
/// name.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Bytes of a request id that a caller chose.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Characters of what a caller says of itself that the audit keeps: who asks, as
/// a proxy says it, and with which program.
pub const SOURCE_CHARS_MAX: usize = 200;

/// Entries of a page, where nothing else is said.
pub const PAGE_DEFAULT: usize = 50;

pub use deployd_core::views::PAGE_MAX;

/// From the admission of a request to its answer's head. Everything that takes
/// longer happens after the answer, and is watched.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The same for what reads the whole store, or compiles plugins: a component
/// made from JavaScript takes tens of seconds.
pub const LONG_REQUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// For a body to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// For a body above [`BODY_BYTES_MAX`] to arrive: 40 MiB at 3 Mbit/s.
pub const LARGE_BODY_TIMEOUT: Duration = Duration::from_secs(120);

/// Event streams at the same time. Each holds a connection and reads again
/// whenever anything changes.
pub const STREAMS_MAX: usize = 128;

/// Between comments on a stream where nothing happens: proxies give up after
/// 30 to 60 seconds.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// When clients that were turned away for want of room should come back.
pub const RETRY_AFTER_SECONDS: u32 = 2;

/// Refusals journalled at once; more in a row are counted only, so that who
/// guesses tokens can't fill the disk.
pub const REFUSALS_BURST: u32 = 10;

/// One more refusal may be journalled after so long.
pub const REFUSALS_REFILL: Duration = Duration::from_secs(6);

/// What a listener allows its clients; see the fields for why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time. More wait in the kernel's queue. Each takes
    /// a file descriptor and some kilobytes, and at most [`Limits::header_bytes`]
    /// before it is known whose it is: this many can't take more than 192 MiB.
    pub connections: usize,
    /// For a request's head to arrive, also on a connection that was used
    /// before: who sends a byte a minute holds nothing for long.
    pub header_timeout: Duration,
    /// Bytes of a request's head: path and query have 4 KiB, a token has 81
    /// bytes, and what proxies add is small.
    pub header_bytes: usize,
    /// Fields of a request's head.
    pub headers: usize,
    /// For a connection without a request, also one that answers signs of life.
    pub idle_timeout: Duration,
    /// For a client to take anything of what is sent to it: who opens a stream
    /// and reads nothing does not keep it.
    pub write_timeout: Duration,
    /// Requests at the same time on one HTTP/2 connection.
    pub concurrent_requests: u32,
    /// Requests on one HTTP/2 connection that its client reset before they were
    /// taken up: one that opens and resets without end loses its connection
    /// (CVE-2023-44487).
    pub pending_resets: usize,
    /// Requests on one HTTP/2 connection that are reset because of what is wrong
    /// with them; the connection ends after so many.
    pub faulty_resets: usize,
    /// Bytes that an HTTP/2 connection, and a request on it, may send ahead of
    /// being read. They are held in memory, whoever sent them.
    pub window_bytes: u32,
    /// Bytes of an answer that wait for an HTTP/2 client, per request.
    pub send_bytes: usize,
    /// For requests to end after a shutdown has begun.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 12 << 10,
            header_timeout: Duration::from_secs(5),
            header_bytes: 16 << 10,
            headers: 100,
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            concurrent_requests: 64,
            pending_resets: 20,
            faulty_resets: 64,
            window_bytes: 256 << 10,
            send_bytes: 64 << 10,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// With no more connections than leave file descriptors for everything else
    /// that a process does, of which it may have so many.
    #[must_use]
    pub fn within_descriptors(mut self, descriptors: u64) -> Self {
        let left = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(DESCRIPTORS_KEPT);
        self.connections = self.connections.min(usize::try_from(left).unwrap_or(usize::MAX));
        self
    }
}

/// File descriptors for what is no connection of a client: the store, plugins,
/// connections to clusters and to receivers of notifications.
const DESCRIPTORS_KEPT: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let connections =
            |descriptors| Limits::default().within_descriptors(descriptors).connections;
        assert_eq!(connections(1 << 20), Limits::default().connections);
        assert_eq!(connections(4096), 4096 - 512);
        assert_eq!(connections(600), 512);
    }
}
