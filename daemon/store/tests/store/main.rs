//! What the stores promise: one suite of small cases over every implementation,
//! and what only the embedded one can be asked: crashes, failures, files.

mod conformance;
mod crashes;
mod disk;
mod groups;
mod implementations;
mod model;
mod operations;
mod samples;
