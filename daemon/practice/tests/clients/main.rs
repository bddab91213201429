//! The practice cluster as other people's clients see it: kubectl and helm.
//!
//! With `DEPLOYD_TEST_KUBECONFIG` the same tests run against a real cluster.
//! `cargo xtask tools` installs the clients.

// Clippy knows test functions, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod applying;
mod custom;
mod deleting;
mod helm;
mod reading;
mod refused;
mod rollout;
mod stage;
