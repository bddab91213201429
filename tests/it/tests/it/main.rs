//! Black-box tests: the structure of the workspace, and the daemon as its users
//! run it. One binary, because linking is what takes long.
//!
//! `cargo xtask test --only black-box` builds the daemons that they run, and
//! `--only http` runs the tests of the HTTP interface, `conformance` and `hostile`.

// Of clippy's exceptions for tests, code shared by several tests gets none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod adopt;
mod archives;
mod attestations;
mod browser;
mod callbacks;
mod client;
mod clock;
mod clusters;
mod commands;
mod compiled;
mod confinement;
mod conformance;
mod crashes;
mod crashes_pulled;
mod daemon;
mod demo;
mod dependencies;
mod disk;
mod hooks;
mod hostile;
mod input;
mod jobs;
mod kills;
mod limits;
mod load;
mod meddling;
mod openbao;
mod operations;
mod page;
mod past;
mod patient;
mod people;
mod policies;
mod program;
mod pulled;
mod pulling;
mod receiver;
mod repeats;
mod rollouts;
mod sample;
mod secrets;
mod services;
mod signing_in;
mod sink;
mod sinks;
mod slots;
mod stage;
mod staging;
mod story;
mod telling;
mod traffic;
mod wait;
