//! The broker against real servers on loopback, and against every way to write
//! an address that is known to have fooled somebody.

#![allow(unreachable_pub, missing_docs, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails may do so at once"
)]

mod corpus;
mod credential;
mod http;
mod lessons;
mod stream;
mod support;
mod tls;
