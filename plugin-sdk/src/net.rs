//! Byte streams to hosts that the operator's grant names.

use crate::Fault;

/// How a byte stream begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Security {
    /// In plain text. Where the grant is for TLS, [`Connection::start_tls`] has
    /// to follow at once.
    #[default]
    Plaintext,
    /// With TLS, checked against the roots that the grant names.
    Tls(TlsOptions),
}

/// What TLS is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsOptions {
    /// The name that the server's certificate must have; the host by default.
    pub server_name: Option<String>,
}

/// A byte stream. Closed when it is dropped.
pub trait Connection {
    /// At most so many bytes; none at the end of the stream. Waits for the first.
    fn read(&mut self, max: u32) -> Result<Vec<u8>, Fault>;

    /// Writes all of them.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// Goes on in TLS, as PostgreSQL's SSLRequest and STARTTLS have it.
    fn start_tls(&mut self, options: &TlsOptions) -> Result<(), Fault>;
}
