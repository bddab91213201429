//! Traffic that is divided by the ratio of replicas.

/// The replicas of the stable track and of the other one that give that one the
/// most of at most so many percent: neither more than are wanted, together not
/// less, and no more than it takes.
pub(crate) fn of(wanted: u32, percent: u32) -> Option<(u32, u32)> {
    let all = (1..=wanted).flat_map(|stable| (1..=wanted).map(move |other| (stable, other)));
    let fits = |(stable, other): &(u32, u32)| {
        stable + other >= wanted && other * 100 <= percent * (stable + other)
    };
    all.filter(fits).max_by(|a, b| {
        let share = |(stable, other): &(u32, u32)| f64::from(*other) / f64::from(stable + other);
        let total = |(stable, other): &(u32, u32)| stable + other;
        share(a).total_cmp(&share(b)).then(total(b).cmp(&total(a)))
    })
}

/// The percents that can be reached so, rounded up.
pub(crate) fn reached(wanted: u32) -> Vec<u32> {
    let is_reached = |percent: &u32| match of(wanted, *percent) {
        Some((stable, other)) => (other * 100).div_ceil(stable + other) == *percent,
        None => false,
    };
    (1..100).filter(is_reached).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_replicas_reach_a_quarter_at_least() {
        assert_eq!(of(3, 10), None);
        assert_eq!(of(3, 25), Some((3, 1)));
        assert_eq!(of(4, 50), Some((2, 2)));
        assert_eq!(reached(3), [25, 34, 40, 50, 60, 67, 75]);
    }
}
