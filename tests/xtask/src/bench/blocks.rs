//! Blocks of measurements, and what follows from them.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one contender took in one turn, in microseconds.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Block {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What a program that measures has printed.
#[derive(Deserialize)]
pub(crate) struct Measured {
    blocks: BTreeMap<String, Vec<Block>>,
    pub(crate) facts: BTreeMap<String, String>,
}

/// A median over blocks, and the ends of its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) at_least: f64,
    pub(crate) at_most: f64,
}

/// A percentile of a block.
pub(crate) type Percentile = fn(&Block) -> f64;

impl Measured {
    /// Contenders, in order of name.
    pub(crate) fn contenders(&self) -> impl Iterator<Item = &str> {
        self.blocks.keys().map(String::as_str)
    }

    /// A percentile of a contender, in microseconds.
    pub(crate) fn time(&self, contender: &str, of: Percentile) -> anyhow::Result<Estimate> {
        Estimate::of(self.blocks(contender)?.iter().map(of).collect())
    }

    /// How many times as long a peer takes. Each block is compared with the
    /// neighbour of the same turn: both met the same machine.
    pub(crate) fn ratio(&self, peer: &str, ours: &str, of: Percentile) -> anyhow::Result<Estimate> {
        let (peer, ours) = (self.blocks(peer)?, self.blocks(ours)?);
        ensure!(peer.len() == ours.len(), "a contender has missed its turn");
        Estimate::of(peer.iter().zip(ours).map(|(peer, ours)| of(peer) / of(ours)).collect())
    }

    fn blocks(&self, contender: &str) -> anyhow::Result<&[Block]> {
        let blocks = self.blocks.get(contender);
        Ok(blocks.with_context(|| format!("nobody has measured {contender}"))?)
    }
}

impl Estimate {
    /// The median, and an interval that asks nothing of how the values spread:
    /// it lies between two of them in order, chosen so that the median is below
    /// the lower one, as it is above the upper one, with a chance of 2.5 %.
    pub(super) fn of(mut values: Vec<f64>) -> anyhow::Result<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        ensure!(count >= 7, "{count} blocks are too few to tell anything: 7 at least");
        let skipped = skipped(count);
        let at = |index: usize| values.get(index).copied().context("no such block");
        Ok(Self {
            median: (at((count - 1) / 2)? + at(count / 2)?) / 2.0,
            at_least: at(skipped)?,
            at_most: at(count - 1 - skipped)?,
        })
    }
}

/// How many of so many values lie outside of the interval at either end: the
/// most of which as many tosses of a coin show heads with a chance below 2.5 %.
fn skipped(count: usize) -> usize {
    let mut chance = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut at_most, mut heads) = (chance, 0);
    while at_most <= 0.025 && heads < count {
        chance *= (count - heads) as f64 / (heads + 1) as f64;
        at_most += chance;
        heads += 1;
    }
    heads.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_sign_test() {
        // From tables: the lower limit is the value of this rank, less one.
        for (count, index) in [(7, 0), (9, 1), (11, 1), (15, 3), (21, 5), (25, 7)] {
            assert_eq!(skipped(count), index, "{count}");
        }
        let estimate = Estimate::of((1..=9).rev().map(f64::from).collect()).unwrap();
        assert_eq!(estimate, Estimate { median: 5.0, at_least: 2.0, at_most: 8.0 });
        assert!(Estimate::of(vec![1.0; 6]).is_err());
    }

    #[test]
    fn blocks_of_the_same_turn_are_compared() {
        let block = |time: f64| Block { p50: time, p99: 2.0 * time };
        let turns = (1..=7).map(f64::from);
        let blocks = BTreeMap::from([
            ("ours".to_owned(), turns.clone().map(block).collect()),
            ("peer".to_owned(), turns.map(|time| block(10.0 * time)).collect()),
        ]);
        let measured = Measured { blocks, facts: BTreeMap::new() };
        let ratio = measured.ratio("peer", "ours", |block| block.p99).unwrap();
        assert_eq!(ratio, Estimate { median: 10.0, at_least: 10.0, at_most: 10.0 });
    }
}
