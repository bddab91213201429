//! Weights by the number of pods: where no router divides the traffic, a Service
//! that leads to the pods of two tracks does, as evenly as it can.

/// The most replicas that this is worked out for. Beyond it every whole percent
/// can be reached anyway.
const REPLICAS_MAX: u32 = 1000;

/// Pods of two tracks behind one Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ratio {
    /// Pods of `stable`.
    pub(super) stable: u32,
    /// Pods of the other track.
    pub(super) other: u32,
}

impl Ratio {
    /// The other track's part of the traffic in percent, rounded up: the
    /// least weight that allows it.
    pub(super) fn percent(self) -> u8 {
        let total = u64::from(self.stable).saturating_add(u64::from(self.other));
        let percent = u64::from(self.other).saturating_mul(100);
        let percent = if total == 0 { 0 } else { percent.div_ceil(total) };
        u8::try_from(percent).unwrap_or(100)
    }

    /// Whether its part of the traffic is more than another's.
    fn is_more_than(self, than: Self) -> bool {
        let cross = |a: Self, b: Self| u64::from(a.other).saturating_mul(u64::from(b.stable));
        cross(self, than) > cross(than, self)
    }
}

/// How many pods of both tracks come closest to a weight of the other track and
/// give it no more: each has at most the wanted replicas, both
/// together at least these. Of two ways to the same weight the one with fewer
/// pods. None where even one pod beside all of `stable` would be more.
pub(super) fn for_weight(replicas: u32, weight: u8) -> Option<Ratio> {
    let weight = u64::from(weight.clamp(1, 99));
    let capped = replicas.min(REPLICAS_MAX);
    let mut best: Option<Ratio> = None;
    for other in 1..=capped {
        // The least of `stable` with which it is no more than the weight:
        // 100 * other <= weight * (stable + other).
        let total = u64::from(other).saturating_mul(100).div_ceil(weight);
        let least = total.saturating_sub(u64::from(other)).max(1);
        let stable = least.max(u64::from(capped.saturating_sub(other)));
        let Ok(stable) = u32::try_from(stable) else { continue };
        if stable > capped {
            continue;
        }
        // Numbers grow, so that the first of equal ones has the fewest pods.
        let found = Ratio { stable, other };
        if best.is_none_or(|best| found.is_more_than(best)) {
            best = Some(found);
        }
    }
    best.map(|best| scaled(best, capped, replicas))
}

/// All weights between 0 and 100 that can be reached, ascending.
pub(super) fn reachable(replicas: u32) -> Vec<u8> {
    let mut found: Vec<u8> =
        (1..100).filter_map(|weight| for_weight(replicas, weight)).map(Ratio::percent).collect();
    found.dedup();
    found
}

/// The same for more replicas than it is worked out for.
fn scaled(ratio: Ratio, of: u32, to: u32) -> Ratio {
    if of == to {
        return ratio;
    }
    let times = |count: u32| {
        let more = u64::from(count).saturating_mul(u64::from(to));
        more.checked_div(u64::from(of)).and_then(|more| u32::try_from(more).ok()).unwrap_or(count)
    };
    // The other track is rounded down, and `stable` makes up for it.
    let other = times(ratio.other);
    Ratio {
        stable: times(ratio.stable).saturating_add(1).max(to.saturating_sub(other)).min(to),
        other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_replicas_reach_seven_weights() {
        assert_eq!(reachable(3), [25, 34, 40, 50, 60, 67, 75]);
        assert_eq!(for_weight(3, 10), None);
        assert_eq!(for_weight(3, 25), Some(Ratio { stable: 3, other: 1 }));
        assert_eq!(for_weight(3, 33), Some(Ratio { stable: 3, other: 1 }));
        assert_eq!(for_weight(3, 50), Some(Ratio { stable: 2, other: 2 }));
        assert_eq!(reachable(1), [50]);
        assert_eq!(reachable(0), [0u8; 0]);
        assert_eq!(for_weight(100, 1), Some(Ratio { stable: 99, other: 1 }));
    }

    proptest! {
        /// Against trying all numbers of pods.
        #[test]
        fn it_is_the_best_there_is(replicas in 0u32..24, weight in 1u8..100) {
            let mut best: Option<Ratio> = None;
            for stable in 1..=replicas {
                for other in 1..=replicas {
                    let found = Ratio { stable, other };
                    if stable + other < replicas || found.percent() > weight {
                        continue;
                    }
                    let total = |ratio: Ratio| ratio.stable + ratio.other;
                    let is_better = best.is_none_or(|best| {
                        found.is_more_than(best)
                            || (!best.is_more_than(found) && total(found) < total(best))
                    });
                    if is_better {
                        best = Some(found);
                    }
                }
            }
            prop_assert_eq!(for_weight(replicas, weight), best);
        }

        #[test]
        fn it_is_never_more_than_asked_and_never_fewer_pods(
            replicas in 1u32..1_000_000, weight in 1u8..100,
        ) {
            if let Some(found) = for_weight(replicas, weight) {
                prop_assert!(found.percent() <= weight, "{:?}", found);
                prop_assert!(found.stable + found.other >= replicas);
                prop_assert!(found.stable <= replicas && found.other <= replicas);
            }
        }
    }
}
