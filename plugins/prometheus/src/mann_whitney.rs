//! The rank test of Mann and Whitney (1947): whether values of one sample tend to
//! be greater than those of another, whatever their distribution.

/// Below this many values in one of the samples, p is exact.
const EXACT_BELOW: usize = 8;

/// The exact distribution is for samples that are small; beside a small one, the
/// other may still be large, and then the approximation has to do.
const EXACT_VALUES_MAX: usize = 200;

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Test {
    /// In how many pairs the first is greater; pairs of equals count a half.
    pub(crate) u: f64,
    /// How likely it is that such a `u`, or a greater one, comes of two samples of
    /// one distribution.
    pub(crate) p: f64,
}

/// Tests whether values of `first` tend to be greater than those of `second`.
/// None without values, and with what has no order.
///
/// Of samples of 8 values each or more, p is that of the normal distribution, with
/// corrections for ties and for continuity. Of smaller ones it is exact: of all
/// ways to divide these very values, ties included, into samples of these sizes.
pub(crate) fn greater(first: &[f64], second: &[f64]) -> Option<Test> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let mut values: Vec<(f64, bool)> = first.iter().map(|value| (*value, true)).collect();
    values.extend(second.iter().map(|value| (*value, false)));
    if values.iter().any(|(value, _)| value.is_nan()) {
        return None;
    }
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let ranks = Ranks::of(&values);
    let (m, n) = (first.len(), second.len());
    // U = R - m(m+1)/2, in halves.
    let twice_u = ranks.twice_sum_of_first.saturating_sub(m * (m + 1));
    let exact = m.min(n) < EXACT_BELOW && m + n <= EXACT_VALUES_MAX;
    let p = if exact { ranks.exact(m) } else { ranks.normal(m, n, twice_u) };
    Some(Test { u: float(twice_u) / 2.0, p })
}

/// The least p that samples of these sizes can have: when all of the first are
/// greater than all of the second.
pub(crate) fn least_p(first: usize, second: usize) -> f64 {
    let smaller = first.min(second);
    // 1 / (first + second choose smaller)
    (1..=smaller).map(|k| float(k) / float(first + second - smaller + k)).product()
}

/// Mid-ranks, times two, so that they are whole numbers.
struct Ranks {
    twice: Vec<usize>,
    twice_sum_of_first: usize,
    /// The sum of t³ - t over groups of t equal values.
    ties: f64,
}

impl Ranks {
    fn of(sorted: &[(f64, bool)]) -> Self {
        let mut ranks = Self { twice: Vec::new(), twice_sum_of_first: 0, ties: 0.0 };
        for group in sorted.chunk_by(|one, other| one.0 == other.0) {
            let before = ranks.twice.len();
            // The ranks before + 1 to before + t have the mean before + (t + 1) / 2.
            let twice = 2 * before + group.len() + 1;
            ranks.twice.extend(group.iter().map(|_| twice));
            ranks.twice_sum_of_first += twice * group.iter().filter(|(_, first)| *first).count();
            let t = float(group.len());
            ranks.ties += t * t * t - t;
        }
        ranks
    }

    /// The share of all choices of `m` ranks whose sum is that of the first sample
    /// or greater.
    fn exact(&self, m: usize) -> f64 {
        let all = self.twice.len();
        // The smaller sample is counted; its complement has the rest of the sum.
        let (size, at_least) =
            if m <= all - m { (m, Some(self.twice_sum_of_first)) } else { (all - m, None) };
        let total: usize = self.twice.iter().sum();
        let most: usize = self.twice.iter().rev().take(size).sum();
        // ways[k][s]: choices of k ranks that add up to s.
        let mut ways = vec![vec![0.0_f64; most + 1]; size + 1];
        if let Some(none) = ways.first_mut().and_then(|sums| sums.first_mut()) {
            *none = 1.0;
        }
        for rank in &self.twice {
            for k in (1..=size).rev() {
                let (fewer, more) = ways.split_at_mut(k);
                let (Some(from), Some(to)) = (fewer.last(), more.first_mut()) else { continue };
                for (sum, ways) in from.iter().enumerate() {
                    if let Some(cell) = to.get_mut(sum + rank).filter(|_| *ways > 0.0) {
                        *cell += ways;
                    }
                }
            }
        }
        let Some(sums) = ways.last() else { return 1.0 };
        let count: f64 = sums.iter().sum();
        let extreme: f64 = match at_least {
            Some(least) => sums.iter().skip(least).sum(),
            // The first has the sum s or more where the second has total - s or less.
            None => sums.iter().take(total - self.twice_sum_of_first + 1).sum(),
        };
        extreme / count
    }

    fn normal(&self, m: usize, n: usize, twice_u: usize) -> f64 {
        let (m, n) = (float(m), float(n));
        let all = m + n;
        let variance = m * n / 12.0 * (all + 1.0 - self.ties / (all * (all - 1.0)));
        if variance <= 0.0 {
            // All values are equal: nothing is greater than anything.
            return 1.0;
        }
        let z = (float(twice_u) / 2.0 - m * n / 2.0 - 0.5) / variance.sqrt();
        erfc(z / std::f64::consts::SQRT_2) / 2.0
    }
}

/// The complementary error function: the continued fraction far from zero, the
/// series near it (Abramowitz and Stegun, 7.1.14 and 7.1.6). Both to some 15
/// digits, which is more than a p needs.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x > 27.0 {
        // Less than any number that is told from zero.
        return 0.0;
    }
    let gauss = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..120 {
            term *= 2.0 * x * x / float(2 * n + 1);
            sum += term;
        }
        return 1.0 - 2.0 * gauss * sum;
    }
    let mut fraction = x;
    for k in (1..=120).rev() {
        fraction = x + float(k) / 2.0 / fraction;
    }
    gauss / fraction
}

#[expect(clippy::cast_precision_loss, reason = "counts of some hundred values, and their squares")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
