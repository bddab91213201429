//! PostgreSQL's frontend/backend protocol, version 3.0, without input and
//! output: bytes to send, and messages out of bytes that were received.
//!
//! Only the extended query protocol is used: it takes one statement at a time,
//! and values as parameters. Whatever a server sends is within limits or an
//! error, and never a panic.

pub(crate) mod backend;
pub(crate) mod frontend;
pub(crate) mod scram;

use std::fmt;

/// What a server sent against the protocol, or beyond our limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProtocolError(pub(crate) &'static str);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ProtocolError {}
