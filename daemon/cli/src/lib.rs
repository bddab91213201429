//! The client half of the binary.

pub mod args;

pub use args::{Cli, ClientCommand, Command};
