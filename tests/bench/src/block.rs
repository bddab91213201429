//! A block of calls, and what is left of it: two percentiles.
//!
//! Contenders take turns, a block each, so that whatever else the machine does
//! meets all of them; figures of one block are compared with the neighbours'
//! only. What follows from many blocks is worked out by `cargo xtask bench`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

/// What one contender took in one turn, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Block {
    /// How many calls it is made of.
    pub calls: usize,
    /// Half of the calls took at most this long.
    pub p50: f64,
    /// 99 of 100 took at most this long.
    pub p99: f64,
}

impl Block {
    /// Sums up a block; none of no calls.
    pub fn of(mut calls: Vec<Duration>) -> Option<Self> {
        calls.sort_unstable();
        let at = |percent: usize| {
            let rank = (calls.len() * percent).div_ceil(100).saturating_sub(1);
            calls.get(rank).map(|took| took.as_secs_f64() * 1e6)
        };
        Some(Self { calls: calls.len(), p50: at(50)?, p99: at(99)? })
    }
}

/// Times one call.
pub fn timed<T>(call: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let value = call();
    (begun.elapsed(), value)
}

/// All blocks, by contender, and what else there is to tell.
#[derive(Debug, Default, Serialize)]
pub struct Measured {
    /// The blocks of each contender, in order of time.
    pub blocks: BTreeMap<&'static str, Vec<Block>>,
    /// Facts about the run that belong beside the figures.
    pub facts: BTreeMap<&'static str, String>,
}

impl Measured {
    /// Adds a block.
    pub fn add(&mut self, contender: &'static str, calls: Vec<Duration>) {
        self.blocks.entry(contender).or_default().extend(Block::of(calls));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_calls_that_were_made() {
        let calls = (1..=200).rev().map(Duration::from_micros).collect();
        assert_eq!(Block::of(calls), Some(Block { calls: 200, p50: 100.0, p99: 198.0 }));
        assert_eq!(Block::of(Vec::new()), None);
    }
}
