//! How often something may be done: some times at once, and once more after each while.
//! Time is given: a duration since some moment that whoever asks has chosen.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many times at once, at least once.
    pub at_once: u32,
    /// And once more after each of these.
    pub each: Duration,
}

impl Rate {
    /// A rate of so many a second, and so many at once; nothing is as slow as none a second.
    pub fn per_second(times: u32, at_once: u32) -> Self {
        Self { at_once, each: Duration::from_secs(1) / times.max(1) }
    }

    /// How long it takes until everything may be done at once again.
    fn whole(&self) -> Duration {
        self.each.saturating_mul(self.at_once.max(1))
    }
}

/// What has been done lately, under a [`Rate`]: all that is kept is when nothing of it
/// will count any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Does it once more now, or says after how long it may be done; then nothing has changed.
    pub fn take(&mut self, rate: &Rate, now: Duration) -> Result<(), Duration> {
        let next = self.full_at.max(now).saturating_add(rate.each);
        let earliest = next.saturating_sub(rate.whole());
        if earliest > now {
            return Err(earliest.saturating_sub(now));
        }
        self.full_at = next;
        Ok(())
    }
}

/// A bucket for each of many, of whom a bounded number is remembered.
#[derive(Debug, Clone)]
pub struct Buckets<K> {
    known: HashMap<K, Bucket>,
    most: usize,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Remembers so many at most, at least two.
    pub fn new(most: usize) -> Self {
        Self { known: HashMap::new(), most: most.max(2) }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What [`Bucket::take`] says of the bucket of this one.
    pub fn take(&mut self, who: K, rate: &Rate, now: Duration) -> Result<(), Duration> {
        if self.known.len() >= self.most && !self.known.contains_key(&who) {
            self.forget(now);
        }
        self.known.entry(who).or_default().take(rate, now)
    }

    /// Forgets who has done nothing lately; where that is not half of all, those as well
    /// who have done least. So a stranger with many names makes nobody forgotten who
    /// does more than each of these, and what this takes is shared by many that are new.
    fn forget(&mut self, now: Duration) {
        let mut full: Vec<Duration> =
            self.known.values().map(|bucket| bucket.full_at.max(now)).collect();
        let half = full.len() / 2;
        if half == 0 {
            return;
        }
        let (_, median, _) = full.select_nth_unstable(half.saturating_sub(1));
        let (least, mut left) = (*median, half);
        self.known.retain(|_, bucket| {
            let goes = bucket.full_at <= now || (bucket.full_at <= least && left > 0);
            if goes {
                left = left.saturating_sub(1);
            }
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { at_once: 3, each: Duration::from_secs(10) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_few_at_once_and_then_one_after_each_while() {
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.take(&RATE, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(&RATE, at(0)), Err(at(10)));
        assert_eq!(bucket.take(&RATE, at(4)), Err(at(6)));
        assert_eq!(bucket.take(&RATE, at(10)), Ok(()));
        assert_eq!(bucket.take(&RATE, at(10)), Err(at(10)));
        // After a pause as many at once as ever, and no more.
        for _ in 0..3 {
            assert_eq!(bucket.take(&RATE, at(1_000)), Ok(()));
        }
        assert!(bucket.take(&RATE, at(1_000)).is_err());
    }

    #[test]
    fn one_does_not_pay_for_another() {
        let mut buckets = Buckets::new(10);
        for _ in 0..3 {
            assert_eq!(buckets.take("loop", &RATE, at(0)), Ok(()));
        }
        assert!(buckets.take("loop", &RATE, at(0)).is_err());
        assert_eq!(buckets.take("ada", &RATE, at(0)), Ok(()));
    }

    #[test]
    fn a_stranger_with_many_names_makes_no_one_forgotten_who_does_much() {
        let mut buckets = Buckets::new(10);
        for _ in 0..3 {
            buckets.take(0, &RATE, at(0)).unwrap();
        }
        for name in 1..1_000 {
            buckets.take(name, &RATE, at(0)).unwrap();
            assert!(buckets.len() <= 10, "{}", buckets.len());
        }
        assert_eq!(buckets.take(0, &RATE, at(0)), Err(at(10)));
    }

    proptest! {
        /// In no span of time more is done than at once and for each while in it; what is
        /// refused may be done when it was said; and who waits is never refused.
        #[test]
        fn no_more_is_done_than_the_rate_says(
            at_once in 1u32..20, each in 1u64..50, steps in prop::collection::vec(0u64..40, 1..200),
        ) {
            let rate = Rate { at_once, each: Duration::from_millis(each) };
            let (mut bucket, mut now, mut done) = (Bucket::default(), 0, Vec::new());
            for step in steps {
                now += step;
                match bucket.take(&rate, Duration::from_millis(now)) {
                    Ok(()) => done.push(now),
                    Err(wait) => {
                        prop_assert!(wait > Duration::ZERO);
                        let mut later = bucket;
                        let then = Duration::from_millis(now) + wait;
                        prop_assert_eq!(later.take(&rate, then), Ok(()));
                        let sooner = then - Duration::from_nanos(1);
                        prop_assert!(bucket.take(&rate, sooner).is_err());
                    }
                }
            }
            for (n, first) in done.iter().enumerate() {
                for (times, last) in (1u64..).zip(&done[n..]) {
                    let most = u64::from(at_once) + (last - first) / each;
                    prop_assert!(times <= most, "{times} in {}", last - first);
                }
            }
        }
    }
}
