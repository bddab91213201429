//! The record of one use, made when it ends, however it ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deployd_core::ports::{Access, Destination, EgressError, Use, UseOutcome, Uses};

/// Bytes on the wire in each direction, and how many there may be.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    limit: u64,
}

impl Counters {
    pub(crate) fn new(limit: u64) -> Self {
        Self { sent: AtomicU64::new(0), received: AtomicU64::new(0), limit }
    }

    /// Counts bytes in one direction; `false` when these are too many.
    pub(crate) fn count(&self, direction: &AtomicU64, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        direction.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }

    pub(crate) fn over(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > self.limit
            || self.received.load(Ordering::Relaxed) > self.limit
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }
}

/// A use that is not over yet. Recorded when it is dropped.
pub(crate) struct OpenUse {
    uses: Arc<dyn Uses>,
    begun: Instant,
    total: Duration,
    pub(crate) counters: Arc<Counters>,
    pub(crate) destination: Option<Destination>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) method: Option<String>,
    outcome: UseOutcome,
}

/// What is recorded of a use that was given up while it waited.
const ABANDONED: UseOutcome = UseOutcome::Failed("abandoned");

impl OpenUse {
    pub(crate) fn begin(access: &Access) -> Self {
        Self {
            uses: Arc::clone(&access.uses),
            begun: Instant::now(),
            total: access.limits.total,
            counters: Arc::new(Counters::new(access.limits.stream_bytes)),
            destination: None,
            address: None,
            method: None,
            outcome: ABANDONED,
        }
    }

    /// What came of it so far. The first failure stays.
    pub(crate) fn came_to(&mut self, outcome: UseOutcome) {
        if !matches!(self.outcome, UseOutcome::Failed(_)) || self.outcome == ABANDONED {
            self.outcome = outcome;
        }
    }

    /// Notes a failure, and hands it on.
    pub(crate) fn failed(&mut self, error: EgressError) -> EgressError {
        self.came_to(UseOutcome::Failed(error.code()));
        error
    }

    /// Does a part of it within its own time and what is left of the whole.
    pub(crate) async fn within<T>(
        &self,
        destination: &Destination,
        phase: &'static str,
        limit: Duration,
        part: impl Future<Output = T>,
    ) -> Result<T, EgressError> {
        let left = self.total.saturating_sub(self.begun.elapsed());
        tokio::time::timeout(limit.min(left), part).await.map_err(|_| {
            let (phase, limit) =
                if left < limit { ("all of it", self.total) } else { (phase, limit) };
            EgressError::TimedOut { destination: destination.clone(), phase, limit }
        })
    }
}

impl Drop for OpenUse {
    fn drop(&mut self) {
        self.uses.record(Use {
            destination: self.destination.take(),
            address: self.address,
            method: self.method.take(),
            millis: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            sent: self.counters.sent.load(Ordering::Relaxed),
            received: self.counters.received.load(Ordering::Relaxed),
            outcome: self.outcome.clone(),
        });
    }
}
