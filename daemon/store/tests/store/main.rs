//! What the stores promise: one suite of small cases over every implementation,
//! and what only the embedded one can be asked: crashes, failures, files.

// Of clippy's exceptions for tests, cases shared by several tests get none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::print_stdout)]

mod conformance;
mod crashes;
mod damage;
mod disk;
mod files;
mod groups;
mod implementations;
mod memory;
mod operations;
mod rot;
mod samples;

/// The seeds that a variable names as `from..to`, or these.
fn seeds(variable: &str, default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var(variable) else { return default };
    let (from, to) = text.split_once("..").expect("from..to");
    from.parse().expect("a seed")..to.parse().expect("a seed")
}
