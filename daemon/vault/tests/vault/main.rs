//! Where links lead: over the network, to servers that are real, and to some
//! that misbehave.

// Of clippy's exceptions for tests, code shared by several tests gets none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kv;
mod openbao;
mod stage;
