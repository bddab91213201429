//! A worker's claim of its environment.

use std::sync::Arc;

use deployd_core::Timestamp;
use deployd_core::journal::StreamId;
use tokio::task::JoinSet;

use super::Worker;
use crate::EngineError;

/// How long a claim of an environment holds without being renewed.
const CLAIM_MS: u64 = 30_000;

/// A claim is renewed when less than this is left of it.
pub(super) const CLAIM_RENEW_MS: u64 = 20_000;

impl Worker {
    /// Another worker has taken the environment over: nothing of what this one
    /// does counts any more, and all of it ends.
    pub(super) fn lost_claim(&mut self) {
        self.claim = None;
        self.fresh = true;
        self.running = JoinSet::new();
        self.flights.clear();
        self.guard = JoinSet::new();
        self.guarded = None;
        self.polls.clear();
        self.contents = Arc::default();
    }

    pub(super) async fn renew(&mut self, now: Timestamp) -> Result<(), EngineError> {
        let fresh = self.claim.as_ref().is_some_and(|c| c.until.ms_since(now) > CLAIM_RENEW_MS);
        if !fresh {
            let stream = StreamId::environment(&self.id);
            let worker = &self.engine.worker;
            let claim = self.engine.ports.store.claim(&stream, worker, now, CLAIM_MS).await?;
            self.claim = Some(claim);
        }
        Ok(())
    }

    pub(super) async fn release(&mut self) {
        if let Some(claim) = self.claim.take()
            && let Err(error) = self.engine.ports.store.release(claim).await
        {
            tracing::debug!(environment = %self.id, %error, "a claim was not given back");
        }
    }
}
