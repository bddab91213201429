//! What programs of benchmarks share: blocks of measured calls, the line they
//! tell them with, the daemon's host, and the work that contenders do.

mod block;
pub mod daemon;
pub mod documents;
pub mod figures;
pub mod history;
pub mod host;
pub mod rounds;
pub mod surroundings;
pub mod webhook;

pub use block::{Block, Measured, timed};
