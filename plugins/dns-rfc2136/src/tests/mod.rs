//! Natively: names and texts, bytes, signatures; and all of it against BIND 9.

#[path = "../../../../tests/fixtures/src/bind.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared with the tests of the daemon")]
mod bind;
mod broken;
mod definitions;
mod messages;
mod names;
mod server;
mod signatures;
mod stage;
