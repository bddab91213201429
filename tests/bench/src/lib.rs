//! What programs of benchmarks share: blocks of measured calls, and the line
//! they tell them with.

mod block;

pub use block::{Block, Measured, timed};
