//! Names of deliveries, which sort as they arrived: also those of one moment, and
//! those after a clock that was set back.

use std::sync::{Mutex, PoisonError};

use deployd_core::delivery::DeliveryId;
use deployd_core::{DeploymentId, Timestamp};

/// The last name that was given.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<(Timestamp, [u8; 10])>);

impl Arrivals {
    /// The time and the name of what arrives now.
    pub(super) fn next(&self, now: Timestamp, random: [u8; 10]) -> (Timestamp, DeliveryId) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = if now > last.0 { (now, random) } else { after(*last, random) };
        let (at, bits) = *last;
        (at, DeliveryId(DeploymentId::from_parts(at, bits).0))
    }
}

/// The next number of the same moment; when there is none, the next moment.
fn after((at, mut bits): (Timestamp, [u8; 10]), random: [u8; 10]) -> (Timestamp, [u8; 10]) {
    for byte in bits.iter_mut().rev() {
        let (next, is_over) = byte.overflowing_add(1);
        *byte = next;
        if !is_over {
            return (at, bits);
        }
    }
    (at.plus_ms(1), random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_they_were_given() {
        let arrivals = Arrivals::default();
        let mut names = Vec::new();
        for (now, random) in [(7, 255), (7, 0), (7, 9), (3, 1), (8, 0)] {
            names.push(arrivals.next(Timestamp(now), [random; 10]));
        }
        assert!(names.is_sorted() && names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
        let times: Vec<u64> = names.iter().map(|(at, _)| at.0).collect();
        assert_eq!(times, [7, 8, 8, 8, 8]);
    }
}
