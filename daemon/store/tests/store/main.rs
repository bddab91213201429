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
mod model;
mod operations;
mod rot;
mod samples;
