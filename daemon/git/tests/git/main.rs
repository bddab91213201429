//! Against real servers: Git's own over HTTP, and OpenSSH's.

#![allow(unreachable_pub, missing_docs, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test that fails may do so at once"
)]

mod concurrent;
mod cut;
mod edits;
mod files;
mod hostile;
mod making;
mod refusals;
mod signing;
mod ssh;
mod support;
