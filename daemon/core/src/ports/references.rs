//! Documents elsewhere, by their addresses.

use async_trait::async_trait;

use crate::Fault;

/// Fetches documents.
#[async_trait]
pub trait References: Send + Sync + 'static {
    /// The bytes at an address, at most so many. Nothing leads elsewhere: a redirect is a
    /// failure.
    ///
    /// Fails with a fault that is transient where the server is away, `denied` where it
    /// may not be asked, and `invalid` where there is no such document, or a larger one.
    async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, Fault>;
}
