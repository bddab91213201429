//! The client half of the binary: the command line, a client of the HTTP
//! interface, and what people see of deployments while they run.
//!
//! Whoever makes the binary parses [`Cli`], runs [`Command::Client`] with
//! [`run`], and does the rest itself.

pub mod args;
pub mod client;
mod commands;
pub mod error;
pub mod exit;
pub mod live;
pub mod output;
#[cfg(test)]
mod testing;

pub use args::{Cli, ClientCommand, Command, Globals};
pub use client::{Client, ClientOptions};
pub use commands::{adopt, policy_test, run, tell};
pub use error::CliError;
pub use live::{Style, follow};
pub use output::Output;
