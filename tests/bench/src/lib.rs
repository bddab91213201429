//! What programs of benchmarks share: blocks of measured calls, the line they
//! tell them with, and the work that contenders do.

mod block;
pub mod webhook;

pub use block::{Block, Measured, timed};
