//! Tests against a cluster: a practice cluster that each test starts, or the
//! one whose kubeconfig's file `DEPLOYD_TEST_KUBECONFIG` names. Tests that
//! need an API that fails on purpose only use the practice cluster.
#![allow(clippy::needless_pass_by_value)] // documents written in place
// Clippy allows these in tests, but not in what tests share.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used
)]

mod access;
mod answers;
mod applying;
mod comparing;
mod failing;
mod faults;
mod guarding;
mod logs;
mod many;
mod observing;
mod outages;
mod pruning;
mod pulled;
mod reading;
mod ready;
mod secrets;
mod stage;
mod things;
mod told_apart;
mod tracks;
mod unchanged;
mod watches;
mod wire;
mod wires;
mod within;
