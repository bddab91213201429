//! Times in which a cluster is away: they count for nobody's deadline.

use std::time::Duration;

use tokio::time::Instant;

/// The outages of one wait.
pub(super) struct Outage {
    since: Option<Instant>,
    /// What may still be granted. Otherwise a cluster that comes and goes would
    /// be waited for without end.
    left: Duration,
}

impl Outage {
    pub(super) fn new(budget: Duration) -> Self {
        Self { since: None, left: budget }
    }

    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Takes note of whether the cluster is away. Returns how long it was when
    /// it is back.
    pub(super) fn note(&mut self, is_away: bool) -> Option<Duration> {
        match (is_away, self.since) {
            (true, None) => {
                self.since = Some(Instant::now());
                None
            }
            (false, Some(since)) => {
                self.since = None;
                Some(since.elapsed())
            }
            _ => None,
        }
    }

    /// How much longer the wait may take for an outage that lasted so long.
    pub(super) fn grant(&mut self, lasted: Duration) -> Duration {
        let granted = lasted.min(self.left);
        self.left -= granted;
        granted
    }

    /// When the wait ends at the latest, as things are.
    pub(super) fn limit(&self, deadline: Instant) -> Instant {
        self.since.map_or(deadline, |since| deadline.max(since + self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn outages_are_granted_up_to_the_budget() {
        let minute = Duration::from_secs(60);
        let mut outage = Outage::new(5 * minute);
        let deadline = Instant::now() + minute;
        assert_eq!((outage.note(false), outage.limit(deadline)), (None, deadline));
        assert_eq!(outage.note(true), None);
        assert_eq!(outage.limit(deadline), Instant::now() + 5 * minute);
        tokio::time::advance(3 * minute).await;
        assert!(outage.is_on());
        assert_eq!(outage.note(false), Some(3 * minute));
        assert_eq!(outage.grant(3 * minute), 3 * minute);
        assert_eq!(outage.grant(3 * minute), 2 * minute);
        assert_eq!(outage.grant(3 * minute), Duration::ZERO);
    }
}
