//! The practice cluster, seen through the real client.

// Clippy knows test functions, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod admission;
mod apply;
mod canary;
mod custom;
mod discovery;
mod faults;
mod gateway;
mod objects;
mod pods;
mod rollout;
mod stage;
mod watching;
