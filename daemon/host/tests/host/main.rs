//! The host from outside: good plugins, and those that misbehave on purpose.
#![allow(unreachable_pub, missing_docs, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails may do so at once"
)]

mod calls;
mod checks;
mod cloudflare;
mod compiler;
mod dns;
mod fixtures_are_used;
mod hostile;
mod http;
mod lanes;
mod loading;
mod net;
mod notifiers;
mod object_store;
mod policies;
mod postgres;
mod quarantine;
mod receivers;
mod residue;
mod secrets;
mod shipped;
mod support;
